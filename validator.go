package xenaauth

import (
	"context"
	"log/slog"
	"time"

	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
	"github.com/xenaauth/xenaauth/internal/revocations"
)

// TokenValidator returns the user of an access token. A [Middleware] calls it. [Validator] is the
// one of this package, and you can write your own. An error that is not an [*Error] is an outage:
// 503, never 401.
type TokenValidator interface {
	Validate(ctx context.Context, token string) (*User, error)
}

// Validator is the [TokenValidator] for the tokens of one issuer. It is safe for concurrent use. It
// keeps no goroutine running and needs no Close. It knows no HTTP requests, so it also serves gRPC,
// queues and WebSockets.
type Validator struct {
	cfg          Config
	policy       *policy
	issuer       *issuer
	verifier     *verifier
	introspector *introspector // nil without introspection
	report       *reporter
	revoked      *revocations.Set
}

const (
	// fetchTimeout bounds one fetch of the issuer's metadata or key set.
	fetchTimeout = 5 * time.Second
	// hotPart is the share of the cache's memory for the tokens in use: one byte in hotPart bytes.
	hotPart = 4
)

// NewValidator returns a Validator. It does no I/O: metadata and keys are fetched at the first use.
// Its error is that of [Config.Validate], which reports every mistake in cfg.
func NewValidator(cfg Config) (*Validator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	report := &reporter{logger: cfg.Logger}
	v := &Validator{cfg: cfg, policy: newPolicy(cfg), report: report}
	v.revoked = revocations.New(HashToken)
	network := newNetwork(cfg.HTTPClient)
	v.issuer = newIssuer(cfg, newFetcher(network, fetchTimeout, cfg), report)
	v.verifier = &verifier{
		policy:     v.policy,
		signatures: &signatures{issuer: v.issuer, users: refresh.NewKnown(cfg.CacheSize)},
		algorithms: cfg.Algorithms,
		maxLength:  cfg.MaxTokenLength,
		cache:      factcache.New(cfg.CacheSize, cfg.CacheBytes-cfg.CacheBytes/hotPart, cachedJWT.size),
		hot:        factcache.NewHot[*jwtFacts](cfg.CacheBytes / hotPart),
	}
	if cfg.Introspection != nil {
		v.introspector = newIntrospector(cfg, network, v.issuer, v.policy, report)
	}
	return v, nil
}

// Validate returns the user of a valid access token. The error is always an [*Error]. Its reason is
// one from [ReasonMalformedToken] to [ReasonRevoked] if the token is bad, and [ReasonUnavailable]
// if the token could not be checked.
//
// A JWT is verified with the keys of the issuer: a token of three segments whose first segment
// looks like a JOSE header. Any other token is introspected if [Config.Introspection] is set.
// Validate does not check what a route requires in addition to a valid token: see
// [Requirement.Check].
func (v *Validator) Validate(ctx context.Context, token string) (*User, error) {
	now := time.Now()
	var user *User
	err := errOpaque
	if !v.cfg.AlwaysIntrospect && jose.LooksLikeObject(token) {
		user, err = v.verifier.verify(ctx, token, now)
	}
	if err == errOpaque && v.introspector == nil {
		return nil, refuse(ReasonMalformedToken, errNotJWT)
	}
	if err == errOpaque || err == nil && v.cfg.RequireActive {
		user, err = v.introspector.introspect(ctx, token, user, now)
	}
	if err != nil {
		return nil, err
	}
	if v.isRevoked(user, token, now) {
		return nil, refuse(ReasonRevoked, nil)
	}
	return v.policy.subject(ctx, user)
}

// Warm fetches the metadata and the keys, so that the first request does not wait for them. If they
// are known already, it returns nil at once. It is for start-up checks and readiness probes. Warm
// also fails while the issuer refuses the credentials of [Introspection], if an earlier call has
// shown that. The error is an [*Error] with [ReasonUnavailable].
func (v *Validator) Warm(ctx context.Context) error {
	now := time.Now()
	if v.introspector != nil {
		endpoint, err := v.issuer.introspectionURL(ctx, now)
		if err != nil {
			return unavailable(err)
		}
		if err := v.introspector.client.checkCredentials(ctx, endpoint, now); err != nil {
			return unavailable(err)
		}
	}
	if v.cfg.AlwaysIntrospect {
		return nil
	}
	if _, err := v.issuer.keys.Get(ctx, now); err != nil {
		return unavailable(err)
	}
	return nil
}

// innerValidator is what a Middleware needs of the validator inside a TokenValidator, besides
// Validate.
type innerValidator interface {
	self() TokenValidator // without the type that embeds it
	isRevoked(u *User, token string, now time.Time) bool
	acceptsAnyAudience() bool
	logger() *slog.Logger
}

// maxWrappers bounds how many wrappers are opened: one may return itself.
const maxWrappers = 64

// innermost looks for the validator inside of v, through the method Unwrap. It returns nil if there
// is none.
func innermost(v TokenValidator) innerValidator {
	for range maxWrappers {
		if inner, ok := v.(innerValidator); ok {
			return inner
		}
		wrapper, ok := v.(interface{ Unwrap() TokenValidator })
		if !ok {
			return nil
		}
		v = wrapper.Unwrap()
	}
	return nil
}

func (v *Validator) self() TokenValidator     { return v }
func (v *Validator) acceptsAnyAudience() bool { return v.policy.anyAudience }
func (v *Validator) logger() *slog.Logger     { return v.cfg.Logger }
