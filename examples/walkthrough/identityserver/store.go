package identityserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/xenaauth/xenaauth/examples/walkthrough/bounded"
)

// memoryStore contains the data of the identity server, in memory. It implements [op.Storage].
type memoryStore struct {
	keyRing
	issuer    string
	apiSecret string
	// endSession ends a session of the user: see Server.EndSession
	endSession func(ctx context.Context, session string)

	clients *bounded.Table[Client]
	// requests for consent; the key of this table is the id of the request, and a request is
	// deleted when the application exchanges its code for tokens
	requests *bounded.Table[*grant]
	// for each authorization code, the id of the request for consent to which it belongs
	codes  *bounded.Table[string]
	tokens *bounded.Table[*accessToken] // access tokens; the key of this table is the id of the token
	// the grant of each refresh token; the key of this table is the refresh token
	refreshGrants *bounded.Table[*grant]
	// the texts that Encrypt has stored; the key of this table is the random text that Encrypt
	// returns
	plainTexts *bounded.Table[string]
}

// accessToken is an access token that the server has issued. If the token is revoked, it is deleted
// from the memoryStore.
type accessToken struct {
	*grant
	id              string
	issued, expires time.Time
}

// Lifetime is how long an access token is valid.
const Lifetime = time.Hour

var errUnknown = errors.New("not found")

func newStore(issuer string) *memoryStore {
	return &memoryStore{
		issuer: issuer, apiSecret: rand.Text(),
		clients: bounded.New[Client](200), requests: bounded.New[*grant](200),
		codes: bounded.New[string](200), tokens: bounded.New[*accessToken](2000),
		refreshGrants: bounded.New[*grant](1000), plainTexts: bounded.New[string](2000),
	}
}

// errorIfMissing takes the results of the method Get of a table. If ok is false, because the table
// has no entry with the key, it returns an error.
func errorIfMissing[T any](value T, ok bool) (T, error) {
	if !ok {
		return value, errUnknown
	}
	return value, nil
}

// CreateAuthRequest stores a new authorization request, in which an application asks the user for
// consent. It refuses a request without PKCE.
func (s *memoryStore) CreateAuthRequest(_ context.Context, r *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if r.CodeChallenge == "" || r.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	g := &grant{request: r, id: rand.Text(), scopes: r.Scopes, formToken: rand.Text()}
	s.requests.Put(g.id, g)
	return g, nil
}

func (s *memoryStore) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	g, err := errorIfMissing(s.requests.Get(id))
	return g, err
}

func (s *memoryStore) SaveAuthCode(_ context.Context, id, code string) error {
	s.codes.Put(code, id)
	return nil
}

// AuthRequestByCode returns the request for consent that belongs to a code. It deletes the code,
// because a code is valid only once, and also the request.
func (s *memoryStore) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	id, _ := s.codes.Take(code)
	g, err := errorIfMissing(s.requests.Take(id))
	return g, err
}

func (s *memoryStore) DeleteAuthRequest(_ context.Context, id string) error {
	s.requests.Take(id)
	return nil
}

// newToken makes a new access token for a grant, and stores it.
func (s *memoryStore) newToken(g *grant) *accessToken {
	t := &accessToken{grant: g, id: rand.Text(), issued: time.Now(), expires: time.Now().Add(Lifetime)}
	s.tokens.Put(t.id, t)
	return t
}

func (s *memoryStore) CreateAccessToken(_ context.Context, r op.TokenRequest) (string, time.Time, error) {
	t := s.newToken(r.(*grant))
	return t.id, t.expires, nil
}

// CreateAccessAndRefreshTokens makes an access token and a new refresh token, and deletes the
// current refresh token: a refresh token is valid only once (RFC 9700, section 2.2.2). The new
// refresh token has all scopes of the current one, even if the new access token has fewer scopes.
func (s *memoryStore) CreateAccessAndRefreshTokens(
	_ context.Context, r op.TokenRequest, current string,
) (id, refresh string, expires time.Time, err error) {
	g := r.(*grant)
	fullGrant := g
	if current != "" {
		if fullGrant, err = errorIfMissing(s.refreshGrants.Take(current)); err != nil {
			return "", "", expires, op.ErrInvalidRefreshToken
		}
	}
	t, next := s.newToken(g), rand.Text()+rand.Text()
	s.refreshGrants.Put(next, fullGrant)
	return t.id, next, t.expires, nil
}

func (s *memoryStore) TokenRequestByRefreshToken(_ context.Context, refresh string) (op.RefreshTokenRequest, error) {
	g, err := errorIfMissing(s.refreshGrants.Get(refresh))
	if err != nil {
		return nil, err
	}
	copied := *g // the caller may change the scopes of the grant, so it gets a copy
	return &copied, nil
}

