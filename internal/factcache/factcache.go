// Package factcache is a bounded store of facts with a time to live, on top of go-cache, which it alone imports.
//
// A store is cut into shards, each a go-cache with a lock of its own, chosen by the key's first byte: keys are hashes.
// go-cache has no bound and its janitor would be a goroutine to stop, so both are added here: a full shard gives up the
// entries that have been in it the longest, and one shard at a time is swept, by the caller that adds to it, at most once
// a minute. Reading costs one lock of one shard and no allocation.
package factcache

import (
	"sync"
	"sync/atomic"
	"time"

	gocache "github.com/patrickmn/go-cache"
)

// Key names an entry: a hash of what was looked up.
type Key [32]byte

const (
	shards     = 32
	sweepEvery = time.Minute

	// Overhead is about how many bytes an entry takes besides its value: its key, twice, and its share of the maps.
	Overhead = 200
)

// Cache holds values of one type. Use New.
type Cache[V any] struct {
	base   time.Time // what expiries are counted from: a third of the memory that a time.Time takes, and as monotonic
	size   func(V) int
	shards [shards]shard
}

type shard struct {
	cache        *gocache.Cache
	hits, misses atomic.Uint64 // here, so that cores don't fight over one counter
	bytes        atomic.Int64  // of the entries; written under mu

	mu       sync.Mutex // of what follows: adding and deleting, not reading
	order    queue      // of the keys, as they were added
	maxKeys  int
	maxBytes int64
	swept    time.Time
}

type entry[V any] struct {
	value   V
	expires time.Duration // since the base
}

// New returns a cache of at most about max entries (rounded up to fill its shards) and at most maxBytes bytes. size says
// about how many bytes of memory a value takes, the same each time; nil is none. New starts nothing.
func New[V any](max, maxBytes int, size func(V) int) *Cache[V] {
	c := &Cache[V]{base: time.Now(), size: size}
	for i := range c.shards {
		s := &c.shards[i]
		s.maxKeys = max / shards
		if max%shards > 0 {
			s.maxKeys++
		}
		s.maxBytes = int64(maxBytes / shards)
		// Expiry is checked here, against a clock that the caller has read already: go-cache would read it again.
		s.cache = gocache.New(gocache.NoExpiration, 0)
	}
	return c
}

// Get returns what was put under key and hasn't expired by now, and counts the lookup.
func (c *Cache[V]) Get(key *Key, now time.Time) (value V, ok bool) {
	s := &c.shards[key[0]%shards]
	if value, ok = c.Peek(key, now); ok {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return value, ok
}

// Missed counts a lookup that was spared, because it was known to find nothing.
func (c *Cache[V]) Missed(key *Key) { c.shards[key[0]%shards].misses.Add(1) }

// Peek is Get for a second look: it counts nothing.
func (c *Cache[V]) Peek(key *Key, now time.Time) (value V, ok bool) {
	if v, found := c.shards[key[0]%shards].cache.Get(string(key[:])); found {
		if e := v.(*entry[V]); now.Sub(c.base) < e.expires {
			return e.value, true
		}
	}
	return value, false
}

// Put keeps value under key until expires. A value that is too large for a shard is not kept.
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
		c.remove(s, k) // what it had is outdated
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

// remove forgets an entry, if it is there. s.mu is held.
func (c *Cache[V]) remove(s *shard, k string) {
	if v, ok := s.cache.Get(k); ok {
		s.bytes.Add(-c.bytesOf(v.(*entry[V])))
		s.cache.Delete(k)
	}
}

// sweep removes what has expired. s.mu is held.
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

// Delete removes an entry. Its place in the order stays until it is its turn, so that a key put again soon after may
// be given up early.
func (c *Cache[V]) Delete(key *Key) {
	s := &c.shards[key[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	c.remove(s, string(key[:]))
}

// Len is the number of entries, expired ones that no sweep has met yet included.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		n += c.shards[i].cache.ItemCount()
	}
	return n
}

// Bytes is about how much memory the entries take.
func (c *Cache[V]) Bytes() (n int) {
	for i := range c.shards {
		n += int(c.shards[i].bytes.Load())
	}
	return n
}

// Counts tells how many lookups found an entry and how many did not.
func (c *Cache[V]) Counts() (hits, misses uint64) {
	for i := range c.shards {
		hits += c.shards[i].hits.Load()
		misses += c.shards[i].misses.Load()
	}
	return hits, misses
}
