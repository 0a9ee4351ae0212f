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
	tail = 32 // bytes at the end of a token that choose its set
)

// Hot is a small table of the tokens in use. Its keys are the tokens themselves. It has sets of
// four entries, 1024 entries together, and needs no lock. It hashes only the end of a token, with a
// secret seed, to choose the set, and then compares the whole token. A value may be outdated: the
// caller checks it like a value from the Cache.
//
// A Hot is bounded by the bytes of its entries. It drops arbitrary entries to make room.
//
// The caller puts a token into it at the second use, so a token that is used once does not displace
// tokens in use. A Hot contains whole tokens, which a Cache does not.
type Hot[V any] struct {
	seed     maphash.Seed
	sets     [sets]hotSet[V]
	bytes    atomic.Int64 // of all entries
	maxBytes int64
}

type hotSet[V any] struct {
	ways [ways]atomic.Pointer[hot[V]]
	hits atomic.Uint64
	_    [24]byte // fills the cache line, so that cores with different tokens don't share one
}

type hot[V any] struct {
	hash  uint64
	token string
	value V
	size  int64
}

// hotOverhead is about how many bytes an entry takes in addition to its token and its value.
const hotOverhead = 64

// NewHot returns an empty table of at most maxBytes bytes.
func NewHot[V any](maxBytes int) *Hot[V] {
	return &Hot[V]{seed: maphash.MakeSeed(), maxBytes: int64(maxBytes)}
}

// sum hashes the end of a token, which is where tokens differ most: the end of a JWT is its
// signature. Only good tokens are put, so a stranger cannot fill one set with tokens that have the
// same end.
func (h *Hot[V]) sum(token string) uint64 {
	return maphash.String(h.seed, token[max(0, len(token)-tail):])
}

// Get returns the value of a token.
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

// Put stores the value of a token in a free place of its set, or in the place of an arbitrary other
// token. size is about how many bytes the value takes.
func (h *Hot[V]) Put(token string, value V, size int) {
	sum := h.sum(token)
	set := &h.sets[sum%sets]
	// The place is random and does not depend on the token. Otherwise two tokens of a full set
	// could displace each other forever.
	at, free, found := rand.IntN(ways), false, false
	for i := range set.ways {
		e := set.ways[i].Load()
		if e != nil && e.hash == sum && e.token == token {
			at, found = i, true // a second entry could return an older value later
			break
		}
		if e == nil && !free {
			at, free = i, true
		}
	}
	// A copy: the string may be part of a longer one.
	e := &hot[V]{sum, strings.Clone(token), value, int64(len(token)+size) + hotOverhead}
	if e.size > h.maxBytes {
		if found { // the old value is outdated
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

// shrink drops entries other than e, from an arbitrary place on, until the table is within its
// bound.
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

// Delete removes a token.
func (h *Hot[V]) Delete(token string) {
	sum := h.sum(token)
	set := &h.sets[sum%sets]
	for i := range set.ways {
		if e := set.ways[i].Load(); e != nil && e.hash == sum && e.token == token && set.ways[i].CompareAndSwap(e, nil) {
			h.bytes.Add(-e.size)
		}
	}
}

// Bytes returns about how many bytes the entries take.
func (h *Hot[V]) Bytes() int { return int(h.bytes.Load()) }

// The first hits of a set are counted one by one, up to exactly. After that, one hit in sample is
// counted as sample hits, at random. Otherwise cores that use the same token would write to the
// same cache line with every request.
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

// Hits returns how many look-ups found a token. A large number is exact to a few percent.
func (h *Hot[V]) Hits() (n uint64) {
	for i := range h.sets {
		n += h.sets[i].hits.Load()
	}
	return n
}
