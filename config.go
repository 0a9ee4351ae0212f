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

// Config says which access tokens a [Validator] accepts. Audiences is required; every other zero value is right for the
// Xena API and safe.
type Config struct {
	// Issuer is the exact iss of acceptable tokens (RFC 8725, section 3.8) and the base URL of its metadata, without a
	// trailing slash unless the issuer writes one. "" is [IssuerProduction].
	Issuer string
	// MetadataURL is where the issuer's metadata is, if not at the place that follows from Issuer: a host name inside
	// your network, say. "" is OpenID Connect Discovery's place and, where that is not found, RFC 8414's.
	MetadataURL string
	// KeySetURL is where the issuer's JWK set is. "" is what the metadata says.
	KeySetURL string

	// Audiences are the names of this API, of which aud must hold one (RFC 9068, section 4; RFC 7519, section 4.1.3). An
	// introspected token whose answer has no aud is taken for ours: the issuer knows who asks.
	Audiences []string
	// AllowAnyAudience switches the check of aud off, for an IdentityServer that issues tokens without one. Then every
	// route must require a scope. It excludes Audiences.
	AllowAnyAudience bool

	// Profile is the shape of JWT access tokens. The zero value is [ProfileIdentityServer].
	Profile Profile
	// Algorithms narrows the signature algorithms that are accepted. nil is RS256 RS384 RS512 PS256 PS384 PS512 ES256
	// ES384 ES512 EdDSA Ed25519; there are no others. EdDSA and Ed25519 (RFC 9864) name one algorithm, so either of them
	// allows both.
	Algorithms []string
	// ClockSkew is how far the issuer's clock and ours may differ. 0 is 30 seconds; 2 minutes is the most.
	ClockSkew time.Duration
	// MaxTokenLifetime is the longest validity of a token that is accepted, from nbf (or iat, where there is no nbf) to
	// exp, ClockSkew not counted. 0 is one hour, as Xena issues them. 100 years is the most, here and for every other time.
	MaxTokenLifetime time.Duration
	// AllowAnyLifetime accepts tokens however long they are valid. It excludes MaxTokenLifetime. An introspected token
	// that has exp, but neither nbf nor iat, is refused without it: its lifetime is unknown.
	AllowAnyLifetime bool
	// MaxTokenLength is how long a token may be, in bytes. 0 is 16 KiB. The bound of [Options] applies as well, and for
	// tokens that are no JWTs that of [Introspection], which is 1 KiB unless set.
	MaxTokenLength int

	// ClientClaims are the claims that may name the client, by their exact names. The first that a token has counts. nil
	// is client_id, then azp. Okta writes cid, Entra ID v1 and AD FS write appid. aud, which must then hold one name, is
	// for issuers that name the client nowhere else, together with AllowClientAudience. The claim must be the issuer's
	// own: a claim that a client can choose would let it pose as another client. It excludes ProfileRFC9068.
	ClientClaims []string
	// ScopeClaims are the claims that hold the scopes, by their exact names: a string of scopes separated by spaces, or
	// an array of scopes. The first that a token has counts. nil is scope, then scp. For roles (Entra ID) or permissions
	// (Auth0) list those, and AllScopes and AnyScope then compare with them. The risk: roles and permissions often say
	// what the user may do, not what the user has allowed the client to do, and then every client of the user may do it.
	// It excludes ProfileRFC9068.
	ScopeClaims []string
	// AllowMissingClientID accepts introspection responses that don't name the client (RFC 7662, section 2.2, calls
	// client_id optional). [User.ClientID] is then "", and a [Revocation] by ClientID doesn't match such a token. A JWT
	// that is verified locally must name its client all the same, since an ID token often doesn't. The risk: a client's own
	// token, whose sub is the client, can't be told from that of a user with this id (RFC 9700, section 4.15).
	AllowMissingClientID bool
	// AllowClientAudience accepts tokens whose only audience is their own client, for an API that is registered at the
	// issuer as one and the same application as its client. The risk: the audience is what tells most ID tokens from
	// access tokens. An ID token of that client is still refused if it has nonce, at_hash or c_hash, if it has no scope
	// claim, or if it says that it is an ID token. An ID token with a scope claim and none of those marks would pass.
	AllowClientAudience bool
	// AllowNonce accepts tokens with a nonce, which some issuers copy from the authentication request into access tokens
	// (Azure AD B2C, Keycloak before 24). The risk: nonce marks ID tokens. An ID token is still refused if its audience
	// is not this API, or is its client, or if it has no scope claim. Think twice before you set it with
	// AllowClientAudience: an ID token with a scope claim then passes unless it has at_hash or c_hash.
	AllowNonce bool

	// Subject finds the user of a valid token that names none: it has no sub, or its sub is its client. Such a token is a
	// service account's, and the user comes from a claim of its own or from its client. Subject runs on every request
	// with such a token. "" and no error means that there is no user. An [*Error] is answered as it says, any other error
	// is an outage. nil finds nobody.
	Subject func(context.Context, *User) (subject string, err error)
	// AllowClientTokens lets tokens in that name no user and for which Subject finds none: a client acts for itself, and
	// [User.Subject] is "". Issuers that follow RFC 9068, section 2.2, write the client's id into sub. If that counted as
	// a user, a client could pose as the user with that id (RFC 9700, section 4.15).
	AllowClientTokens bool

	// Introspection asks the issuer about tokens that are no JWTs (RFC 7662). nil refuses such tokens.
	Introspection *Introspection
	// AlwaysIntrospect asks the issuer about every token, JWT or not, and verifies none locally. Unless
	// Introspection.CacheTTL is set, answers are not cached, so that a revocation is seen by the next request that doesn't
	// share a question asked before it.
	AlwaysIntrospect bool
	// RequireActive asks the issuer, after a JWT was verified locally, whether it is active still. Answers are cached as
	// Introspection says. It excludes AlwaysIntrospect.
	RequireActive bool

	// MaxKeyAge is how long the last good metadata and key set are used while the issuer can't be reached; after that
	// the answer is 503. 0 is 24 hours.
	MaxKeyAge time.Duration
	// CacheSize is how many verified JWTs are remembered. 0 is 10 000. A full cache gives up its oldest entries.
	CacheSize int
	// CacheBytes is about how much memory verified JWTs may take, in bytes: whichever of CacheSize and CacheBytes is reached
	// first bounds the cache. A quarter of it is for the tokens in use. A token that takes more than a fiftieth of it is
	// not remembered, and verified with each request. 0 is 64 MiB; 1 MiB is the least.
	CacheBytes int

	// RevocationBus tells other instances what [Validator.Revoke] is told. nil tells nobody.
	RevocationBus RevocationBus

	// HTTPClient fetches metadata and keys and introspects. Redirects are never followed. nil is a client like the
	// default one of net/http, proxies from the environment included, with 2 seconds to connect, 2 for TLS and 4 for the
	// header of an answer, and with pings on HTTP/2 connections. Its Timeout, if any, applies besides ours, which is 5
	// seconds a call.
	//
	// A call without an answer is sent again after 0.9 seconds, by a new connection. Where Transport is an
	// [*http.Transport] or nil, a copy of it makes that connection, and replaces it here if its own connections are dead;
	// other users of the client are not affected. A Transport of another type should find dead connections itself:
	// see [http.HTTP2Config].
	HTTPClient *http.Client
	// AllowHTTP accepts http URLs on hosts other than loopback, for networks that protect connections in another way.
	// Without it, metadata that come by https may name https URLs only, also on loopback.
	AllowHTTP bool
	// Logger is told of changes in the state of the issuer: unreachable, wrong credentials, back again. It is also told why
	// logouts are refused, and why requests are, unless [Options] has a Logger. nil is [slog.Default].
	Logger *slog.Logger
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

// Introspection says how the issuer is asked about a token (RFC 7662).
type Introspection struct {
	// Endpoint is the URL to ask. "" is what the metadata says.
	Endpoint string
	// ClientID and ClientSecret are this API's own credentials. At IdentityServer they are the name and secret of the
	// API resource, not those of a client.
	ClientID, ClientSecret string
	// Auth is how they are sent. The zero value is [ClientSecretBasic].
	Auth ClientAuth
	// MaxTokenLength is how long a token that is no JWT may be, in bytes: real ones have some 70, and each unknown one costs
	// a question. 0 is 1 KiB, or Config.MaxTokenLength if that is less. It can't be more than Config.MaxTokenLength, which
	// bounds all tokens.
	MaxTokenLength int
	// CacheTTL is how long an answer that a token is active is kept, never beyond the token's exp. 0 is one minute
	// (none with [Config.AlwaysIntrospect]); a negative value keeps none. A revocation shows that much later.
	CacheTTL time.Duration
	// NegativeTTL is how long an answer that a token is not active is kept, in a cache of its own. 0 is 10 seconds; a
	// negative value keeps none.
	NegativeTTL time.Duration
	// CacheSize is how many answers each of the two caches keeps. 0 is 10 000.
	CacheSize int
	// CacheBytes is about how much memory the answers may take, in bytes, as [Config.CacheBytes] is for JWTs: an eighth of
	// it is for tokens that are not active. The issuer is asked with each request about a token whose answer takes more
	// than a fiftieth of it. 0 is 64 MiB; 1 MiB is the least.
	CacheBytes int
	// Timeout is for one question, a second try included. 0 is 5 seconds. Waiting for its turn may take as long again.
	Timeout time.Duration
	// Concurrent is how many questions may be under way at a time. Four of them may be sent once more while they wait for
	// an answer, each 0.9 seconds. Up to 16 times as many wait, and are 503 if Timeout
	// passes first; further ones are 503 at once. 0 is 64.
	Concurrent int
	// StaleIfUnavailable is for how long after CacheTTL the last answer that a token is active may be used while the
	// issuer gives no usable one, never beyond the token's exp. A revocation may show that much later. 0 is not at all.
	StaleIfUnavailable time.Duration
	// Cache shares answers with other instances. It is looked into after this instance's own caches and before the issuer
	// is asked, and needs a CacheTTL: an answer is used until CacheTTL (NegativeTTL) after the issuer was asked, whoever
	// asked. Only instances with the same issuer, endpoint and ClientID share. nil shares nothing.
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

// ClientAuth is how a client shows who it is (RFC 6749, section 2.3.1).
type ClientAuth int

const (
	// ClientSecretBasic sends id and secret by HTTP Basic, form-encoded first as the RFC says.
	ClientSecretBasic ClientAuth = iota
	// ClientSecretPost sends them in the form, as IdentityServer's own clients do. Use it where an old IdentityServer
	// doesn't decode a Basic secret with special characters.
	ClientSecretPost
)

// Validate tells every mistake in the configuration at once, joined by [errors.Join]. It does no I/O.
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
		{"Issuer", c.Issuer}, {"MetadataURL", c.MetadataURL}, {"KeySetURL", c.KeySetURL},
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
		if i.ClientID == "" || i.ClientSecret == "" {
			wrong("Introspection", "needs a ClientID and a ClientSecret")
		}
		if i.Auth != ClientSecretBasic && i.Auth != ClientSecretPost {
			wrong("Introspection.Auth", "is unknown")
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
		if i.Concurrent < 0 {
			wrong("Introspection.Concurrent", "is negative")
		}
		if i.StaleIfUnavailable < 0 {
			wrong("Introspection.StaleIfUnavailable", "is negative")
		}
		if i.StaleIfUnavailable > 0 && i.CacheTTL <= 0 {
			wrong("Introspection.StaleIfUnavailable", "needs a CacheTTL: what isn't kept can't be used")
		}
		if i.Cache != nil && i.CacheTTL <= 0 {
			wrong("Introspection.Cache", "needs a CacheTTL: what isn't kept can't be shared")
		}
	}
	c.checkBounds(wrong)
	return errors.Join(errs...)
}

// withDefaults is c with its zero values replaced, sharing nothing that its owner could change later.
func (c Config) withDefaults() Config {
	c.Audiences = slices.Clone(c.Audiences)
	c.Algorithms = slices.Clone(c.Algorithms)
	c.ClientClaims = slices.Clone(c.ClientClaims)
	c.ScopeClaims = slices.Clone(c.ScopeClaims)
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
		set(&i.NegativeTTL, 10*time.Second)
		set(&i.MaxTokenLength, min(1<<10, c.MaxTokenLength))
		set(&i.CacheSize, 10_000)
		set(&i.CacheBytes, defaultCacheBytes)
		set(&i.Timeout, 5*time.Second)
		set(&i.Concurrent, 64)
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

// checkURL accepts https URLs, and http on loopback, where nobody listens in.
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
