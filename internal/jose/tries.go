package jose

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// FreeTries is the number of keys with which the signature of every token may be verified.
// Verifications with further keys are limited: see MoreTries.
const FreeTries = 4

// MoreTries is the largest number of further verifications in one second, for all bad tokens
// together. A further verification of a token is one with a key after the first FreeTries keys.
const MoreTries = 256

// Tries limits the work that bad tokens cause if many keys fit a token: if several keys share a
// kid, or a token has no kid. Every token may be verified with FreeTries keys. For further
// verifications there is an allowance of MoreTries in each second, which all tokens share. Each
// further verification takes one from the allowance. If a key then verifies the token, the
// allowance gets back what this token has taken. Within one second, a token may be verified with at
// most FreeTries + MoreTries = 260 keys. So if more keys fit, the last of them are usually not
// tried. The zero value is ready to use.
type Tries struct {
	mu sync.Mutex
	// windowStart is the start of the current window. A window lasts one second.
	windowStart time.Time
	// windowTries is the number of further verifications in the current window. A further
	// verification of a token is one with a key after the first FreeTries keys.
	windowTries int
}

// Verify verifies the signature of a token with [Hashed.Verify]. If there are more than FreeTries
// keys, it limits the verifications after the first FreeTries keys. In one second, there are at
// most MoreTries of them, for all tokens together. If no further verification is allowed before a
// key has verified the signature, the error is ErrTries.
func (t *Tries) Verify(token *Hashed, h *Header, keys []*Key, now time.Time) (*Key, error) {
	if len(keys) <= FreeTries {
		return token.Verify(h.Algorithm, keys)
	}
	key, err := token.Verify(h.Algorithm, keys[:FreeTries])
	for used := 0; err == ErrSignature && used < len(keys)-FreeTries; used++ {
		if !t.takeTry(now) {
			return nil, ErrTries
		}
		key, err = token.Verify(h.Algorithm, keys[FreeTries+used:][:1])
		if err == nil {
			t.giveTriesBack(used + 1)
		}
	}
	return key, err
}

func (t *Tries) takeTry(callTime time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	// callTime is the time that the caller of Tries.Verify read from its clock. After that, the
	// caller may have waited for a key set. In the meantime, another call may have begun a new
	// window. Then callTime is earlier than windowStart, and the current window continues.
	if callTime.Sub(t.windowStart) >= time.Second {
		t.windowStart, t.windowTries = callTime, 0
	}
	t.windowTries++
	return t.windowTries <= MoreTries
}

func (t *Tries) giveTriesBack(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.windowTries = max(t.windowTries-n, 0)
}

// group contains the keys of a key set that have the same kid or the same thumbprint (the member
// x5t), or all keys of the set. They are in the order in which a token is verified with them.
// KeySet.Prefer moves a key to the front.
type group struct {
	keys atomic.Pointer[[]*Key]
}

func (g *group) all() []*Key {
	if keys := g.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// group.add appends a key to the list of keys. It must not be called while another goroutine uses
// this group.
func (g *group) add(k *Key) {
	keys := append(g.all(), k)
	g.keys.Store(&keys)
}

// Prefer moves the key k, which has verified a token with the header h, to the front of the keys
// that [KeySet.Find] returns for h. It does nothing if k is already one of the first FreeTries keys
// of its group. k must be a key of this set. Later tokens are verified with k first. They do not
// need the further verifications that MoreTries limits. They are accepted even while bad tokens of
// strangers use up this limit.
func (s *KeySet) Prefer(h *Header, k *Key) {
	g := s.keysNamedBy(h)
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
	// If CompareAndSwap fails, another goroutine has changed the order of the keys at the same
	// time. Then k keeps its place for now. Prefer is called again when k verifies the next token.
	g.keys.CompareAndSwap(old, &keys)
}
