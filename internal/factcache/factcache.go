// Package factcache is a bounded cache with a time to live, on top of go-cache. It is the only
// package that imports go-cache.
//
// A Cache has several shards. Each is a go-cache with a lock of its own, and the first byte of the
// key chooses the shard. go-cache has no bound, and its janitor is a goroutine that must be
// stopped. So this package adds two things: a full shard drops its oldest entries, and a caller
// that adds an entry removes the expired entries of that shard, at most once a minute. A look-up
// takes one lock of one shard and allocates nothing.
package factcache

import (
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Key is the key of an entry: a hash.
type Key [32]byte

const (
	shards     = 32
	sweepEvery = time.Minute

	// Overhead is about how many bytes an entry takes in addition to its value: its key, twice, and
	// its share of the maps.
	Overhead = 200
)

// Cache holds values of one type. Use New to create one.
type Cache[V any] struct {
	base   time.Time // expiries count from it; a Duration takes a third of the memory of a time.Time
	size   func(V) int
	shards [shards]shard
}

type shard struct {
	cache        *gocache.Cache
	hits, misses atomic.Uint64 // in each shard, so that cores don't share one counter
	bytes        atomic.Int64  // of the entries; written under mu

	mu       sync.Mutex // guards the fields below; a look-up does not need it
	order    queue      // of the keys, in the order in which they were added
	maxKeys  int
	maxBytes int64
	swept    time.Time
}

type entry[V any] struct {
	value   V
	expires time.Duration // since the base
}

// New returns a cache of at most about max entries, rounded up to a multiple of the shards, and at
// most maxBytes bytes. size returns about how many bytes a value takes, always the same for the
// same value. If size is nil, values take no memory. New starts no goroutine.
func New[V any](max, maxBytes int, size func(V) int) *Cache[V] {
	c := &Cache[V]{base: time.Now(), size: size}
	for i := range c.shards {
		s := &c.shards[i]
		s.maxKeys = max / shards
		if max%shards > 0 {
			s.maxKeys++
		}
		s.maxBytes = int64(maxBytes / shards)
		// Peek checks the expiry, with the time that the caller already has. go-cache would read
		// the clock again.
		s.cache = gocache.New(gocache.NoExpiration, 0)
	}
	return c
}

// Get returns the value of a key that has not expired, and counts the look-up.
func (c *Cache[V]) Get(key *Key, now time.Time) (value V, ok bool) {
	s := &c.shards[key[0]%shards]
	if value, ok = c.Peek(key, now); ok {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return value, ok
}

// Missed counts a look-up that was not made, because it would have found nothing.
func (c *Cache[V]) Missed(key *Key) { c.shards[key[0]%shards].misses.Add(1) }

// Peek is Get without counting.
func (c *Cache[V]) Peek(key *Key, now time.Time) (value V, ok bool) {
	if v, found := c.shards[key[0]%shards].cache.Get(string(key[:])); found {
		if e := v.(*entry[V]); now.Sub(c.base) < e.expires {
			return e.value, true
		}
	}
	return value, false
}

// Put stores a value under a key until expires. A value that is too large for a shard is not
// stored.
func (c *Cache[V]) Put(key *Key, value V, expires, now time.Time) {
	if !now.Before(expires) {
		return
	}
	s := &c.shards[key[0]%shards]
	k := string(key[:])
	e := &entry[V]{value, expires.Sub(c.base)}
	size := c.bytesOf(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		c.sweep(s, now.Sub(c.base))
	}
	if size > s.maxBytes {
		c.remove(s, k) // the old value is outdated
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

// remove removes an entry if it exists. s.mu is held.
func (c *Cache[V]) remove(s *shard, k string) {
	if v, ok := s.cache.Get(k); ok {
		s.bytes.Add(-c.bytesOf(v.(*entry[V])))
		s.cache.Delete(k)
	}
}

// sweep removes the expired entries. s.mu is held.
func (c *Cache[V]) sweep(s *shard, now time.Duration) {
	var live queue
	for i := range s.order.n {
		k := s.order.at(i)
		v, ok := s.cache.Get(k)
		if ok && now < v.(*entry[V]).expires {
			live.push(k, s.maxKeys)
			continue
		}
		c.remove(s, k)
	}
	s.order = live
}

// Delete removes an entry. The key keeps its place in the order, so a key that is put again soon
// after may be dropped early.
func (c *Cache[V]) Delete(key *Key) {
	s := &c.shards[key[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.remove(s, string(key[:]))
}

// Len returns the number of entries, including expired ones that were not removed yet.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		n += c.shards[i].cache.ItemCount()
	}
	return n
}

// Bytes returns about how many bytes the entries take.
func (c *Cache[V]) Bytes() (n int) {
	for i := range c.shards {
		n += int(c.shards[i].bytes.Load())
	}
	return n
}

// Counts returns how many look-ups found an entry, and how many did not.
func (c *Cache[V]) Counts() (hits, misses uint64) {
	for i := range c.shards {
		hits += c.shards[i].hits.Load()
		misses += c.shards[i].misses.Load()
	}
	return hits, misses
}
