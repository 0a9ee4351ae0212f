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

// Cache is a store that all instances of a service use, so that only one of them introspects a
// token: see [Introspection.Cache]. Package rediscache in adapters implements it for Redis. An
// implementation must be safe for concurrent use. Get and Set must return when their ctx ends.
//
// A key is a hash of the token and of everything else on which the response depends. The token
// can't be computed from a key, but a reader that has a token can compute its key. A value says who
// the user is. If others can read the store, an implementation must hash the keys with a secret and
// encrypt the values. If others can write to the store, it must also authenticate the values.
//
// If the cache fails, the instance introspects the token itself, and a failure of the cache refuses
// no request. A value from the cache is checked like a response of the issuer.
type Cache interface {
	// Get returns the value that Set stored under key, until its ttl ends. It returns nil if there
	// is no value. If value and err are nil, the caller introspects the token and then calls Set.
	// In the meantime Get may make other callers with this key wait for the value, for a limited
	// time.
	Get(ctx context.Context, key [32]byte) (value []byte, err error)
	// Set stores a value for the time ttl. If value is empty, Set stores nothing: the introspection
	// gave no result, and callers of Get that wait for the value should wait no longer. If value is
	// empty, ttl has no meaning.
	Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error
}

// sharedCache stores introspection responses in a [Cache] and reads them from there.
type sharedCache struct {
	cache     Cache
	policy    *policy
	report    *reporter
	activeTTL time.Duration
	// responses with "active": false are stored in the shared cache only if inactiveTTL is above 0
	inactiveTTL time.Duration
	timeout     time.Duration
	// callSlots is a semaphore that limits how many calls of Introspection.Cache run at the same
	// time
	callSlots chan struct{}

	// These fields count the look-ups in the shared cache: those that found a value, those that
	// found none, and those that failed.
	hits, misses, failures atomic.Uint64
}

// sharedCache.status returns how many look-ups in the shared cache found a value, found none or
// failed. [Validator.Status] shows these numbers.
func (s *sharedCache) status() (c CacheStatus) {
	c.Hits, c.Misses, c.Failures = s.hits.Load(), s.misses.Load(), s.failures.Load()
	c.HitRatio = hitRatio(c.Hits, c.Misses)
	return c
}

// newSharedCache returns the sharedCache of an introspector. It returns nil if Introspection.Cache
// is nil.
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
		callSlots:   make(chan struct{}, 16*c.MaxConcurrent),
	}
}

// sharedKey returns the key under which the shared cache stores a response. The key depends on the
// client id, because the same token may be active for one API and inactive for another. It also
// depends on the version of the stored form, so that instances of different versions share no
// values: see sharedresponse.Version.
func sharedKey(issuer, endpoint, clientID, token string) [32]byte {
	version := strconv.Itoa(sharedresponse.Version)
	return factcache.KeyOf("shared introspection", version, issuer, endpoint, clientID, token)
}

// sharedCache.find returns the introspection response that an instance has stored in the shared
// cache. If there is none, find calls the function introspect and stores the result. If the token
// is not active, the error is an *Error with ReasonInactive, and is stored as well. Any other error
// says nothing about the token and is not stored.
func (s *sharedCache) find(
	ctx context.Context, key [32]byte, introspect func() (introspectionResult, error),
) (introspectionResult, error) {
	select {
	case s.callSlots <- struct{}{}:
	default:
		s.failures.Add(1)
		return introspect()
	}
	value, err := s.get(ctx, key)
	if err != nil {
		// Cache.Get has failed, so the cache is probably down. This request introspects the token,
		// and does not call Cache.Set.
		<-s.callSlots
		s.failures.Add(1)
		return introspect()
	}
	if found, ok := s.decode(value, time.Now()); ok {
		<-s.callSlots
		s.hits.Add(1)
		if found.claimSet == nil {
			return found, refuse(ReasonInactive, errInactive)
		}
		return found, nil
	}
	s.misses.Add(1)
	called := time.Now()
	var ttl time.Duration
	value = nil
	// Cache.Set runs in a goroutine, so that this request does not wait for it. The goroutine keeps
	// its place in callSlots until Cache.Set returns. Cache.Set is called even if introspect
	// panics: other instances may wait for the value, and an empty value tells them that there is
	// none.
	defer func() { go s.set(key, value, ttl) }()
	result, err := introspect()
	value, ttl = s.encode(result.claimSet, err, called, time.Now())
	return result, err
}

var (
	errCacheFails  = errors.New("it returns an error")
	errCachePanics = errors.New("it panics")
	errCacheForged = errors.New("it returns values that no instance has stored")
)

// sharedCache.recordState records whether the cache works, and logs a change. err is an error of
// code outside this package. Its text may contain names of hosts and keys, so recordState does not
// log this text.
func (s *sharedCache) recordState(err error) error {
	if err != nil && !errors.Is(err, errCachePanics) {
		err = errCacheFails
	}
	s.report.recordState("shared cache", err,
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
		err = s.recordState(err)
	}()
	return s.cache.Get(ctx, key)
}

// sharedCache.set calls Cache.Set. Then it frees the place in callSlots that sharedCache.find has
// taken.
func (s *sharedCache) set(key [32]byte, value []byte, ttl time.Duration) {
	defer func() { <-s.callSlots }()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	var err error
	defer func() {
		if recover() != nil {
			err = errCachePanics
		}
		_ = s.recordState(err)
	}()
	err = s.cache.Set(ctx, key, value, ttl)
}

// sharedCache.encode returns the value that is stored in the shared cache for a token, and its time
// to live. err is the error of the introspection. If err says nothing about the token, for example
// because the issuer can't be reached, or if the time to live is over already, the value is nil.
func (s *sharedCache) encode(
	set *claims.Set, err error, called, now time.Time,
) (value []byte, ttl time.Duration) {
	response := sharedresponse.Response{CallTime: called, Issuer: s.policy.issuer}
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

// sharedCache.decode reads a value that was stored in the shared cache. ok is false if the value
// must not be used. decode also checks the age of the value, because the store may return a value
// after its time to live, and because the clocks of instances differ.
func (s *sharedCache) decode(value []byte, now time.Time) (found introspectionResult, ok bool) {
	if len(value) == 0 {
		return introspectionResult{}, false
	}
	response, ok := sharedresponse.Decode(value)
	if !ok || response.Issuer != s.policy.issuer || len(response.Claims) > maxResponse {
		return introspectionResult{}, s.logForged()
	}
	ttl := s.inactiveTTL
	if response.Active {
		set, err := claims.Parse(response.Claims, claims.Answer)
		if err != nil || !set.Active {
			return introspectionResult{}, s.logForged()
		}
		found.claimSet = set
		ttl = s.activeTTL
	}
	if response.CallTime.After(now.Add(s.policy.skew)) || !now.Before(response.CallTime.Add(ttl)) {
		return introspectionResult{}, false
	}
	found.receivedAt = earlier(response.CallTime, now)
	return found, true
}

// sharedCache.logForged logs that the shared cache returned a forged value, and returns false. It
// writes only one such record in the life of the Validator, because an attacker could forge many
// values.
func (s *sharedCache) logForged() bool {
	s.report.recordState("shared cache, values", errCacheForged, "the shared cache cannot be trusted", "")
	return false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
