package xenaauth

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/xenaauth/xenaauth/replay"
)

// Config says which access tokens a [Validator] accepts. Audiences is required, unless
// AllowAnyAudience is set. Every other field may keep its zero value, which is safe and right for
// the Xena API.
type Config struct {
	// Issuer is the iss that a token must have, exactly (RFC 8725, section 3.8). It is also the
	// base URL of the issuer's metadata. It has no trailing slash, unless the issuer's iss has one.
	// If "", it is [IssuerProduction].
	Issuer string
	// MetadataURL is the URL of the issuer's metadata. Set it, for example, if the metadata have
	// another host name inside your network. If "", the URL is derived from Issuer: first as OpenID
	// Connect Discovery says, and if that document is not found, as RFC 8414 says.
	MetadataURL string
	// JWKSURL is the URL of the issuer's JWK set. If "", it is the URL that the issuer's metadata
	// contain as jwks_uri.
	JWKSURL string

	// Audiences are the names of this API. The claim aud of a token must contain at least one of
	// these names (RFC 9068, section 4; RFC 7519, section 4.1.3). An introspection response without
	// aud is accepted, because the issuer knows which API sent the introspection request.
	Audiences []string
	// AllowAnyAudience turns the check of aud off. It is for an IdentityServer that issues tokens
	// without aud. Without this check, only a scope shows that a token is for this API, so every
	// route must require a scope. AllowAnyAudience can't be combined with Audiences.
	AllowAnyAudience bool

	// Profile says which claims and which typ a JWT access token must have. The zero value is
	// [ProfileIdentityServer].
	Profile Profile
	// Algorithms are the accepted signature algorithms. If nil, all supported algorithms are
	// accepted: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519. EdDSA and
	// Ed25519 (RFC 9864) are two names of one algorithm: if the list contains one of these names,
	// tokens with either name are accepted.
	Algorithms []string
	// ClockSkew is the largest accepted difference between the issuer's clock and the clock of this
	// machine. 0 means 30 seconds. The maximum is 2 minutes.
	ClockSkew time.Duration
	// MaxTokenLifetime is the longest accepted time from nbf (or iat, if there is no nbf) to exp. A
	// lifetime that is longer by at most ClockSkew is accepted too. 0 means one hour, the lifetime
	// of Xena's tokens. The maximum is 100 years. Every duration in a Config has this maximum,
	// unless its comment gives a smaller maximum.
	MaxTokenLifetime time.Duration
	// AllowAnyLifetime accepts tokens of any lifetime. AllowAnyLifetime can't be combined with
	// MaxTokenLifetime. Without AllowAnyLifetime, a token that has exp but neither nbf nor iat is
	// refused, because its lifetime is unknown.
	AllowAnyLifetime bool
	// MaxTokenLength is the largest length of a token, in bytes. 0 means 16 KiB.
	// [Options].MaxTokenLength limits this length too. [Introspection].MaxTokenLength limits the
	// length of tokens that are not JWTs; its default is 1 KiB. A token must satisfy every limit
	// that applies to it.
	MaxTokenLength int

	// ClientClaims are the names of the claims that may name the client. If a token has several of
	// these claims, the claim that comes first in ClientClaims is used. Names are compared exactly.
	// If nil, the names are client_id and azp. Okta writes cid. Entra ID v1 and AD FS write appid.
	//
	// ClientClaims may contain aud only if AllowClientAudience is set. This is for an issuer that
	// names the client in no other claim than aud. aud must then contain one name.
	//
	// The risk: if a client can choose the value of a listed claim, it can pose as another client.
	// So list only claims that the issuer itself writes. ClientClaims can't be combined with
	// ProfileRFC9068.
	ClientClaims []string
	// ScopeClaims are the names of the claims that may contain the scopes. If a token has several
	// of these claims, the claim that comes first in ScopeClaims is used. Names are compared
	// exactly. The value is a string of scopes separated by spaces, or an array of scopes. If nil,
	// the names are scope and scp. If the issuer writes roles (Entra ID) or permissions (Auth0),
	// list these claims: AllScopes and AnyScope then compare with their values.
	//
	// The risk: roles and permissions often say what the user may do, and not what the user has
	// allowed the client to do. If ScopeClaims lists such a claim, every client of the user may do
	// everything that the user may do. ScopeClaims can't be combined with ProfileRFC9068.
	ScopeClaims []string
	// AllowMissingClientID accepts introspection responses without client_id, which is optional in
	// RFC 7662, section 2.2. [User.ClientID] is then "", and a [Revocation] by ClientID does not
	// match such a token. A JWT that is verified locally must still name its client: this check
	// refuses many ID tokens, because an ID token often names no client.
	//
	// The risk: in a client's own token, sub is the id of the client. Without client_id, this token
	// can't be distinguished from the token of a user with the same id (RFC 9700, section 4.15).
	AllowMissingClientID bool
	// AllowClientAudience accepts tokens whose only audience is their own client. It is for an API
	// that is registered at the issuer as the same application as its client.
	//
	// The risk: the audience is what distinguishes most ID tokens from access tokens. With
	// AllowClientAudience, an ID token of that client is still refused if it has nonce, at_hash or
	// c_hash, if it has no scope claim, or if a claim says that it is an ID token. Any other ID
	// token of that client is accepted.
	AllowClientAudience bool
	// AllowNonce accepts tokens with a nonce. Some issuers copy the nonce of the authentication
	// request into access tokens (Azure AD B2C, Keycloak before 24).
	//
	// The risk: in most systems, only ID tokens have a nonce. With AllowNonce, an ID token is still
	// refused if its audience is not this API, if its audience is its client, or if it has no scope
	// claim. Avoid AllowNonce together with AllowClientAudience: an ID token with a scope claim is
	// then accepted, unless it has at_hash or c_hash.
	AllowNonce bool

	// Subject finds the user of a valid token that names no user. Such a token belongs to a service
	// account: it has no sub, or its sub is its client. Subject is called for every request with
	// such a token. If Subject returns "" and no error, the token has no user. If it returns an id
	// with more than 512 bytes or with control characters, the token is refused with
	// [ReasonSubject]. If it returns an [*Error], that Error is the refusal. Any other error counts
	// as an outage: 503. If Subject is nil, the token has no user.
	Subject func(context.Context, *User) (subject string, err error)
	// AllowClientTokens accepts tokens without a user: tokens that name no user, and for which
	// Subject finds none. The client then acts for itself, and [User.Subject] is "". Issuers that
	// follow RFC 9068, section 2.2, write the client's id into sub. The library does not use it as
	// the id of a user, because a client could then pose as the user with that id (RFC 9700,
	// section 4.15).
	AllowClientTokens bool

	// Introspection configures how tokens that are not JWTs are introspected (RFC 7662). If
	// Introspection is nil, tokens that are not JWTs are refused.
	Introspection *Introspection
	// AlwaysIntrospect introspects every token, also JWTs, and verifies none locally. Responses
	// with "active": true are not cached unless Introspection.CacheTTL is set. So a revocation at
	// the issuer takes effect with the next introspection call. But requests with the same token at
	// the same time share one call, which may have begun before the revocation.
	AlwaysIntrospect bool
	// RequireActive introspects each JWT after it was verified locally, and refuses it if the
	// issuer says that it is not active. Introspection.CacheTTL says how long responses are cached.
	// RequireActive can't be combined with AlwaysIntrospect.
	RequireActive bool

	// MaxKeyAge is the time for which the last good metadata and key set are used while the issuer
	// can't be reached. After that time the response to requests is 503. 0 means 24 hours.
	MaxKeyAge time.Duration
	// CacheSize is the largest number of verified JWTs in the cache. 0 means 10 000. A full cache
	// drops its oldest entries.
	CacheSize int
	// CacheBytes limits the memory that verified JWTs take, in bytes. The limit is approximate. The
	// cache is full when it reaches CacheSize or CacheBytes. A quarter of the memory is reserved
	// for tokens that are in use. A token that takes more than about 2 % of CacheBytes is not
	// cached, so its signature is verified for each request. 0 means 64 MiB, and 1 MiB is the
	// minimum.
	CacheBytes int

	// RevocationBus sends the revocations of [Validator.Revoke] to other instances. If nil, a
	// revocation has an effect on this instance only.
	RevocationBus RevocationBus
	// Replay records which logout tokens were used, so that [Validator.LogoutHandler] accepts each
	// of them once. All instances of a service need one store that they share, such as that of
	// package rediscache in adapters. If nil, each Validator has a store in memory, and a logout
	// token is accepted once by each instance. Proofs of possession are not recorded here: package
	// dpop has a store in its own Config.
	Replay replay.Store

	// HTTPClient fetches the metadata and the key set, and sends introspection calls. Redirects are
	// not followed. Each call takes at most 5 seconds (Introspection.Timeout for introspection). If
	// HTTPClient has a Timeout, this Timeout limits each attempt to send the call, and not the
	// whole call.
	//
	// If nil, the client has the settings of [http.DefaultTransport], with proxies from the
	// environment and these limits: 2 seconds for the connection, 2 seconds for the TLS handshake,
	// and 4 seconds for the header of a response. It sends pings on HTTP/2 connections.
	//
	// A call without a response is sent again every 0.9 seconds, on a new connection. If Transport
	// is an [*http.Transport] or nil, a copy of Transport makes that connection. If the connections
	// of Transport turn out to be dead, this Validator uses the copy from then on. Other users of
	// HTTPClient are not affected. A Transport of another type should find dead connections itself:
	// see [http.HTTP2Config].
	HTTPClient *http.Client
	// AllowHTTP accepts http URLs on every host, for networks that protect connections in another
	// way. Without AllowHTTP, two rules apply. http URLs are accepted on loopback only. And if
	// Issuer is https and its metadata are fetched by https, every URL in the metadata must be
	// https, even on loopback.
	AllowHTTP bool
	// Logger receives a record when the state of the issuer changes: the issuer can't be reached,
	// refuses our credentials, or works again. It receives such records about Introspection.Cache,
	// Replay and the revocations of other instances too. It also receives the reasons why logout
	// tokens are refused and, if [Options] has no Logger, why requests are refused. If nil, it is
	// [slog.Default].
	Logger *slog.Logger
	// BeforeIssuerCall is called before each call to the issuer, for traces. It is not called again
	// if the call is sent again after 0.9 seconds. document is "metadata", "jwks" or
	// "introspection". The request is sent with the fields that BeforeIssuerCall adds to header,
	// but BeforeIssuerCall can't replace a field that the library sets. The call and the hook
	// IssuerCall get the context that BeforeIssuerCall returns. For introspection, ctx has the
	// values of the guarded request's context. Calls for metadata and keys belong to no guarded
	// request. A panic in BeforeIssuerCall is ignored.
	BeforeIssuerCall func(ctx context.Context, document string, header http.Header) context.Context
	// IssuerCall is called after each call to the issuer, for metrics and traces. Several requests
	// of clients may wait until IssuerCall returns. A panic in IssuerCall is ignored.
	IssuerCall func(context.Context, IssuerCall)
}

