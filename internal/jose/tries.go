package jose

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// FreeTries is the number of keys that each token may try.
const FreeTries = 4

// MoreTries is the number of further keys that all bad tokens of a second may try together.
const MoreTries = 256

// Tries bounds the cost of bad tokens if many keys fit them: if keys share a kid, or a token has no
// kid. Each token may try FreeTries keys. Each further key is taken from the allowance of the
// second, MoreTries. A good token gives back the keys that it took. So if more than 260 keys fit,
// the last ones are never tried. The zero value is ready to use.
type Tries struct {
	mu    sync.Mutex
	since time.Time // when the second began
	used  int
}

// Verify is [Hashed.Verify] within the bounds. If the allowance is used up before a key verifies
// the signature, the error is ErrTries.
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
	if now.Sub(t.since) >= time.Second { // not for the earlier now of a request that waited for keys
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

// group is keys in the order in which they are tried. Keys that verified a token come first.
type group struct {
	keys atomic.Pointer[[]*Key]
}

func (g *group) all() []*Key {
	if keys := g.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// add adds a key to a group that is not in use yet.
func (g *group) add(k *Key) {
	keys := append(g.all(), k)
	g.keys.Store(&keys)
}

// Prefer moves a key to the front of the keys that [KeySet.Find] returns for h, because it verified
// a token. Then strangers can't use up the allowance that its tokens need.
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
	g.keys.CompareAndSwap(old, &keys) // if it fails, another key was preferred at the same time
}
