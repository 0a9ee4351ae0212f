package xenaauth

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
)

// verifier is the door for JWTs.
type verifier struct {
	issuer     *issuer
	policy     *policy
	algorithms []string // nil is all
	headers    jose.Headers
	cache      *factcache.Cache[stored]
	hot        *factcache.Hot[*proven]
	users      *refresh.Known
	tries      jose.Tries
}

// proven is what was verified about a token: its claims, by this key. It holds for as long as the issuer publishes it.
type proven struct {
	user User
	set  claims.Set
	key  *jose.Key
	in   atomic.Pointer[jose.KeySet] // the latest set that the key was seen in
}

// stored is how the facts of a token are kept that isn't in use right now: half the size, for a microsecond to read them
// again.
type stored struct {
	payload string
	key     *jose.Key
}

// recall returns the verdict on a token in use. ok is false for one that has to be looked up.
func (v *verifier) recall(ctx context.Context, token string, now time.Time) (user *User, err error, ok bool) {
	p, ok := v.hot.Get(token)
	if !ok {
		return nil, nil, false
	}
	if user, err, ok = v.judge(ctx, p, now); !ok {
		v.hot.Delete(token)
	}
	return user, err, ok
}

// validate returns the user of a JWT that satisfies the policy.
func (v *verifier) validate(ctx context.Context, text string, token jose.Token, now time.Time) (*User, error) {
	header, full := v.headers.Get(token.Header())
	if header == nil && !full {
		return v.verify(ctx, token, nil, now) // no token with this header was ever good, so it isn't worth looking for
	}
	hashed := token.Hash()
	key := cacheKey(hashed)
	if known, ok := v.cache.Get(&key, now); ok {
		p := &proven{key: known.key}
		if err := p.set.Parse(known.payload, claims.JWT); err != nil {
			return nil, refuse(ReasonMalformedToken, err)
		}
		v.init(p)
		p.user.indexScopes()
		if user, err, ok := v.judge(ctx, p, now); ok {
			v.hot.Put(text, p, p.size())
			return user, err
		}
		v.cache.Delete(&key)
	}
	return v.verify(ctx, token, hashed, now)
}

// cacheKey is a token's in the cache. It is about all of the token, though its signed part is hashed once only.
func cacheKey(token *jose.Hashed) factcache.Key {
	return hash("jwt", string(token.Sum[:]), token.Signature())
}

// judge decides about proven facts, as of now. ok is false if the key that proved them is no longer published.
func (v *verifier) judge(ctx context.Context, p *proven, now time.Time) (user *User, err error, ok bool) {
	if err := v.policy.check(&p.user, claims.JWT, now); err != nil {
		return nil, err, true // also while the issuer is away: no key would change that
	}
	published, err := v.issuer.keys.Get(ctx, now)
	if err != nil {
		return nil, unavailable(err), true
	}
	if !p.by(published.keys) {
		return nil, nil, false
	}
	return &p.user, nil, true
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
// be good costs no signature check, and none costs a key before it names our issuer. hashed is nil, or the token's.
func (v *verifier) verify(ctx context.Context, token jose.Token, hashed *jose.Hashed, now time.Time) (*User, error) {
	header, before, err := v.header(token)
	if err != nil {
		return nil, err
	}
	if !before && v.missing(header, now) {
		return nil, v.unknown(header)
	}
	p := new(proven)
	if err := v.payload(token, &p.set); err != nil {
		return nil, err
	}
	if !v.typed(header) {
		return nil, refuse(ReasonTokenType, v.wrongType(header))
	}
	v.init(p)
	if err := v.policy.check(&p.user, claims.JWT, now); err != nil {
		return nil, err
	}
	if v.policy.lookalike(header, &p.user) {
		return nil, refuse(ReasonTokenType, errNoScope)
	}
	sought := hashed != nil
	if !sought {
		hashed = token.Hash()
	}
	key, keys, err := v.prove(ctx, hashed, header, &p.set, now)
	if err != nil {
		return nil, err
	}
	p.user.indexScopes()
	p.key = key
	p.in.Store(keys)
	named := cacheKey(hashed)
	if !sought {
		v.cache.Missed(&named)
	}
	v.cache.Put(&named, stored{p.set.Raw, key}, time.Unix(p.set.ExpiresAt, 0).Add(v.policy.skew), now)
	return &p.user, nil
}

// init makes the user of a token whose claims were read.
func (v *verifier) init(p *proven) {
	p.user.init(&p.set, v.policy.claimNames)
	p.user.audienceUnchecked = v.policy.anyAudience
}

// header reads the first segment of a token. before is whether a token with this one was
// good before.
func (v *verifier) header(token jose.Token) (header *jose.Header, before bool, err error) {
	if header, _ = v.headers.Get(token.Header()); header != nil {
		return header, true, nil
	}
	if header, err = jose.ParseHeader(token.Header()); errors.Is(err, jose.ErrMalformed) {
		return nil, false, refuse(ReasonMalformedToken, err)
	} else if err != nil {
		return nil, false, refuse(ReasonAlgorithm, err)
	}
	if !jose.Known(header.Algorithm) || v.algorithms != nil && !jose.Among(v.algorithms, header.Algorithm) {
		return nil, false, refuse(ReasonAlgorithm, &wrongAlgorithm{header.Algorithm, v.algorithms})
	}
	return header, false, nil
}

// payload reads the second segment of a token, as far as to know that it claims to be our issuer's.
func (v *verifier) payload(token jose.Token, set *claims.Set) error {
	payload, err := token.Payload()
	if err != nil {
		return refuse(ReasonMalformedToken, err)
	}
	if err := set.Parse(payload, claims.JWT); err != nil {
		if _, ok := errors.AsType[*claims.TypeError](err); ok {
			return refuse(ReasonClaims, err)
		}
		return refuse(ReasonMalformedToken, err)
	}
	if err := v.policy.issuedBy(set, claims.JWT); err != nil {
		return err // not as an error that holds a nil *Error
	}
	return nil
}

// missing reports whether a key was asked for less than a second ago and not found. Whatever else such a token says, it
// can't be verified now, so a flood of them isn't read any further.
func (v *verifier) missing(header *jose.Header, now time.Time) bool {
	published, _, ok := v.issuer.keys.Peek()
	return ok && v.issuer.keys.Current(now) && published.keys.Absent(header)
}

// unknown refuses a token that names a key that the issuer doesn't publish.
func (v *verifier) unknown(header *jose.Header) *Error {
	n := 0
	if published, _, ok := v.issuer.keys.Peek(); ok {
		n = published.keys.Len()
	}
	return refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, n})
}