// Profile says which claims and which typ a JWT access token must have.
type Profile int

const (
	// ProfileIdentityServer accepts the JWTs of IdentityServer 3, IdentityServer4 and Duende. typ
	// is at+jwt, JWT or missing. scope is a string or an array. iat and jti are optional. azp may
	// replace client_id. Tokens of service accounts have no sub.
	ProfileIdentityServer Profile = iota
	// ProfileRFC9068 requires what RFC 9068 requires. typ is at+jwt. iss, exp, aud, sub, client_id,
	// iat and jti are required. scope is a string.
	ProfileRFC9068
)

// Introspection configures the introspection of tokens at the issuer (RFC 7662).
type Introspection struct {
	// Endpoint is the URL of the introspection endpoint. If "", it is the URL that the issuer's
	// metadata contain as introspection_endpoint.
	Endpoint string
	// ClientID and ClientSecret are the credentials of this API. At IdentityServer they are the
	// name and the secret of the API resource, not those of a client. ClientSecret is required
	// unless Auth is a ClientAuth of your own.
	ClientID, ClientSecret string
	// Auth is the method by which this API authenticates at the introspection endpoint. If nil, it
	// is [ClientSecretBasic].
	Auth ClientAuth
	// MaxTokenLength is the largest length of a token that is not a JWT, in bytes. Real opaque
	// tokens have about 70 bytes, and each unknown token costs an introspection call. 0 means 1
	// KiB, or Config.MaxTokenLength if that is less. MaxTokenLength must not exceed
	// Config.MaxTokenLength, which bounds all tokens.
	MaxTokenLength int
	// CacheTTL is the time for which a response with "active": true is cached. No response is used
	// after the token's exp. A revocation at the issuer takes effect after at most CacheTTL. 0
	// means one minute; with [Config.AlwaysIntrospect], 0 turns this cache off. A negative value
	// always turns it off.
	CacheTTL time.Duration
	// NegativeTTL is the time for which a response with "active": false is cached. These responses
	// have a cache of their own. 0 means 10 seconds. A negative value turns the cache of these
	// responses off.
	NegativeTTL time.Duration
	// CacheSize is the largest number of responses in the cache of active tokens, and also in the
	// cache of inactive tokens. 0 means 10 000.
	CacheSize int
	// CacheBytes limits the memory, in bytes, that the cache of active tokens and the cache of
	// inactive tokens take together. The limit is approximate. The cache of inactive tokens gets an
	// eighth of CacheBytes. A response that takes more than a fiftieth of CacheBytes is not cached,
	// so its token is introspected for each request. 0 means 64 MiB, and 1 MiB is the minimum.
	CacheBytes int
	// Timeout is the time limit of one introspection call, including a second attempt. If
	// MaxConcurrent calls are running, a new call waits before it begins. Timeout also limits this
	// wait, which is not part of the call. 0 means 5 seconds.
	Timeout time.Duration
	// MaxConcurrent is the largest number of introspection calls that run at the same time. 0 means
	// 64. Up to 16 times as many calls wait for their turn. If that many calls wait already, the
	// response to a further request is 503 immediately. Calls for tokens that were active before
	// wait in a second queue of the same length, which goes first. If a call can't begin within
	// Timeout, the response to its request is 503. A call that gets no response is sent again every
	// 0.9 seconds until it has a response or Timeout is over. At most four calls at a time are sent
	// again in this way.
	MaxConcurrent int
	// StaleIfError is the time after CacheTTL for which the last response with "active": true may
	// still be used if the issuer gives no usable response. While the issuer fails, a revocation at
	// the issuer may therefore take effect later, by up to StaleIfError. But no response is used
	// after the token's exp. 0 turns StaleIfError off.
	StaleIfError time.Duration
	// Cache shares introspection responses with other instances. An instance first looks into its
	// own caches, then into Cache, and then calls the issuer. Cache needs a CacheTTL. A response
	// with "active": true is used until CacheTTL has passed since the introspection call. A
	// response with "active": false is used until NegativeTTL has passed since the call. Both times
	// begin with the call, also if another instance made it. Only instances with the same issuer,
	// endpoint and ClientID share responses. If nil, each instance has only its own caches.
	Cache Cache
}

