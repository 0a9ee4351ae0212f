package zitadel_test

import (
	"context"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// These constants are the clients, APIs and users of the tests. The clients are those of the
// example server. An API is a client too, because the server can store a secret only for a client.
const (
	audience = "testapi"
	scope    = "testapi"

	opaqueClient = "web"     // this client gets opaque tokens
	jwtClient    = "web-jwt" // this client gets JWTs
	otherAPI     = "other"   // this API is in the audience of no token
	service      = "sid1"    // the id of the service user in the example storage
	serviceKey   = "verysecret"

	clientSecret = "secret"
	// the API must encode this secret before it sends it with the scheme Basic; if it did not, the
	// server would read a wrong secret
	apiSecret = "s3cret: &100% +/="
)

// store is the storage of the example server, changed as a real deployment would change it: the
// audience of an access token is an API and not the client, access tokens have a scope, and some
// clients get JWTs. The tests can change the signing keys.
type store struct {
	*storage.Storage

	users storage.UserStore
	// if omitScope is true, JWTs have no scope, as in a deployment whose storage does not add it
	omitScope bool

	mu sync.Mutex
	// each element of keys has one pair of signing keys: the server signs with the first element
	// and publishes the public keys of all elements
	keys []*storage.Storage
	// tokenClients contains the client of each access token; the map key is the id of the token
	tokenClients map[string]string
}

func newStore(issuer string) *store {
	users := storage.NewUserStore(issuer)
	s := &store{users: users, tokenClients: make(map[string]string)}
	s.Storage = storage.NewStorageWithClients(users, map[string]*storage.Client{
		opaqueClient: storage.WebClient(opaqueClient, clientSecret),
		jwtClient:    storage.WebClient(jwtClient, clientSecret),
		otherAPI:     storage.WebClient(otherAPI, clientSecret),
		audience:     storage.WebClient(audience, apiSecret),
	})
	s.keys = []*storage.Storage{s.Storage}
	return s
}

// store.rotate makes the server sign with a new key. If keepOld is true, the old keys stay
// published, and otherwise they are removed.
func (s *store) rotate(keepOld bool) {
	next := storage.NewStorage(s.users)
	s.mu.Lock()
	defer s.mu.Unlock()
	if keepOld {
		s.keys = append([]*storage.Storage{next}, s.keys...)
	} else {
		s.keys = []*storage.Storage{next}
	}
}

func (s *store) published() []*storage.Storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

func (s *store) SigningKey(ctx context.Context) (op.SigningKey, error) {
	return s.published()[0].SigningKey(ctx)
}

func (s *store) KeySet(ctx context.Context) (all []op.Key, err error) {
	for _, k := range s.published() {
		keys, err := k.KeySet(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, keys...)
	}
	return all, nil
}

// client is a client of the example server, with two changes: it may request the scope of the API,
// and it may get JWTs.
type client struct{ op.Client }

func (c client) IsScopeAllowed(s string) bool { return s == scope }

func (c client) AccessTokenType() op.AccessTokenType {
	if id := c.GetID(); id == jwtClient || id == service {
		return op.AccessTokenTypeJWT
	}
	return c.Client.AccessTokenType()
}

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

func (s *store) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := s.Storage.ClientCredentials(ctx, id, secret)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

// ClientCredentialsTokenRequest makes the API the audience of the token. It replaces a method of
// storage.Storage, which would make the client the audience.
func (s *store) ClientCredentialsTokenRequest(ctx context.Context, id string, scopes []string) (op.TokenRequest, error) {
	r, err := s.Storage.ClientCredentialsTokenRequest(ctx, id, scopes)
	if err != nil {
		return nil, err
	}
	return &oidc.JWTTokenRequest{Subject: r.GetSubject(), Audience: oidc.Audience{audience}, Scopes: r.GetScopes()}, nil
}

// An authRequest is a login whose tokens have the API as their audience. It replaces the method
// GetAudience of storage.AuthRequest, which would return the client as the audience.
type authRequest struct{ *storage.AuthRequest }

func (authRequest) GetAudience() []string { return []string{audience} }

func forAPI(r op.AuthRequest, err error) (op.AuthRequest, error) {
	if own, ok := r.(*storage.AuthRequest); ok {
		return authRequest{own}, err
	}
	return r, err
}

func (s *store) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	return forAPI(s.Storage.AuthRequestByID(ctx, id))
}

func (s *store) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return forAPI(s.Storage.AuthRequestByCode(ctx, code))
}

// CreateAccessToken stores which client got the token. SetIntrospectionFromToken needs this client
// later.
func (s *store) CreateAccessToken(ctx context.Context, r op.TokenRequest) (id string, expires time.Time, err error) {
	app := ""
	if own, ok := r.(authRequest); ok {
		r, app = own.AuthRequest, own.ApplicationID
	}
	id, expires, err = s.Storage.CreateAccessToken(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokenClients[id] = app
	return id, expires, err
}

// GetPrivateClaimsFromRequest adds the scope to a JWT. Without this method, the example server
// would write no scope into a JWT.
func (s *store) GetPrivateClaimsFromRequest(_ context.Context, r op.TokenRequest, _ []string) (map[string]any, error) {
	if s.omitScope {
		return nil, nil
	}
	return map[string]any{"scope": oidc.SpaceDelimitedArray(r.GetScopes())}, nil
}

// SetIntrospectionFromToken writes the introspection response for an active token. It also accepts
// requests of an API that is in the audience of the token. The method of storage.Storage, which it
// replaces, accepts only requests of the client that got the token.
func (s *store) SetIntrospectionFromToken(ctx context.Context, answer *oidc.IntrospectionResponse, id, subject, asking string) error {
	if asking == audience {
		answer.Audience = oidc.Audience{audience}
		s.mu.Lock()
		asking = s.tokenClients[id]
		s.mu.Unlock()
	}
	return s.Storage.SetIntrospectionFromToken(ctx, answer, id, subject, asking)
}
