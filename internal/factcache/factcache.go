// Package factcache is a cache with a limited size and a time to live, built on go-cache. It is the
// only package that imports go-cache.
//
// go-cache has no limit for its size, and it removes expired entries in a goroutine that must be
// stopped. This package needs no goroutine: a caller that stores an entry in a shard (one part of
// the cache) also removes the expired entries of this shard, at most once a minute. A full shard
// drops its oldest entries.
//
// A Cache consists of shards, so that concurrent callers seldom wait for the same lock. Each shard
// is a go-cache, and the first byte of the key chooses the shard. A look-up takes one lock and
// allocates nothing.
package factcache

import (
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Key is the key of a cache entry. It is a hash, so that its first byte is random.
type Key [32]byte

const (
	shards     = 32
	sweepEvery = time.Minute

	// Overhead is about how many bytes a cache entry takes in addition to its value: its key, and
	// its share of the map and of the list of keys.
	Overhead = 200
)

// Cache stores values of one type. Use New to create a Cache.
type Cache[V any] struct {
	// base is when the cache was created. The expiry of an entry is stored as the time since base,
	// because a time.Duration takes a third of the memory of a time.Time.
	base   time.Time
	size   func(V) int
	shards [shards]shard
}

type shard struct {
	cache *gocache.Cache
	// Each shard of the cache counts its look-ups in counters of its own, so that two cores seldom
	// write to the same counter.
	hits, misses atomic.Uint64
	// bytes is the size of all entries of the shard; it is written only while mu is held
	bytes atomic.Int64

	// mu guards the fields after it, which a look-up does not need
	mu       sync.Mutex
	order    queue // order contains the keys, the oldest first
	maxKeys  int
	maxBytes int64
	swept    time.Time
}

type entry[V any] struct {
	value  V
	expiry time.Duration // expiry is when the entry expires, as the time since Cache.base
}

// New returns a cache that holds at most maxEntries entries and at most maxBytes bytes. maxEntries
// must be above 0. It is rounded up to a multiple of the number of shards. The function sizeOf
// returns about how many bytes a value takes. The cache calls it when it stores the value and when
// it removes the value, so both calls must return the same number. If sizeOf is nil, values count
// as 0 bytes.
func New[V any](maxEntries, maxBytes int, sizeOf func(V) int) *Cache[V] {
	c := &Cache[V]{base: time.Now(), size: sizeOf}
	for i := range c.shards {
		s := &c.shards[i]
		s.maxKeys = maxEntries / shards
		if maxEntries%shards > 0 {
			s.maxKeys++
		}
		s.maxBytes = int64(maxBytes / shards)
		// go-cache must not check whether an entry has expired, because it would read the clock
		// each time. Peek checks this with the time that its caller has read already.
		s.cache = gocache.New(gocache.NoExpiration, 0)
	}
	return c
}

// Get returns the value that is stored under a key, if it has not expired. It counts the look-up as
// a hit or a miss.
func (c *Cache[V]) Get(key *Key, now time.Time) (value V, ok bool) {
	s := &c.shards[key[0]%shards]
	if value, ok = c.Peek(key, now); ok {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return value, ok
}

// Missed counts a miss without a look-up. A caller uses Missed if it knows that the cache does not
// contain the entry that it needs.
func (c *Cache[V]) Missed(key *Key) { c.shards[key[0]%shards].misses.Add(1) }

// Peek returns the value that is stored under a key, like Get, but does not count the look-up.
func (c *Cache[V]) Peek(key *Key, now time.Time) (value V, ok bool) {
	if v, found := c.shards[key[0]%shards].cache.Get(string(key[:])); found {
		if e := v.(*entry[V]); now.Sub(c.base) < e.expiry {
			return e.value, true
		}
	}
	return value, false
}

// Put stores a value under a key. From expiryTime on, Get no longer returns the value. If a shard
// (one part of the cache) is full, Put drops its oldest entries. If Put replaces the value of a
// key, the new value counts as old as the value before it. If the value is too large for a shard,
// or expiryTime is not after now, Put does not store the value. It then removes the old value of
// the key, which is outdated.
func (c *Cache[V]) Put(key *Key, value V, expiryTime, now time.Time) {
	s := &c.shards[key[0]%shards]
	k := string(key[:])
	e := &entry[V]{value, expiryTime.Sub(c.base)}
	size := c.bytesOf(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		c.sweep(s, now.Sub(c.base))
	}
	if size > s.maxBytes || !now.Before(expiryTime) {
		c.remove(s, k)
		return
	}
	if old, known := s.cache.Get(k); known {
		s.bytes.Add(-c.bytesOf(old.(*entry[V])))
	} else {
		for s.order.n >= s.maxKeys {
			c.remove(s, s.order.pop())
		}
		s.order.push(k, s.maxKeys)
	}
	s.cache.Set(k, e, gocache.NoExpiration)
	s.bytes.Add(size)
	for s.bytes.Load() > s.maxBytes {
		c.remove(s, s.order.pop())
	}
}

func (c *Cache[V]) bytesOf(e *entry[V]) int64 {
	if c.size == nil {
		return Overhead
	}
	return Overhead + int64(c.size(e.value))
}

// Cache.remove removes the entry of a key from a shard, if there is one. The caller holds the lock
// s.mu.
func (c *Cache[V]) remove(s *shard, k string) {
	if v, ok := s.cache.Get(k); ok {
		s.bytes.Add(-c.bytesOf(v.(*entry[V])))
		s.cache.Delete(k)
	}
}

// Cache.sweep removes the expired entries of a shard of the cache, and the keys of deleted entries
// from its list of keys. The caller holds the lock s.mu.
func (c *Cache[V]) sweep(s *shard, now time.Duration) {
	var live queue
	for i := range s.order.n {
		k := s.order.at(i)
		v, ok := s.cache.Get(k)
		if ok && now < v.(*entry[V]).expiry {
			live.push(k, s.maxKeys)
			continue
		}
		c.remove(s, k)
	}
	s.order = live
}

// Delete removes the entry of a key. But the list of keys by age still contains the key. So if a
// caller puts an entry with this key again, the cache may drop the new entry as early as it would
// have dropped the old one.
func (c *Cache[V]) Delete(key *Key) {
	s := &c.shards[key[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.remove(s, string(key[:]))
}

// Len returns the number of entries in the cache. Expired entries count until they are removed.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		n += c.shards[i].cache.ItemCount()
	}
	return n
}

// Bytes returns about how many bytes the entries of the cache take.
func (c *Cache[V]) Bytes() (n int) {
	for i := range c.shards {
		n += int(c.shards[i].bytes.Load())
	}
	return n
}

// Counts returns how many calls of Get found an entry, and how many did not. Each call of Missed
// counts as a miss.
func (c *Cache[V]) Counts() (hits, misses uint64) {
	for i := range c.shards {
		hits += c.shards[i].hits.Load()
		misses += c.shards[i].misses.Load()
	}
	return hits, misses
}
