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
	tail = 32 // bytes: a token's last 192 bits, whatever makes it
)

// Hot finds again what was found a moment ago, by the token itself: 1024 entries at the most, in sets of four, without a
// lock and without hashing more than to choose the set, under a seed that nobody outside knows. A hit is a comparison of
// the whole token. What it returns is as old as it was put: the caller judges it as it would the cache's.
//
// It takes at most so many bytes, and gives arbitrary entries up for a new one.
//
// It is filled on the second use of a token, so that tokens which come once don't push out those in use. It holds the
// tokens in use as they came, which the cache behind it does not.
type Hot[V any] struct {
	seed     maphash.Seed
	sets     [sets]hotSet[V]
	bytes    atomic.Int64 // of all entries
	maxBytes int64
}

type hotSet[V any] struct {
	ways [ways]atomic.Pointer[hot[V]]
	hits atomic.Uint64
	_    [24]byte // a set is one cache line, so that cores that use different tokens don't disturb each other
}

type hot[V any] struct {
	hash  uint64
	token string
	value V
	size  int64
}

// hotOverhead is about how many bytes an entry takes besides its token and its value.
const hotOverhead = 64

// NewHot returns an empty table of at most maxBytes bytes.
func NewHot[V any](maxBytes int) *Hot[V] {
	return &Hot[V]{seed: maphash.MakeSeed(), maxBytes: int64(maxBytes)}
}

// sum chooses the set of a token, by its end: that is where tokens differ the most, a JWT's being its signature's. Only
// tokens that were found good are put, so nobody can fill one set with tokens that end alike.
func (h *Hot[V]) sum(token string) uint64 {
	return maphash.String(h.seed, token[max(0, len(token)-tail):])
}

// Get returns what was put for a token.
func (h *Hot[V]) Get(token string) (value V, ok bool) {
	sum := h.sum(token)
	set := &h.sets[sum%sets]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && e.hash == sum && e.token == token {
			set.count()
			return e.value, true
		}
	}
	return value, false
}

// Put keeps value for a token, in a free place of its set or in that of an arbitrary other one. size is about how many
// bytes of memory the value takes.
func (h *Hot[V]) Put(token string, value V, size int) {
	sum := h.sum(token)
	set := &h.sets[sum%sets]
	// Arbitrary, and not given by the token: else two tokens of a full set could push each other out for ever.
	at, free, found := rand.IntN(ways), false, false
	for i := range set.ways {
		e := set.ways[i].Load()
		if e != nil && e.hash == sum && e.token == token {
			at, found = i, true // never twice: the older one could come back
			break
		}
		if e == nil && !free {
			at, free = i, true
		}
	}
	// A copy: the string may be part of a longer one.
	e := &hot[V]{sum, strings.Clone(token), value, int64(len(token)+size) + hotOverhead}
	if e.size > h.maxBytes {
		if found { // what it had is outdated
			h.replace(&set.ways[at], nil)
		}
		return
	}
	h.replace(&set.ways[at], e)
	h.shrink(e)
}

func (h *Hot[V]) replace(place *atomic.Pointer[hot[V]], e *hot[V]) {
	if e != nil {
		h.bytes.Add(e.size)
	}
	if old := place.Swap(e); old != nil {
		h.bytes.Add(-old.size)
	}
}

// shrink gives up entries other than e, from an arbitrary place on, until the table is within its bound.
func (h *Hot[V]) shrink(e *hot[V]) {
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

// Delete forgets a token.
func (h *Hot[V]) Delete(token string) {
	sum := h.sum(token)
	set := &h.sets[sum%sets]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && e.hash == sum && e.token == token && set.ways[i].CompareAndSwap(e, nil) {
			h.bytes.Add(-e.size)
		}
	}
}

// Bytes is about how much memory the entries take.
func (h *Hot[V]) Bytes() int { return int(h.bytes.Load()) }

// The hits of a set are counted one by one as far as exactly, then one in sample at random and for all of them: cores
// that use one token would otherwise hand its cache line to and fro with every request.
const (
	exactly = 1 << 10
	sample  = 1 << 5
)

func (s *hotSet[V]) count() {
	if s.hits.Load() < exactly {
		s.hits.Add(1)
	} else if rand.Uint32()%sample == 0 {
		s.hits.Add(sample)
	}
}

// Hits tells how many lookups found something: to a few percent, once they are many.
func (h *Hot[V]) Hits() (n uint64) {
	for i := range h.sets {
		n += h.sets[i].hits.Load()
	}
	return n
}
