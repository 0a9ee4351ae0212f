package xenaauth

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/sharedresponse"
)

// Cache is a store that the instances of a service share, so that only one of them introspects a
// token: see [Introspection.Cache]. Implementations live outside this package. They are safe for
// concurrent use. A call ends when its ctx ends.
//
// A key is a hash of the token and of everything else on which the response depends. Nobody can
// make the token from a key, but a reader who has a token can find its key. A value says who the
// user is. If others can read the store, an implementation must hash the keys with a secret and
// encrypt the values. If others can write to the store, it must also authenticate the values.
//
// If the cache fails, no request is refused: the instance introspects the token itself. A value
// from the cache must meet the same rules as a response of the issuer.
type Cache interface {
	// Get returns the value that Set stored under key, until its ttl ends, or nil if there is none.
	// After nil without an error, the caller introspects the token and then calls Set. If Get has
	// returned nil to another instance that has not called Set since, Get may wait for that value,
	// for a limited time.
	Get(ctx context.Context, key [32]byte) (value []byte, err error)
	// Set stores a value. An empty value stores nothing: it tells the cache that the introspection
	// gave no result, so that Get in other instances need not wait any longer. ttl then has no
	// meaning.
	Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error
}

// sharedCache reads and writes introspection responses in a [Cache].
type sharedCache struct {
	cache       Cache
	policy      *policy
	report      *reporter
	activeTTL   time.Duration
	inactiveTTL time.Duration // if not positive, inactive responses are not shared
	timeout     time.Duration
	calls       chan struct{} // semaphore that bounds concurrent calls of the cache

	hits, misses, failures atomic.Uint64 // of lookups
}

// status returns the counts of lookups.
func (s *sharedCache) status() (c CacheStatus) {
	c.Hits, c.Misses, c.Failures = s.hits.Load(), s.misses.Load(), s.failures.Load()
	c.HitRatio = hitRatio(c.Hits, c.Misses)
	return c
}

// newSharedCache returns nil if no Cache is configured.
func newSharedCache(c Introspection, policy *policy, report *reporter) *sharedCache {
	if c.Cache == nil {
		return nil
	}
	return &sharedCache{
		cache:       c.Cache,
		policy:      policy,
		report:      report,
		activeTTL:   c.CacheTTL,
		inactiveTTL: c.NegativeTTL,
		timeout:     c.Timeout,
		calls:       make(chan struct{}, 16*c.MaxConcurrent),
	}
}

// sharedKey returns the key of a response. The response depends on the client that calls: an issuer
// tells an API nothing about tokens of other APIs. The key contains the version of the stored form,
// so that instances of two versions share nothing: see sharedresponse.Version.
func sharedKey(issuer, endpoint, clientID, token string) [32]byte {
	version := strconv.Itoa(sharedresponse.Version)
	return factcache.KeyOf("shared introspection", version, issuer, endpoint, clientID, token)
}

// find returns the response that another instance has stored. If there is none, it calls introspect
// and stores the result. If the token is not active, the error is an *Error with ReasonInactive.
// All other errors are no response of the issuer, and are not shared.
func (s *sharedCache) find(
	ctx context.Context, key [32]byte, introspect func() (introspected, error),
) (introspected, error) {
	select {
	case s.calls <- struct{}{}:
	default:
		s.failures.Add(1)
		return introspect()
	}
	value, err := s.get(ctx, key)
	if err != nil { // a call of Set would fail too
		<-s.calls
		s.failures.Add(1)
		return introspect()
	}
	if found, ok := s.decode(value, time.Now()); ok {
		<-s.calls
		s.hits.Add(1)
		if found.set == nil {
			return found, refuse(ReasonInactive, errInactive)
		}
		return found, nil
	}
	s.misses.Add(1)
	called := time.Now()
	var ttl time.Duration
	value = nil
	// This request does not wait for Set. The goroutine keeps its place in the semaphore until Set
	// returns. Set is called even if introspect panics, because other instances wait for it.
	defer func() { go s.set(key, value, ttl) }()
	result, err := introspect()
	value, ttl = s.encode(result.set, err, called, time.Now())
	return result, err
}

var (
	errCacheFails  = errors.New("it returns an error")
	errCachePanics = errors.New("it panics")
	errCacheForged = errors.New("it returns values that no instance has stored")
)

// note tells the log whether the cache works. It replaces the text of a foreign error, which may
// name hosts and keys.
func (s *sharedCache) note(err error) error {
	if err != nil && !errors.Is(err, errCachePanics) {
		err = errCacheFails
	}
	s.report.change("shared cache", err,
		"the shared cache fails, so this instance introspects tokens itself",
		"the shared cache is back")
	return err
}

func (s *sharedCache) get(ctx context.Context, key [32]byte) (value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			value, err = nil, errCachePanics
		}
		err = s.note(err)
	}()
	return s.cache.Get(ctx, key)
}

// set releases the place in the semaphore that find has taken.
func (s *sharedCache) set(key [32]byte, value []byte, ttl time.Duration) {
	defer func() { <-s.calls }()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	var err error
	defer func() {
		if recover() != nil {
			err = errCachePanics
		}
		_ = s.note(err)
	}()
	err = s.cache.Set(ctx, key, value, ttl)
}

// encode returns the value to store and its time to live. It returns nil if the error is no
// response of the issuer.
func (s *sharedCache) encode(
	set *claims.Set, err error, called, now time.Time,
) (value []byte, ttl time.Duration) {
	response := sharedresponse.Response{Called: called, Issuer: s.policy.issuer}
	ends := called.Add(s.inactiveTTL)
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil && set != nil:
		response.Active, response.Claims = true, set.Raw
		ends = called.Add(s.activeTTL)
		if set.ExpiresAt != 0 {
			ends = earlier(ends, time.Unix(set.ExpiresAt, 0))
		}
	case !ok || e.Reason != ReasonInactive:
		return nil, 0
	}
	if ttl = ends.Sub(now); ttl <= 0 {
		return nil, 0
	}
	return response.Encode(), ttl
}

// decode reads a value. ok is false if the value must not be used. decode checks the age itself:
// the store may return a value after its time to live, and clocks of other instances may be wrong.
func (s *sharedCache) decode(value []byte, now time.Time) (found introspected, ok bool) {
	if len(value) == 0 {
		return introspected{}, false
	}
	response, ok := sharedresponse.Decode(value)
	if !ok || response.Issuer != s.policy.issuer || len(response.Claims) > maxResponse {
		return introspected{}, s.forged()
	}
	ttl := s.inactiveTTL
	if response.Active {
		set, err := claims.Parse(response.Claims, claims.Answer)
		if err != nil || !set.Active {
			return introspected{}, s.forged()
		}
		found.set = set
		ttl = s.activeTTL
	}
	if response.Called.After(now.Add(s.policy.skew)) || !now.Before(response.Called.Add(ttl)) {
		return introspected{}, false
	}
	found.at = earlier(response.Called, now)
	return found, true
}

// forged logs, once in the life of the process, that the cache returns forged values, and returns
// false. It does not log each time, because an attacker who can forge values can do it often.
func (s *sharedCache) forged() bool {
	s.report.change("shared cache, values", errCacheForged, "the shared cache cannot be trusted", "")
	return false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
