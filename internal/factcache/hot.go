package factcache

import (
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"sync/atomic"
)

const (
	sets = 256
	ways = 4
	// Hot computes a hash of the last tailLength bytes of a token. The hash decides where the Hot
	// table stores the token.
	tailLength = 32
)

// Hot is a small hash table of the tokens in use, for faster look-ups than in a Cache. Its keys are
// the tokens themselves, so a look-up needs no cryptographic hash, and no lock. The table has 1024
// entries, in 256 sets of four entries. A hash of the last bytes of the token, with a secret seed,
// chooses the set; then the whole token is compared. Because there is no lock, Get may return a
// value that was replaced at the same time. If two callers put the same token at the same time, Get
// may return the older value also later. The caller must check that a value from a Hot table is
// still valid, as for a value from a Cache.
//
// The memory of a Hot table is bounded. If there is no room for an entry, arbitrary other entries
// are dropped.
//
// The caller puts a token into the table only at its second use, so that a token that is used once
// does not displace a token in use. Note that a Hot table contains whole tokens, and a Cache
// contains only hashes.
type Hot[V any] struct {
	seed     maphash.Seed
	sets     [sets]hotSet[V]
	bytes    atomic.Int64 // bytes is the size of all entries in the table
	maxBytes int64
}

type hotSet[V any] struct {
	ways [ways]atomic.Pointer[hotEntry[V]]
	hits atomic.Uint64
	// With these unused bytes, a hotSet fills a whole cache line of the processor. So two cores
	// that look up tokens in different sets of the table don't write to the same cache line.
	_ [24]byte
}

type hotEntry[V any] struct {
	hash  uint64
	token string
	value V
	size  int64
}

// hotOverhead is the approximate number of bytes that an entry in a Hot table takes in addition to
// its token and its value.
const hotOverhead = 64

// NewHot returns an empty Hot table. The entries of the table take at most maxBytes bytes.
func NewHot[V any](maxBytes int) *Hot[V] {
	return &Hot[V]{seed: maphash.MakeSeed(), maxBytes: int64(maxBytes)}
}

// Hot.hashTail computes a hash of the last bytes of a token. Tokens differ most at their end: the
// end of a JWT is its signature. The hash chooses four of the 1024 places of the Hot table for the
// token. Many tokens with the same last bytes would share these four places. But strangers can't
// cause this, because the caller puts only valid tokens into the table.
func (h *Hot[V]) hashTail(token string) uint64 {
	return maphash.String(h.seed, token[max(0, len(token)-tailLength):])
}

// Get returns the value that is stored for a token. ok is false if the Hot table does not contain
// the token.
func (h *Hot[V]) Get(token string) (value V, ok bool) {
	sum := h.hashTail(token)
	set := &h.sets[sum%sets]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && e.hash == sum && e.token == token {
			set.countHit()
			return e.value, true
		}
	}
	return value, false
}

// Put stores the value of a token in the table. If the table contains the token, Put replaces its
// value. Otherwise the token has four possible places in the table, which its hash determines. If
// all four are used, Put replaces an arbitrary one of them. If the token and its value need more
// than maxBytes, Put does not store them, and removes the old value of the token. The parameter
// size is the approximate size of the value in bytes.
func (h *Hot[V]) Put(token string, value V, size int) {
	sum := h.hashTail(token)
	set := &h.sets[sum%sets]
	// If all four entries of the set are used, the new token replaces a random one. If the token
	// itself determined the entry, two tokens in a full set could replace each other at every use.
	at, free, found := rand.IntN(ways), false, false
	for i := range set.ways {
		e := set.ways[i].Load()
		if e != nil && e.hash == sum && e.token == token {
			// The set of four entries already has an entry of this token, and the new entry
			// replaces it. If there were two entries of one token, Get could return the older
			// value.
			at, found = i, true
			break
		}
		if e == nil && !free {
			at, free = i, true
		}
	}
	// Clone copies the token, because the token may be a part of a longer string. Without the copy,
	// the longer string would stay in memory.
	e := &hotEntry[V]{sum, strings.Clone(token), value, int64(len(token)+size) + hotOverhead}
	if e.size > h.maxBytes {
		// The new entry needs more than maxBytes, so the table does not store it. The old value of
		// the token is outdated, so it must not stay in the table either.
		if found {
			h.replaceEntry(&set.ways[at], nil)
		}
		return
	}
	h.replaceEntry(&set.ways[at], e)
	h.dropEntries(e)
}

func (h *Hot[V]) replaceEntry(place *atomic.Pointer[hotEntry[V]], e *hotEntry[V]) {
	if e != nil {
		h.bytes.Add(e.size)
	}
	if old := place.Swap(e); old != nil {
		h.bytes.Add(-old.size)
	}
}

// Hot.dropEntries drops entries until all entries of the table together take at most maxBytes. The
// table has sets of four entries. dropEntries begins with an arbitrary set and goes on with the
// sets after it. It never drops e, the entry that was put last.
func (h *Hot[V]) dropEntries(e *hotEntry[V]) {
	start := rand.IntN(sets)
	for i := range sets {
		set := &h.sets[(start+i)%sets]
		for w := range set.ways {
			if h.bytes.Load() <= h.maxBytes {
				return
			}
			if old := set.ways[w].Load(); old != nil && old != e && set.ways[w].CompareAndSwap(old, nil) {
				h.bytes.Add(-old.size)
			}
		}
	}
}

// Delete removes a token and its value from the Hot table.
func (h *Hot[V]) Delete(token string) {
	sum := h.hashTail(token)
	set := &h.sets[sum%sets]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && e.hash == sum && e.token == token && set.ways[i].CompareAndSwap(e, nil) {
			h.bytes.Add(-e.size)
		}
	}
}

// Bytes returns the approximate size of all entries of the Hot table, in bytes.
func (h *Hot[V]) Bytes() int { return int(h.bytes.Load()) }

// These constants limit how often a hotSet counts a hit. A hit is a look-up that finds the token.
// The hotSet counts every hit until it has counted exactHits. After that it counts only about one
// of hitSample hits, chosen at random, and adds hitSample for it. If a hotSet always counted every
// hit, all cores that use the same token would write to the same memory for every request.
const (
	exactHits = 1 << 10
	hitSample = 1 << 5
)

func (s *hotSet[V]) countHit() {
	if s.hits.Load() < exactHits {
		s.hits.Add(1)
	} else if rand.Uint32()%hitSample == 0 {
		s.hits.Add(hitSample)
	}
}

// Hits returns how many look-ups in the Hot table found a token. Large numbers are estimates, exact
// to a few percent.
func (h *Hot[V]) Hits() (n uint64) {
	for i := range h.sets {
		n += h.sets[i].hits.Load()
	}
	return n
}
