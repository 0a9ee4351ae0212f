package xenaauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// Config says which access tokens a [Validator] accepts. Audiences is required. The zero value of
// every other field is safe and right for the Xena API.
type Config struct {
	// Issuer is the exact iss of acceptable tokens (RFC 8725, section 3.8) and the base URL of its metadata, without a
	// trailing slash unless the issuer writes one. "" is [IssuerProduction].
	Issuer string
	// MetadataURL is the URL of the issuer's metadata, for example with a host name inside your
	// network. "" is the URL of OpenID Connect Discovery that follows from Issuer, and that of RFC
	// 8414 if the first is not found.
	MetadataURL string
	// JWKSURL is the URL of the issuer's JWK set. "" is jwks_uri of the metadata.
	JWKSURL string

	// Audiences are the names of this API. The claim aud must hold at least one of them (RFC 9068,
	// section 4; RFC 7519, section 4.1.3). An introspection response without aud is accepted,
	// because the issuer knows which API sent the introspection request.
	Audiences []string
	// AllowAnyAudience turns the check of aud off, for an IdentityServer that issues tokens without
	// aud. Then every route must require a scope. It excludes Audiences.
	AllowAnyAudience bool

	// Profile is the shape of JWT access tokens. The zero value is [ProfileIdentityServer].
	Profile Profile
	// Algorithms are the signature algorithms that are accepted. nil is all that are supported:
	// RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519. EdDSA and Ed25519 (RFC
	// 9864) are two names of one algorithm, so each of them allows both.
	Algorithms []string
	// ClockSkew is the largest accepted difference between the issuer's clock and the clock here. 0
	// is 30 seconds, and 2 minutes is the maximum.
	ClockSkew time.Duration
	// MaxTokenLifetime is the longest accepted time from nbf (iat if there is no nbf) to exp,
	// without ClockSkew. 0 is one hour, the lifetime of Xena's tokens. 100 years is the maximum, as
	// for every duration here.
	MaxTokenLifetime time.Duration
	// AllowAnyLifetime accepts tokens of any lifetime. It excludes MaxTokenLifetime. Without it, a
	// token that has exp but neither nbf nor iat is refused, because its lifetime is unknown.
	AllowAnyLifetime bool
	// MaxTokenLength is the largest length of a token, in bytes. 0 is 16 KiB. The bound of
	// [Options] applies as well. For tokens that are not JWTs the bound of [Introspection] applies
	// too; its default is 1 KiB.
	MaxTokenLength int

	// ClientClaims are the claims that may name the client, by their exact names. The first claim
	// of the list that a token has is used. nil is client_id, then azp. Okta writes cid. Entra ID
	// v1 and AD FS write appid. List aud, together with AllowClientAudience, only for an issuer
	// that names the client in no other claim; aud must then hold one name. List only claims that
	// the issuer itself writes. The risk: with a claim that a client can choose, the client could
	// pose as another client. It excludes ProfileRFC9068.
	ClientClaims []string
	// ScopeClaims are the claims that hold the scopes, by their exact names. The value is a string
	// of scopes separated by spaces, or an array of scopes. The first claim of the list that a
	// token has is used. nil is scope, then scp. For roles (Entra ID) or permissions (Auth0), list
	// those claims; AllScopes and AnyScope then compare with their values. The risk: roles and
	// permissions often say what the user may do, and not what the user has allowed the client to
	// do. Then every client of the user may do it. It excludes ProfileRFC9068.
	ScopeClaims []string
	// AllowMissingClientID accepts introspection responses without client_id, which is optional in
	// RFC 7662, section 2.2. [User.ClientID] is then "", and a [Revocation] by ClientID does not
	// match such a token. A JWT that is verified locally must still name its client, because an ID
	// token often does not. The risk: the sub of a client's own token is the client. Such a token
	// cannot be told from the token of a user with the same id (RFC 9700, section 4.15).
	AllowMissingClientID bool
	// AllowClientAudience accepts tokens whose only audience is their own client. It is for an API
	// that is registered at the issuer as the same application as its client. The risk: the
	// audience is what tells most ID tokens from access tokens. An ID token of that client is still
	// refused if it has nonce, at_hash or c_hash, if it has no scope claim, or if a claim says that
	// it is an ID token. An ID token with a scope claim and without these marks is accepted.
	AllowClientAudience bool
	// AllowNonce accepts tokens with a nonce. Some issuers copy it from the authentication request
	// into access tokens (Azure AD B2C, Keycloak before 24). The risk: nonce marks ID tokens. An ID
	// token is still refused if its audience is not this API, if its audience is its client, or if
	// it has no scope claim. Do not set AllowNonce together with AllowClientAudience unless you
	// must: an ID token with a scope claim is then accepted unless it has at_hash or c_hash.
	AllowNonce bool

	// Subject finds the user of a valid token that names no user: the token has no sub, or its sub
	// is its client. Such a token belongs to a service account. Subject runs on every request with
	// such a token. If it returns "" and no error, there is no user. If it returns an [*Error], the
	// response is the one that the Error describes. Any other error is an outage: 503. If Subject
	// is nil, such a token has no user.
	Subject func(context.Context, *User) (subject string, err error)
	// AllowClientTokens accepts tokens that name no user and for which Subject finds no user: the
	// client acts for itself. [User.Subject] is then "". Issuers that follow RFC 9068, section 2.2,
	// write the client's id into sub. The library does not take it for a user, because a client
	// could then pose as the user with that id (RFC 9700, section 4.15).
	AllowClientTokens bool

	// Introspection configures how tokens that are not JWTs are introspected (RFC 7662). If nil,
	// such tokens are refused.
	Introspection *Introspection
	// AlwaysIntrospect introspects every token, JWT or not, and verifies none locally. Responses
	// with "active": true are not cached unless Introspection.CacheTTL is set. So a revocation at
	// the issuer takes effect with the next introspection call. A request may share a call for the
	// same token that began before the revocation.
	AlwaysIntrospect bool
	// RequireActive introspects a JWT after it was verified locally, and refuses it if it is not
	// active. Responses are cached as Introspection says. It excludes AlwaysIntrospect.
	RequireActive bool

	// MaxKeyAge is how long the last good metadata and key set are used while the issuer fails.
	// After that the response is 503. 0 is 24 hours.
	MaxKeyAge time.Duration
	// CacheSize is the largest number of verified JWTs that are cached. 0 is 10 000. A full cache
	// drops its oldest entries.
	CacheSize int
	// CacheBytes is about the largest amount of memory for verified JWTs, in bytes. The bound that
	// is reached first, CacheSize or CacheBytes, counts. A quarter of the memory is for the tokens
	// in use. A token that takes more than a fiftieth of CacheBytes is not cached and is verified
	// with each request. 0 is 64 MiB, and 1 MiB is the minimum.
	CacheBytes int

	// RevocationBus distributes the revocations of [Validator.Revoke] to other instances. If nil,
	// they stay local.
	RevocationBus RevocationBus

	// HTTPClient fetches metadata and keys, and sends introspection calls. It never follows
	// redirects. nil is a client like the default one of net/http, with proxies from the
	// environment. It waits 2 seconds for the connection, 2 seconds for the TLS handshake and 4
	// seconds for the header of a response, and it sends pings on HTTP/2 connections. Each call
	// takes at most 5 seconds (Introspection.Timeout for introspection); the Timeout of HTTPClient,
	// if set, applies as well.
	//
	// A call without a response is sent again after 0.9 seconds, on a new connection. If Transport
	// is an [*http.Transport] or nil, a copy of it makes that connection. The copy replaces
	// Transport in this Validator if the connections of Transport are dead. Other users of the
	// client are not affected. A Transport of another type should find dead connections itself: see
	// [http.HTTP2Config].
	HTTPClient *http.Client
	// AllowHTTP accepts http URLs on hosts other than loopback, for networks that protect
	// connections in another way. Without it, metadata that were fetched by https may contain https
	// URLs only, also on loopback.
	AllowHTTP bool
	// Logger receives the changes in the state of the issuer: unreachable, wrong credentials, back
	// again. It also receives the reasons why logout tokens are refused, and why requests are
	// refused if [Options] has no Logger. nil is [slog.Default].
	Logger *slog.Logger
	// BeforeIssuerCall is called before each HTTP request to the issuer, for traces. document is
	// "metadata", "jwks" or "introspection". The request is sent with the fields that the function
	// adds to header; it can't replace those of the library. The request and IssuerCall get the
	// context that it returns. For introspection, ctx has the values of the guarded request's
	// context. Other calls belong to no request. A panic in the function is ignored.
	BeforeIssuerCall func(ctx context.Context, document string, header http.Header) context.Context
	// IssuerCall is called after each HTTP request to the issuer, for metrics and traces. It runs on
	// a goroutine that several requests may wait for. A panic in it is ignored.
	IssuerCall func(context.Context, IssuerCall)
}