// String returns the introspection endpoint and the client id, without the secret.
func (i Introspection) String() string {
	return fmt.Sprintf("introspection at %q as client %q", i.Endpoint, i.ClientID)
}

// GoString returns the same text as String, so that %#v shows no secret.
func (i Introspection) GoString() string { return i.String() }

// LogValue returns the same text as String, so that a log record shows no secret.
func (i Introspection) LogValue() slog.Value { return slog.StringValue(i.String()) }

// MarshalJSON returns the text of String as JSON. So no secret appears in a configuration that is
// written as JSON.
func (i Introspection) MarshalJSON() ([]byte, error) { return json.Marshal(i.String()) }

// withDefaults returns a copy of the Config c in which each zero value is replaced by its default.
// The copy shares no memory that the caller could change later.
func (c Config) withDefaults() Config {
	c.Audiences = slices.Clone(c.Audiences)
	c.Algorithms = slices.Clone(c.Algorithms)
	c.ClientClaims = slices.Clone(c.ClientClaims)
	c.ScopeClaims = slices.Clone(c.ScopeClaims)
	const defaultCacheBytes = 64 << 20
	set(&c.Issuer, IssuerProduction)
	set(&c.ClockSkew, 30*time.Second)
	if !c.AllowAnyLifetime {
		set(&c.MaxTokenLifetime, time.Hour)
	}
	set(&c.MaxTokenLength, DefaultMaxTokenLength)
	set(&c.MaxKeyAge, 24*time.Hour)
	set(&c.CacheSize, 10_000)
	set(&c.CacheBytes, defaultCacheBytes)
	if c.Introspection != nil {
		i := *c.Introspection
		if !c.AlwaysIntrospect {
			set(&i.CacheTTL, time.Minute)
		}
		if i.Auth == nil {
			i.Auth = ClientSecretBasic
		}
		set(&i.NegativeTTL, 10*time.Second)
		set(&i.MaxTokenLength, min(1<<10, c.MaxTokenLength))
		set(&i.CacheSize, 10_000)
		set(&i.CacheBytes, defaultCacheBytes)
		set(&i.Timeout, 5*time.Second)
		set(&i.MaxConcurrent, 64)
		c.Introspection = &i
	}
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
