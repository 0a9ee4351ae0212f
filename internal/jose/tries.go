package jose

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// FreeTries is with how many keys each token may be tried.
const FreeTries = 4

// MoreTries is with how many keys beyond those all bad tokens of a second may be tried.
const MoreTries = 256

// Tries bounds what bad tokens cost where many keys fit: keys that share a kid, and tokens without one. A token is tried
// with four keys. For each further key the allowance of the second must have something left; a good token gives back what
// it took. So of more than 260 keys that fit, those behind are never tried. The zero value is ready.
type Tries struct {
	mu    sync.Mutex
	since time.Time // when the second began
	used  int
}

// Verify is [Hashed.Verify] within the bounds. If the allowance is used up before a key verified, the error is ErrTries.
func (t *Tries) Verify(token *Hashed, h *Header, keys []*Key, now time.Time) (*Key, error) {
	if len(keys) <= FreeTries {
		return token.Verify(h.Algorithm, keys)
	}
	key, err := token.Verify(h.Algorithm, keys[:FreeTries])
	for used := 0; err == ErrSignature && used < len(keys)-FreeTries; used++ {
		if !t.take(now) {
			return nil, ErrTries
		}
		key, err = token.Verify(h.Algorithm, keys[FreeTries+used:][:1])
		if err == nil {
			t.giveBack(used + 1)
		}
	}
	return key, err
}

func (t *Tries) take(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) >= time.Second { // a request that waited for keys comes with an earlier time: it begins none
		t.since, t.used = now, 0
	}
	t.used++
	return t.used <= MoreTries
}

func (t *Tries) giveBack(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = max(t.used-n, 0)
}

// group is keys that are tried one after the other: first those that verified last.
type group struct {
	keys atomic.Pointer[[]*Key]
}

func (g *group) all() []*Key {
	if keys := g.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// add is for a set that is not in use yet.
func (g *group) add(k *Key) {
	keys := append(g.all(), k)
	g.keys.Store(&keys)
}

// Prefer notes that a key which [KeySet.Find] returned for h has verified. From now on it is among the first that are
// tried, so that strangers can't use up the allowance that its tokens need.
func (s *KeySet) Prefer(h *Header, k *Key) {
	g := s.named(h)
	if g == nil {
		return
	}
	old := g.keys.Load()
	if old == nil || len(*old) <= FreeTries || slices.Contains((*old)[:FreeTries], k) {
		return
	}
	keys := make([]*Key, 0, len(*old))
	keys = append(keys, k)
	for _, other := range *old {
		if other != k {
			keys = append(keys, other)
		}
	}
	g.keys.CompareAndSwap(old, &keys) // if another key was preferred at the same time, then this one is some time later
}
