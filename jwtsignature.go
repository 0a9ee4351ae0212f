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

// signatures verifies signatures with the keys that the issuer publishes.
type signatures struct {
	issuer  *issuer
	headers jose.Headers // of tokens whose signatures were good
	users   *refresh.Known
	tries   jose.Tries
}

// verifiedBy is the key that verified a signature. The zero value has no key.
type verifiedBy struct {
	key *jose.Key
	in  atomic.Pointer[jose.KeySet] // the latest key set in which the key was found
}

// holds reports whether the key is in a key set.
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

// verify verifies the signature of a token with the key that its header selects, and stores that
// key in by. If a known key does not verify the signature, the issuer may have replaced the key
// and kept its name, and so may it if the key has no name. Then verify starts a refresh of the key
// set, for the tokens that come later.
func (s *signatures) verify(
	ctx context.Context, token *jose.Hashed, header *jose.Header, set *claims.Set, by *verifiedBy, now time.Time,
) error {
	t := traceOf(ctx)
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
	t.setSource(SourceJWT)
	return nil
}

// await waits for the next key set, to find the key that a header names. All requests that wait
// share one fetch, and there is at most one fetch a second. user is the name of the caller for
// [refresh.Source.Await]. If the key set can't be fetched, or too many requests wait, the reason is
// ReasonUnavailable.
func (s *signatures) await(
	ctx context.Context, old published, header *jose.Header, user uint64, now time.Time,
) (published, []*jose.Key, error) {
	if keys := s.current(now); keys != nil && keys.Absent(header) {
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

// current returns the key set if it was fetched so recently that the next fetch is not allowed yet,
// and nil otherwise.
func (s *signatures) current(now time.Time) *jose.KeySet {
	if published, _, ok := s.issuer.keys.Peek(); ok && s.issuer.keys.Current(now) {
		return published.keys
	}
	return nil
}