// Profile is a shape of JWT access tokens.
type Profile int

const (
	// ProfileIdentityServer is what IdentityServer 3, 4 and Duende issue: typ at+jwt, JWT or none, scope a string or an
	// array, iat and jti optional, azp accepted for client_id, sub absent from service accounts' tokens.
	ProfileIdentityServer Profile = iota
	// ProfileRFC9068 is RFC 9068 to the letter: typ at+jwt; iss, exp, aud, sub, client_id, iat and jti required; scope
	// a string.
	ProfileRFC9068
)

// Introspection configures the introspection of tokens at the issuer (RFC 7662).
type Introspection struct {
	// Endpoint is the URL of the introspection endpoint. "" is introspection_endpoint of the
	// metadata.
	Endpoint string
	// ClientID and ClientSecret are this API's own credentials. At IdentityServer they are the name and
	// secret of the API resource, not those of a client. An Auth of your own may need no ClientSecret.
	ClientID, ClientSecret string
	// Auth is how this API authenticates at the endpoint. nil is [ClientSecretBasic].
	Auth ClientAuth
	// MaxTokenLength is the largest length of a token that is not a JWT, in bytes. Real ones have
	// about 70 bytes, and each unknown one costs an introspection call. 0 is 1 KiB, or
	// Config.MaxTokenLength if that is less. It must not exceed Config.MaxTokenLength, which bounds
	// all tokens.
	MaxTokenLength int
	// CacheTTL is how long a response with "active": true is cached, and never beyond the token's
	// exp. A revocation at the issuer takes effect after at most that time. 0 is one minute, or no
	// caching with [Config.AlwaysIntrospect]. A negative value turns caching off.
	CacheTTL time.Duration
	// NegativeTTL is how long a response with "active": false is cached, in a cache of its own. 0
	// is 10 seconds. A negative value turns caching off.
	NegativeTTL time.Duration
	// CacheSize is the largest number of responses in each of the two caches. 0 is 10 000.
	CacheSize int
	// CacheBytes is about the largest amount of memory for cached responses, in bytes, like
	// [Config.CacheBytes] for JWTs. An eighth of it is for tokens that are not active. A response
	// that takes more than a fiftieth of it is not cached: its token is introspected with each
	// request. 0 is 64 MiB, and 1 MiB is the minimum.
	CacheBytes int
	// Timeout bounds one introspection call, a second try included. 0 is 5 seconds. A call may wait
	// as long again until MaxConcurrent lets it begin.
	Timeout time.Duration
	// MaxConcurrent is the largest number of introspection calls at a time. Up to four calls without a
	// response are sent again each 0.9 seconds. Up to 16 times as many calls wait; if Timeout
	// passes before a call begins, its request gets 503. Further calls get 503 at once. 0 is 64.
	MaxConcurrent int
	// StaleIfError is how long after CacheTTL the last response with "active": true may be
	// used while the issuer gives no usable response, and never beyond the token's exp. A
	// revocation at the issuer may take effect that much later. 0 turns it off.
	StaleIfError time.Duration
	// Cache shares introspection responses with other instances. It is read after the caches of
	// this instance and before the issuer is called. It needs a CacheTTL. A response is used until
	// CacheTTL (NegativeTTL) after the introspection call, also if another instance made the call.
	// Only instances with the same issuer, endpoint and ClientID share responses. If nil, nothing
	// is shared.
	Cache Cache
}

