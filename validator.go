package xenaauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
	"github.com/xenaauth/xenaauth/internal/revocations"
)

// TokenValidator turns an access token into the user it stands for. It is what a [Middleware] asks, and where a
// validator of your own plugs in. An error that is no [*Error] counts as an outage: 503 and never 401.
type TokenValidator interface {
	Validate(ctx context.Context, token string) (*User, error)
}

// Validator is the [TokenValidator] for the tokens of one issuer. It is safe for concurrent use, holds no goroutine and
// needs no closing. Besides HTTP it serves whatever else brings tokens: gRPC, queues, WebSockets.
type Validator struct {
	cfg          Config
	policy       *policy
	issuer       *issuer
	verifier     *verifier
	introspector *introspector // nil without introspection
	report       *reporter
	revoked      *revocations.Set
}

// fetchTimeout is for one call of the issuer's metadata or key set.
const fetchTimeout = 5 * time.Second

// NewValidator returns a validator. It does no I/O: metadata and keys are fetched on first use. The error tells every
// mistake in cfg: [Config.Validate].
func NewValidator(cfg Config) (*Validator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	report := &reporter{logger: cfg.Logger}
	v := &Validator{cfg: cfg, policy: newPolicy(cfg), report: report}
	v.revoked = revocations.New(HashToken)
	network := newNetwork(cfg.HTTPClient)
	v.issuer = newIssuer(cfg, newFetcher(network, fetchTimeout), report)
	v.verifier = &verifier{
		issuer:     v.issuer,
		policy:     v.policy,
		algorithms: cfg.Algorithms,
		cache:      factcache.New(cfg.CacheSize, cfg.CacheBytes-cfg.CacheBytes/hotPart, stored.size),
		hot:        factcache.NewHot[*proven](cfg.CacheBytes / hotPart),
		users:      refresh.NewKnown(cfg.CacheSize),
	}
	if cfg.Introspection != nil {
		v.introspector = newIntrospector(cfg, network, v.issuer, v.policy, report)
	}
	return v, nil
}

// Validate returns the user of a valid access token. The error is always an [*Error]; its reasons from [ReasonMalformedToken]
// to [ReasonRevoked] say what is wrong with the token, [ReasonUnavailable] that it couldn't be told.
//
// A token of three segments whose first looks like a JOSE header is verified locally, any other is introspected where
// [Config.Introspection] is set. What a route requires beyond a valid token is not its concern.
func (v *Validator) Validate(ctx context.Context, token string) (*User, error) {
	now := time.Now()
	user, err, ok := v.recall(ctx, token, now)
	if !ok {
		user, err = v.facts(ctx, token, now)
	}
	return v.verdict(ctx, user, err, token, now)
}

// verdict is what is left to decide about a token that is good in itself.
func (v *Validator) verdict(ctx context.Context, user *User, err error, token string, now time.Time) (*User, error) {
	if err != nil {
		return nil, err
	}
	if v.isRevoked(user, token, now) {
		return nil, refuse(ReasonRevoked, nil)
	}
	return v.policy.subject(ctx, user)
}

// recall finds a token that is in use, without hashing it.
func (v *Validator) recall(ctx context.Context, token string, now time.Time) (user *User, err error, ok bool) {
	if v.cfg.AlwaysIntrospect || !jose.LooksLikeObject(token) {
		if v.introspector == nil {
			return nil, nil, false
		}
		return v.introspector.recall(ctx, token, now)
	}
	user, err, ok = v.verifier.recall(ctx, token, now)
	if ok && err == nil && v.cfg.RequireActive {
		user, err = v.alsoActive(ctx, user, token, now)
	}
	return user, err, ok
}

// facts looks up or finds out what is true of a token that isn't in use.
func (v *Validator) facts(ctx context.Context, token string, now time.Time) (*User, error) {
	long := len(token) > v.cfg.MaxTokenLength
	var parts jose.Token
	isJWT := false
	if !long {
		parts, isJWT = jose.Split(token)
		isJWT = isJWT && parts.Looks()
	}
	local := isJWT && !v.cfg.AlwaysIntrospect
	switch {
	case long:
		return nil, refuse(ReasonMalformedToken, &tooLong{len(token), v.cfg.MaxTokenLength, "Config.MaxTokenLength"})
	case !isJWT && v.introspector == nil:
		return nil, refuse(ReasonMalformedToken, errNoDoor)
	case token == "":
		return nil, refuse(ReasonMalformedToken, errEmpty)
	case !isJWT && len(token) > v.introspector.cfg.MaxTokenLength:
		return nil, refuse(ReasonMalformedToken, &tooLong{len(token), v.introspector.cfg.MaxTokenLength, opaqueSetting})
	case !local && !bearer.IsToken68(token):
		return nil, refuse(ReasonMalformedToken, errSyntax)
	case !local:
		return v.introspector.validate(ctx, token, now)
	}
	user, err := v.verifier.validate(ctx, token, parts, now)
	if err != nil || !v.cfg.RequireActive {
		return user, err
	}
	return v.alsoActive(ctx, user, token, now)
}

// alsoActive asks the issuer about a verified JWT.
func (v *Validator) alsoActive(ctx context.Context, user *User, token string, now time.Time) (*User, error) {
	asked, err := v.introspector.validate(ctx, token, now)
	if err != nil {
		return nil, err
	}
	otherUser := asked.subject != user.subject && asked.set.Subject != user.set.Subject
	if otherUser || asked.clientID != user.clientID && asked.clientID != "" {
		return nil, refuse(ReasonClaims, errors.New("the issuer's answer is about another user or client"))
	}
	return user, nil
}

var (
	errNoDoor = errors.New("token is not a JWT, and Config.Introspection is not set")
	errSyntax = errors.New("token contains a character that RFC 6750, section 2.1, does not allow")
)

// opaqueSetting names the bound for tokens that are not JWTs. Config.MaxTokenLength bounds all tokens.
const opaqueSetting = "not a JWT, for which Introspection.MaxTokenLength"

// Warm fetches what the first request would wait for, the metadata and the keys, and returns nil at once if they are at
// hand: for start-up checks and readiness probes. It also fails while the issuer refuses the credentials of
// [Introspection], as far as a token or an earlier Warm has found out. The error is an [*Error] with [ReasonUnavailable].
func (v *Validator) Warm(ctx context.Context) error {
	now := time.Now()
	if v.introspector != nil {
		endpoint, err := v.issuer.introspectionURL(ctx, now)
		if err != nil {
			return unavailable(err)
		}
		if err := v.introspector.credentials(ctx, endpoint, now); err != nil {
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

// buffers hold what is hashed, so that no token is copied to the heap for it.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const maxBuffer = 64 << 10

// hash is the key of what is known about a token. The parts are told apart by their lengths.
func hash(parts ...string) factcache.Key {
	buffer := buffers.Get().(*[]byte)
	b := (*buffer)[:0]
	for _, part := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	if cap(b) <= maxBuffer {
		*buffer = b
		buffers.Put(buffer)
	}
	return sum
}
