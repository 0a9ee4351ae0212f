package xenaauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/keyset"
)

// verifier is the door for JWTs.
type verifier struct {
	issuer     *issuer
	policy     *policy
	algorithms []string // nil is all
	headers    jose.Headers
	cache      *factcache.Cache[*proven]
}

// proven is what was verified about a token: its claims, by this key. It holds for as long as the issuer publishes it.
type proven struct {
	user *User
	key  *jose.Key
	in   atomic.Pointer[jose.KeySet] // the latest set that the key was seen in
}

// validate returns the user of a JWT that satisfies the policy.
func (v *verifier) validate(ctx context.Context, token jose.Token, key *factcache.Key, now time.Time) (*User, error) {
	if p, ok := v.cache.Get(key, now); ok {
		published, err := v.issuer.keys.Get(ctx, now)
		if err != nil {
			return nil, unavailable(err)
		}
		if p.by(published.keys) {
			if err := v.policy.check(p.user, claims.JWT, now); err != nil {
				return nil, err
			}
			return p.user, nil
		}
		v.cache.Delete(key)
	}
	return v.verify(ctx, token, key, now)
}

// by reports whether the key that proved the facts is in a set still.
func (p *proven) by(keys *jose.KeySet) bool {
	if p.in.Load() == keys {
		return true
	}
	if !keys.Contains(p.key) {
		return false
	}
	p.in.Store(keys)
	return true
}

// verify looks at a token that isn't known yet, the cheap and the telling first: a forged one that doesn't even claim to
// be good costs no signature check, and none costs a key before it names our issuer.
func (v *verifier) verify(ctx context.Context, token jose.Token, key *factcache.Key, now time.Time) (*User, error) {
	header, set, err := v.read(token)
	if err != nil {
		return nil, err
	}
	if !v.typed(header) {
		return nil, refuse(ReasonTokenType, errors.New("its typ is not an access token's"))
	}
	user := newUser(set)
	user.audienceUnchecked = v.policy.anyAudience
	if err := v.policy.check(user, claims.JWT, now); err != nil {
		return nil, err
	}
	if v.policy.lookalike(header, user) {
		return nil, refuse(ReasonTokenType, errors.New("it grants no scope, as an ID token"))
	}
	p, err := v.prove(ctx, token, header, now)
	if err != nil {
		return nil, err
	}
	p.user = user
	v.cache.Put(key, p, time.Unix(set.ExpiresAt, 0).Add(v.policy.skew), now)
	return user, nil
}

// read takes a token apart, as far as to know that it claims to be our issuer's.
func (v *verifier) read(token jose.Token) (*jose.Header, *claims.Set, error) {
	header, err := v.headers.Parse(token.Header())
	if err != nil {
		if errors.Is(err, jose.ErrMalformed) {
			return nil, nil, refuse(ReasonMalformedToken, err)
		}
		return nil, nil, refuse(ReasonAlgorithm, err)
	}
	if !jose.Known(header.Algorithm) || v.algorithms != nil && !slices.Contains(v.algorithms, header.Algorithm) {
		return nil, nil, refuse(ReasonAlgorithm, jose.ErrAlgorithm)
	}
	payload, err := token.Payload()
	if err != nil {
		return nil, nil, refuse(ReasonMalformedToken, err)
	}
	set, err := claims.Parse(payload, claims.JWT)
	if err != nil {
		if _, ok := errors.AsType[*claims.TypeError](err); ok {
			return nil, nil, refuse(ReasonClaims, err)
		}
		return nil, nil, refuse(ReasonMalformedToken, err)
	}
	if err := v.policy.issuedBy(set, claims.JWT); err != nil {
		return nil, nil, err
	}
	return header, set, nil
}

// prove verifies the signature of a token with the key that its header selects.
func (v *verifier) prove(ctx context.Context, token jose.Token, header *jose.Header, now time.Time) (*proven, error) {
	published, err := v.issuer.keys.Get(ctx, now)
	if err != nil {
		return nil, unavailable(err)
	}
	keys, known := published.keys.Find(header)
	if !known {
		if published, keys, err = v.newer(ctx, published, header, now); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, refuse(ReasonAlgorithm, errors.New("no published key has this algorithm"))
	}
	by, err := token.Verify(header.Algorithm, keys)
	if errors.Is(err, jose.ErrMalformed) {
		return nil, refuse(ReasonMalformedToken, err)
	} else if err != nil {
		return nil, refuse(ReasonSignature, err)
	}
	v.headers.Keep(token.Header(), header)
	p := &proven{key: by}
	p.in.Store(published.keys)
	return p, nil
}

// newer looks for a key in the set as it is now, which is fetched for everybody who waits for one, at most once a second.
func (v *verifier) newer(ctx context.Context, old published, header *jose.Header, now time.Time) (published, []*jose.Key, error) {
	if v.issuer.keys.Current(now) && old.keys.Absent(header) {
		return old, nil, refuse(ReasonUnknownKey, nil) // asked for and not there, less than a second ago
	}
	next, err := v.issuer.keys.After(ctx, now)
	if errors.Is(err, keyset.ErrCrowded) {
		return old, nil, refuse(ReasonUnknownKey, err)
	} else if err != nil {
		return old, nil, unavailable(err)
	}
	keys, known := next.keys.Find(header)
	if !known && v.issuer.moved(ctx, next, now) {
		if next, err = v.issuer.keys.After(ctx, time.Now()); err != nil {
			return old, nil, unavailable(err)
		}
		keys, known = next.keys.Find(header)
	}
	if !known {
		next.keys.MarkAbsent(header)
		return old, nil, refuse(ReasonUnknownKey, nil)
	}
	return next, keys, nil
}

// typed reports whether the typ of a header is an access token's: RFC 9068, section 2.1; IdentityServers before 4.0
// write JWT, others nothing.
func (v *verifier) typed(h *jose.Header) bool {
	if !h.HasType {
		return !v.policy.strict
	}
	return h.Type == "at+jwt" || !v.policy.strict && strings.EqualFold(h.Type, "jwt")
}
