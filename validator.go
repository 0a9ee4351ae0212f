package xenaauth

import (
	"context"
	"log/slog"
	"time"

	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
	"github.com/xenaauth/xenaauth/internal/revocations"
	"github.com/xenaauth/xenaauth/replay"
)

// TokenValidator returns the user of an access token. A [Middleware] calls it for each token.
// [Validator] is the implementation of this package; you can write another one. An error that is
// not an [*Error] counts as an outage: the response is 503, and never 401.
type TokenValidator interface {
	Validate(ctx context.Context, token string) (*User, error)
}

// Validator is the [TokenValidator] for the tokens of one issuer. It is safe for concurrent use. It
// starts no goroutine that stays, and needs no Close. It does not depend on HTTP requests, so it
// can also serve gRPC, queues and WebSockets.
type Validator struct {
	cfg           Config
	policy        *policy
	issuer        *issuer
	verifier      *verifier
	introspector  *introspector // introspector is nil if Config.Introspection is nil
	report        *reporter
	revocationSet *revocations.Set
}

const (
	// fetchTimeout is the time limit for one fetch of the metadata or the key set.
	fetchTimeout = 5 * time.Second
	// A cache has a second, faster table for the tokens that are in use. This table gets a quarter
	// of the memory of the cache.
	hotTableDivisor = 4
)

// NewValidator returns a Validator. It does no I/O: metadata and keys are fetched when they are
// first needed. Its error is that of [Config.Validate], which lists every mistake in cfg.
func NewValidator(cfg Config) (*Validator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if cfg.Replay == nil {
		cfg.Replay = replay.NewLocal(replay.Options{})
	}
	report := &reporter{logger: cfg.Logger, issuer: cfg.Issuer}
	v := &Validator{cfg: cfg, policy: newPolicy(cfg), report: report}
	v.revocationSet = revocations.New(HashToken)
	network := newNetwork(cfg.HTTPClient)
	v.issuer = newIssuer(cfg, newFetcher(network, fetchTimeout, cfg), report)
	v.verifier = &verifier{
		policy:     v.policy,
		signatures: &signatures{issuer: v.issuer, users: refresh.NewKnownCallers(cfg.CacheSize)},
		algorithms: cfg.Algorithms,
		maxLength:  cfg.MaxTokenLength,
		cache:      factcache.New(cfg.CacheSize, cfg.CacheBytes-cfg.CacheBytes/hotTableDivisor, cachedJWT.size),
		hotTable:   factcache.NewHot[*jwtFacts](cfg.CacheBytes / hotTableDivisor),
	}
	if cfg.Introspection != nil {
		v.introspector = newIntrospector(cfg, network, v.issuer, v.policy, report)
	}
	return v, nil
}

// Validate returns the user of a valid access token. The error is always an [*Error]. If the token
// is bad, its reason is one from [ReasonMalformedToken] to [ReasonRevoked]. If the token could not
// be checked, the reason is [ReasonUnavailable]. [Config.Subject] may return any reason.
//
// A token is a JWT if it has three segments and the first segment looks like a JOSE header. A JWT
// is verified with the keys of the issuer. Any other token is introspected if
// [Config.Introspection] is set; with [Config.AlwaysIntrospect], every token is. A token that is
// bound to a key is refused, unless a [Middleware] with [Options.Proofs] calls Validate. Validate
// does not check scopes and policies: see [Requirement.Check].
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

// Warm fetches the metadata and the keys, so that the first request does not wait for them. It is
// for start-up checks and readiness probes. If metadata and keys are known already, Warm returns
// nil immediately. If an introspection call has shown that the issuer refuses the credentials of
// [Introspection], Warm returns an error until the issuer accepts them. The error is an [*Error]
// with [ReasonUnavailable].
func (v *Validator) Warm(ctx context.Context) error {
	now := time.Now()
	if v.introspector != nil {
		endpoint, err := v.issuer.introspectionURL(ctx, now)
		if err != nil {
			return refuseUnavailable(err)
		}
		if err := v.introspector.client.checkCredentials(ctx, endpoint, now); err != nil {
			return refuseUnavailable(err)
		}
	}
	if v.cfg.AlwaysIntrospect {
		return nil
	}
	if _, err := v.issuer.keys.Get(ctx, now); err != nil {
		return refuseUnavailable(err)
	}
	return nil
}

// innerValidator contains the methods of a Validator that a Middleware calls in addition to
// Validate. The Validator may be inside a wrapper.
type innerValidator interface {
	// self returns the Validator itself, also if it is embedded in a type of the service
	self() TokenValidator
	isRevoked(u *User, token string, now time.Time) bool
	acceptsAnyAudience() bool
	logger() *slog.Logger
	// issuerName is Config.Issuer.
	issuerName() string
}

// maxWrappers is the largest number of wrappers that findValidator unwraps. Without this limit, a
// wrapper that returns itself would cause an endless loop.
const maxWrappers = 64

// findValidator returns the Validator inside v. It calls Unwrap until it finds a Validator. The
// result is nil if there is no Validator.
func findValidator(v TokenValidator) innerValidator {
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
func (v *Validator) issuerName() string       { return v.cfg.Issuer }
