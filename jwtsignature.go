package xenaauth

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/refresh"
)

// signatures verifies the signatures of JWTs with the keys that the issuer publishes.
type signatures struct {
	issuer  *issuer
	headers jose.Headers // headers contains the parsed headers of verified JWTs
	users   *refresh.Known
	tries   jose.Tries
}

// verifiedBy records which key has verified the signature of a token. The zero value means that the
// signature was not verified yet.
type verifiedBy struct {
	key *jose.Key
	// The field in is the latest key set in which the method holds has found the key.
	in atomic.Pointer[jose.KeySet]
}

// verifiedBy.holds reports whether the key set keys contains the key. If the result is false, the
// issuer has withdrawn the key.
func (p *verifiedBy) holds(keys *jose.KeySet) bool {
	if p.in.Load() == keys {
		return true
	}
	if !keys.Contains(p.key) {
		return false
	}
	p.in.Store(keys)
	return true
}

// signatures.verify verifies the signature of a token with the key that the header of the token
// selects. It stores this key in the argument by.
//
// If the key set has the key that the header names, but this key does not verify the signature, the
// issuer may have replaced the key and kept its name. If the header names no key, the right key may
// be new. In both cases verify starts a refresh of the key set, for later tokens.
func (s *signatures) verify(
	ctx context.Context, token *jose.Hashed, header *jose.Header, set *claims.Set, by *verifiedBy, now time.Time,
) error {
	t := traceOf(ctx)
	ctx = callerContext(ctx)
	endWait := t.startWait()
	published, err := s.issuer.keys.Get(ctx, now)
	endWait()
	if err != nil {
		return unavailable(err)
	}
	user := cmp.Or(set.Subject, set.ClientID)
	keys, known := published.keys.Find(header)
	if !known {
		endWait = t.startWait()
		published, keys, err = s.await(ctx, published, header, s.users.Name(user), now)
		endWait()
		if err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		s.issuer.keys.Doubt(now)
		return refuse(ReasonAlgorithm, &noKeyFor{header.Algorithm})
	}
	key, err := s.tries.Verify(token, header, keys, now)
	switch {
	case err == nil:
	case errors.Is(err, jose.ErrMalformed):
		return refuse(ReasonMalformedToken, err)
	case errors.Is(err, jose.ErrTries):
		return unavailable(err)
	default:
		s.issuer.keys.Doubt(now)
		return refuse(ReasonSignature, err)
	}
	if len(keys) > jose.FreeTries {
		published.keys.Prefer(header, key)
	}
	s.headers.Keep(token.Header(), header)
	s.users.Note(user)
	by.key = key
	by.in.Store(published.keys)
	t.setSource(fromJWT)
	return nil
}

// signatures.await waits for a key set with the key that a header names. All requests that wait
// share one fetch, and there is at most one fetch a second. user identifies the caller for
// [refresh.Source.Await]. The reason of the refusal is ReasonUnknownKey if the newest key set does
// not have the key. The reason is ReasonUnavailable if the fetch fails or too many requests wait.
func (s *signatures) await(
	ctx context.Context, old published, header *jose.Header, user uint64, now time.Time,
) (published, []*jose.Key, error) {
	if keys := s.recentKeys(now); keys != nil && keys.Absent(header) {
		return old, nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, keys.Len()})
	}
	has := func(p published) bool { _, known := p.keys.Find(header); return known }
	next, err := s.issuer.keys.Await(ctx, now, true, user, has)
	if err != nil {
		return old, nil, unavailable(err)
	}
	if !has(next) {
		moved, err := s.issuer.moved(ctx, next, user, now)
		if err == nil && moved {
			next, err = s.issuer.keys.Await(ctx, time.Now(), true, user, has)
		}
		if err != nil {
			return old, nil, unavailable(err)
		}
	}
	keys, known := next.keys.Find(header)
	if !known {
		next.keys.MarkAbsent(header)
		return old, nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, next.keys.Len()})
	}
	return next, keys, nil
}

// recentKeys returns the key set if it was fetched less than a second ago. The key set is fetched
// at most once a second, so it can't be fetched again yet. Otherwise recentKeys returns nil.
func (s *signatures) recentKeys(now time.Time) *jose.KeySet {
	if published, _, ok := s.issuer.keys.Peek(); ok && s.issuer.keys.Current(now) {
		return published.keys
	}
	return nil
}