// prove verifies the signature of a token with the key that its header selects. A known key that doesn't verify may have
// got a successor of the same name, and so may a key without a name: then a refresh is started, which later tokens find.
func (v *verifier) prove(
	ctx context.Context, token *jose.Hashed, header *jose.Header, set *claims.Set, now time.Time,
) (*jose.Key, *jose.KeySet, error) {
	published, err := v.issuer.keys.Get(ctx, now)
	if err != nil {
		return nil, nil, unavailable(err)
	}
	keys, known := published.keys.Find(header)
	if !known {
		if published, keys, err = v.newer(ctx, published, header, set, now); err != nil {
			return nil, nil, err
		}
	}
	if len(keys) == 0 {
		v.issuer.keys.Doubt(now)
		return nil, nil, refuse(ReasonAlgorithm, &noKeyFor{header.Algorithm})
	}
	by, err := v.tries.Verify(token, header, keys, now)
	switch {
	case err == nil:
	case errors.Is(err, jose.ErrMalformed):
		return nil, nil, refuse(ReasonMalformedToken, err)
	case errors.Is(err, jose.ErrTries):
		return nil, nil, unavailable(err)
	default:
		v.issuer.keys.Doubt(now)
		return nil, nil, refuse(ReasonSignature, err)
	}
	if len(keys) > jose.FreeTries {
		published.keys.Prefer(header, by)
	}
	v.headers.Keep(token.Header(), header)
	v.users.Note(userName(set))
	return by, published.keys, nil
}

// userName returns what tells the users of tokens apart when they wait for keys.
func userName(set *claims.Set) string { return cmp.Or(set.Subject, set.ClientID) }

// newer looks for a key in the set as it is now, which is fetched for everybody who waits for one, at most once a second.
// If that could not be found out, for example because too many requests wait, the error is ReasonUnavailable.
func (v *verifier) newer(
	ctx context.Context, old published, header *jose.Header, set *claims.Set, now time.Time,
) (published, []*jose.Key, error) {
	if v.missing(header, now) {
		return old, nil, v.unknown(header)
	}
	user := v.users.Name(userName(set))
	has := func(p published) bool { _, known := p.keys.Find(header); return known }
	next, err := v.issuer.keys.Await(ctx, now, true, user, has)
	if err != nil {
		return old, nil, unavailable(err)
	}
	if !has(next) {
		moved, err := v.issuer.moved(ctx, next, user, now)
		if err == nil && moved {
			next, err = v.issuer.keys.Await(ctx, time.Now(), true, user, has)
		}
		if err != nil {
			return old, nil, unavailable(err)
		}
	}
	keys, known := next.keys.Find(header)
	if !known {
		next.keys.MarkAbsent(header)
		return old, nil, v.unknown(header)
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

// wrongType is the error for a header that typed refuses.
func (v *verifier) wrongType(h *jose.Header) *wrongType {
	if v.policy.strict {
		return &wrongType{h.Type, "at+jwt"}
	}
	return &wrongType{h.Type, "at+jwt, JWT or none"}
}