// String names the endpoint and the client, and not the secret.
func (i Introspection) String() string {
	return fmt.Sprintf("introspection at %q as client %q", i.Endpoint, i.ClientID)
}

// GoString is String.
func (i Introspection) GoString() string { return i.String() }

// LogValue is String.
func (i Introspection) LogValue() slog.Value { return slog.StringValue(i.String()) }

// MarshalJSON is String, as JSON: a configuration that is dumped shows no secret.
func (i Introspection) MarshalJSON() ([]byte, error) { return json.Marshal(i.String()) }

// Validate returns all mistakes in the configuration, joined by [errors.Join], or nil. It does no
// I/O.
func (c Config) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("xenaauth: Config.%s %s", field, fmt.Sprintf(format, args...)))
	}
	if c.AllowAnyLifetime && c.MaxTokenLifetime != 0 {
		wrong("MaxTokenLifetime", "and AllowAnyLifetime exclude each other")
	}
	c = c.withDefaults()
	for _, u := range []struct{ field, value string }{
		{"Issuer", c.Issuer}, {"MetadataURL", c.MetadataURL}, {"JWKSURL", c.JWKSURL},
	} {
		if u.value != "" || u.field == "Issuer" {
			if err := c.checkURL(u.value); err != nil {
				wrong(u.field, "%v", err)
			}
		}
	}
	if strings.ContainsAny(c.Issuer, "?#") {
		wrong("Issuer", "has a query or a fragment (RFC 8414, section 2)")
	}
	switch {
	case len(c.Audiences) == 0 && !c.AllowAnyAudience:
		wrong("Audiences", "is empty: name this API, or set AllowAnyAudience")
	case len(c.Audiences) > 0 && c.AllowAnyAudience:
		wrong("Audiences", "and AllowAnyAudience exclude each other")
	case slices.Contains(c.Audiences, ""):
		wrong("Audiences", "holds an empty name")
	}
	if c.Profile != ProfileIdentityServer && c.Profile != ProfileRFC9068 {
		wrong("Profile", "is unknown")
	}
	for _, a := range c.Algorithms {
		if !jose.Known(a) {
			wrong("Algorithms", "holds %q, which is not supported", a)
		}
	}
	c.checkNames(wrong)
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		wrong("ClockSkew", "is not within 0 and 2 minutes")
	}
	if c.MaxTokenLifetime < time.Second && !c.AllowAnyLifetime {
		wrong("MaxTokenLifetime", "is under a second")
	}
	if c.MaxTokenLength < 0 {
		wrong("MaxTokenLength", "is negative")
	}
	if c.MaxKeyAge < 0 {
		wrong("MaxKeyAge", "is negative")
	}
	if c.CacheSize < 0 {
		wrong("CacheSize", "is negative")
	}
	if c.Introspection == nil && (c.AlwaysIntrospect || c.RequireActive) {
		wrong("Introspection", "is required by AlwaysIntrospect and RequireActive")
	}
	if c.AlwaysIntrospect && c.RequireActive {
		wrong("RequireActive", "and AlwaysIntrospect exclude each other")
	}
	if i := c.Introspection; i != nil {
		if i.Endpoint != "" {
			if err := c.checkURL(i.Endpoint); err != nil {
				wrong("Introspection.Endpoint", "%v", err)
			}
		}
		switch _, secret := i.Auth.(clientSecret); {
		case secret && (i.ClientID == "" || i.ClientSecret == ""):
			wrong("Introspection", "needs a ClientID and a ClientSecret")
		case i.ClientID == "":
			wrong("Introspection", "needs a ClientID")
		}
		if c.MaxTokenLength >= 0 && (i.MaxTokenLength < 0 || i.MaxTokenLength > c.MaxTokenLength) {
			wrong("Introspection.MaxTokenLength", "is not within 1 and MaxTokenLength, which is %d", c.MaxTokenLength)
		}
		if i.CacheSize < 0 {
			wrong("Introspection.CacheSize", "is negative")
		}
		if i.Timeout < 0 {
			wrong("Introspection.Timeout", "is negative")
		}
		if i.MaxConcurrent < 0 {
			wrong("Introspection.MaxConcurrent", "is negative")
		}
		if i.StaleIfError < 0 {
			wrong("Introspection.StaleIfError", "is negative")
		}
		if i.StaleIfError > 0 && i.CacheTTL <= 0 {
			wrong("Introspection.StaleIfError", "needs a CacheTTL: what isn't kept can't be used")
		}
		if i.Cache != nil && i.CacheTTL <= 0 {
			wrong("Introspection.Cache", "needs a CacheTTL: what isn't kept can't be shared")
		}
	}
	c.checkBounds(wrong)
	return errors.Join(errs...)
}

// withDefaults returns a copy of c with defaults in place of zero values. The copy shares no memory
// that the caller could change later.
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

// checkURL accepts https URLs, and http URLs on loopback, where others can't read the traffic.
func (c Config) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("is not an absolute URL without user and fragment")
	}
	if u.Scheme == "https" || u.Scheme == "http" && (c.AllowHTTP || loopback(u.Hostname())) {
		return nil
	}
	return errors.New("is not an https URL (http is for loopback, or see AllowHTTP)")
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