func (s *memoryStore) GetRefreshTokenInfo(_ context.Context, _, refresh string) (user, id string, err error) {
	if _, ok := s.refreshGrants.Get(refresh); !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	return User.ID, refresh, nil
}

// RevokeToken revokes an access token or a refresh token. With a refresh token, it also revokes all
// access tokens of the same grant.
func (s *memoryStore) RevokeToken(_ context.Context, id, _, client string) *oidc.Error {
	if t, ok := s.tokens.Get(id); ok && t.GetClientID() == client {
		s.tokens.Take(id)
	}
	if g, ok := s.refreshGrants.Get(id); ok && g.GetClientID() == client {
		s.refreshGrants.Take(id)
		s.tokens.DeleteFunc(func(t *accessToken) bool { return t.grant.id == g.id })
	}
	return nil // it is not an error to revoke an invalid token (RFC 7009, section 2.2)
}

func (s *memoryStore) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	c, err := errorIfMissing(s.clients.Get(id))
	return c, err
}

// AuthorizeClientIDSecret checks the client id and the secret of an application or of the API.
func (s *memoryStore) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	want := s.apiSecret
	if id != Audience {
		c, err := errorIfMissing(s.clients.Get(id))
		if err != nil {
			return err
		}
		want = c.Secret
	}
	a, b := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) == 0 {
		return errors.New("wrong secret")
	}
	return nil
}

// GetPrivateClaimsFromRequest returns the claims that Xena's IdentityServer, which this server
// imitates, adds to each JWT.
func (s *memoryStore) GetPrivateClaimsFromRequest(_ context.Context, r op.TokenRequest, _ []string) (map[string]any, error) {
	g := r.(*grant)
	return map[string]any{
		"scope": slices.Clone(g.scopes), "amr": g.GetAMR(), "auth_time": g.loginTime.Unix(),
		"idp": "local", "sid": g.session,
	}, nil
}

// SetIntrospectionFromToken writes the introspection response for a valid token into r. Only the
// API may introspect tokens.
func (s *memoryStore) SetIntrospectionFromToken(_ context.Context, r *oidc.IntrospectionResponse, id, _, askingClient string) error {
	t, err := errorIfMissing(s.tokens.Get(id))
	if err != nil || askingClient != Audience || time.Now().After(t.expires) {
		return errUnknown
	}
	r.Issuer, r.Subject, r.ClientID, r.JWTID = s.issuer, User.ID, t.GetClientID(), t.id
	r.Scope, r.Audience = t.scopes, t.GetAudience()
	r.IssuedAt, r.NotBefore = oidc.FromTime(t.issued), oidc.FromTime(t.issued)
	r.Expiration, r.AuthTime = oidc.FromTime(t.expires), oidc.FromTime(t.loginTime)
	r.Claims = map[string]any{"sid": t.session}
	return nil
}

// SetUserinfoFromRequest adds the user's data to an ID token: only the data that the user allowed
// the application to see.
func (s *memoryStore) SetUserinfoFromRequest(_ context.Context, u *oidc.UserInfo, r op.IDTokenRequest, scopes []string) error {
	u.AppendClaims("sid", r.(*grant).session)
	return s.addUserData(u, scopes)
}

func (s *memoryStore) SetUserinfoFromToken(_ context.Context, u *oidc.UserInfo, id, _, _ string) error {
	t, err := errorIfMissing(s.tokens.Get(id))
	if err != nil || time.Now().After(t.expires) {
		return errUnknown
	}
	return s.addUserData(u, t.scopes)
}

func (s *memoryStore) addUserData(u *oidc.UserInfo, scopes []string) error {
	u.Subject = User.ID
	if slices.Contains(scopes, "profile") {
		u.Name = User.Name
	}
	if slices.Contains(scopes, "email") {
		u.Email = User.Email
	}
	return nil
}

// Encrypt returns a random text of 64 hexadecimal digits, and stores plainText under this random
// text. The server uses the random text as a code or as an opaque token, as Xena's IdentityServer
// does. Encrypt implements [op.Crypto].
func (s *memoryStore) Encrypt(plainText string) (string, error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // rand.Read never returns an error
	handle := hex.EncodeToString(random[:])
	s.plainTexts.Put(handle, plainText)
	return handle, nil
}

// Decrypt returns the text that Encrypt has stored under a random text. Decrypt implements
// [op.Crypto].
func (s *memoryStore) Decrypt(handle string) (string, error) {
	return errorIfMissing(s.plainTexts.Get(handle))
}

// [op.Storage] requires the methods below, but this server does not use them.

func (s *memoryStore) Health(context.Context) error { return nil }
func (s *memoryStore) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}
func (s *memoryStore) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}
func (s *memoryStore) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnknown
}
func (s *memoryStore) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnknown
}
func (s *memoryStore) TerminateSession(context.Context, string, string) error { return errUnknown }
