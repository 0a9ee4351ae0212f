// Package factcache is a bounded store of facts with a time to live, on top of go-cache, which it alone imports.
//
// A store is cut into shards, each a go-cache with a lock of its own, chosen by the key's first byte: keys are hashes.
// go-cache has no bound and its janitor would be a goroutine to stop, so both are added here: a full shard gives up the
// entry that has been in it the longest, and one shard at a time is swept, by whoever adds to it, at most once a
// minute. Reading costs one lock of one shard and no allocation.
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
)

// Cache holds values of one type. Use New.
type Cache[V any] struct {
	base   time.Time // what expiries are counted from: a third of the memory that a time.Time takes, and as monotonic
	shards [shards]shard
}

type shard struct {
	cache        *gocache.Cache
	hits, misses atomic.Uint64 // here, so that cores don't fight over one counter

	mu    sync.Mutex // of what follows: adding, not reading
	order []string   // keys as they were added, a ring once it is full
	head  int        // the oldest
	limit int
	swept time.Time
}

type entry[V any] struct {
	value   V
	expires time.Duration // since the base
}

// New returns a cache of at most about max entries (rounded up to fill its shards). It starts nothing.
func New[V any](max int) *Cache[V] {
	c := &Cache[V]{base: time.Now()}
	for i := range c.shards {
		s := &c.shards[i]
		s.limit = (max + shards - 1) / shards
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

// Put keeps value under key until expires.
func (c *Cache[V]) Put(key *Key, value V, expires, now time.Time) {
	if !now.Before(expires) {
		return
	}
	s := &c.shards[key[0]%shards]
	k := string(key[:])
	e := &entry[V]{value, expires.Sub(c.base)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) >= sweepEvery {
		s.swept = now
		sweep[V](s, now.Sub(c.base))
	}
	if _, known := s.cache.Get(k); known {
		s.cache.Set(k, e, gocache.NoExpiration)
		return
	}
	if len(s.order) < s.limit {
		s.order = append(s.order, k)
	} else {
		s.cache.Delete(s.order[s.head])
		s.order[s.head] = k
		s.head = (s.head + 1) % s.limit
	}
	s.cache.Set(k, e, gocache.NoExpiration)
}

// sweep removes what has expired. s.mu is held.
func sweep[V any](s *shard, now time.Duration) {
	live := make([]string, 0, len(s.order))
	for i := range s.order {
		k := s.order[(s.head+i)%len(s.order)]
		v, ok := s.cache.Get(k)
		if ok && now < v.(*entry[V]).expires {
			live = append(live, k)
			continue
		}
		s.cache.Delete(k)
	}
	s.order, s.head = live, 0
}

// Delete removes an entry. Its place in the order stays until it is its turn, so that a key put again soon after may
// be given up early.
func (c *Cache[V]) Delete(key *Key) {
	c.shards[key[0]%shards].cache.Delete(string(key[:]))
}

// Len is the number of entries, expired ones that no sweep has met yet included.
func (c *Cache[V]) Len() (n int) {
	for i := range c.shards {
		n += c.shards[i].cache.ItemCount()
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
