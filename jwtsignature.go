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
	users   *refresh.KnownCallers
	tries   jose.Tries
}

// verifyingKey records which key has verified the signature of a token. The zero value means that
// the signature was not verified yet.
type verifyingKey struct {
	key *jose.Key
	// foundIn is the latest key set in which verifyingKey.keyIsIn has found the key.
	foundIn atomic.Pointer[jose.KeySet]
}

// verifyingKey.keyIsIn reports whether a key set contains the key that has verified the signature.
// If not, the issuer has withdrawn this key.
func (p *verifyingKey) keyIsIn(keys *jose.KeySet) bool {
	if p.foundIn.Load() == keys {
		return true
	}
	if !keys.Contains(p.key) {
		return false
	}
	p.foundIn.Store(keys)
	return true
}

// signatures.verify verifies the signature of a token with the key that the header of the token
// selects. It stores this key in usedKey.
//
// If the key set has the key that the header names, but this key does not verify the signature, the
// issuer may have replaced the key and kept its name. If the header names no key, or if no key fits
// its algorithm, the right key may be new. In all these cases signatures.verify starts a refresh of
// the key set, for later tokens.
func (s *signatures) verify(
	ctx context.Context, token *jose.Hashed, header *jose.Header, set *claims.Set, usedKey *verifyingKey, now time.Time,
) error {
	t := traceOf(ctx)
	ctx = callerContext(ctx)
	endWait := t.startWait()
	published, err := s.issuer.keys.Get(ctx, now)
	endWait()
	if err != nil {
		return refuseUnavailable(err)
	}
	user := cmp.Or(set.Subject, set.ClientID)
	keys, known := published.keys.Find(header)
	if !known {
		endWait = t.startWait()
		published, keys, err = s.awaitKey(ctx, published, header, s.users.FindNumber(user), now)
		endWait()
		if err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		s.issuer.keys.RefreshInBackground(now)
		return refuse(ReasonAlgorithm, &noKeyFor{header.Algorithm})
	}
	key, err := s.tries.Verify(token, header, keys, now)
	switch {
	case err == nil:
	case errors.Is(err, jose.ErrMalformed):
		return refuse(ReasonMalformedToken, err)
	case errors.Is(err, jose.ErrTries):
		return refuseUnavailable(err)
	default:
		s.issuer.keys.RefreshInBackground(now)
		return refuse(ReasonSignature, err)
	}
	if len(keys) > jose.FreeTries {
		published.keys.Prefer(header, key)
	}
	s.headers.Keep(token.Header(), header)
	s.users.StoreName(user)
	usedKey.key = key
	usedKey.foundIn.Store(published.keys)
	t.setSource(fromJWT)
	return nil
}

// signatures.awaitKey waits for a key set with the key that a header names. All requests that wait
// share one fetch of the key set, and there is at most one fetch a second. user identifies the
// caller for [refresh.Source.Await]. The reason of the refusal is ReasonUnknownKey if the newest
// key set does not have the key. The reason is ReasonUnavailable if the fetch fails or too many
// requests wait.
func (s *signatures) awaitKey(
	ctx context.Context, old publishedKeys, header *jose.Header, user uint64, now time.Time,
) (publishedKeys, []*jose.Key, error) {
	if keys := s.recentKeys(now); keys != nil && keys.Absent(header) {
		return old, nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, keys.Len()})
	}
	hasKey := func(p publishedKeys) bool { _, known := p.keys.Find(header); return known }
	next, err := s.issuer.keys.Await(ctx, now, true, user, hasKey)
	if err != nil {
		return old, nil, refuseUnavailable(err)
	}
	if !hasKey(next) {
		keysMoved, err := s.issuer.keySetMoved(ctx, next, user, now)
		if err == nil && keysMoved {
			next, err = s.issuer.keys.Await(ctx, time.Now(), true, user, hasKey)
		}
		if err != nil {
			return old, nil, refuseUnavailable(err)
		}
	}
	keys, known := next.keys.Find(header)
	if !known {
		next.keys.MarkAbsent(header)
		return old, nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, next.keys.Len()})
	}
	return next, keys, nil
}

// recentKeys returns the key set if it was fetched less than a second ago, and otherwise nil. Such
// a key set can't be fetched again yet, because there is at most one fetch a second.
func (s *signatures) recentKeys(now time.Time) *jose.KeySet {
	if published, _, ok := s.issuer.keys.Peek(); ok && s.issuer.keys.IsCurrent(now) {
		return published.keys
	}
	return nil
}
