package upstream

import (
	"sync"
	"time"
)

const (
	manyStumbles = 20                     // without a good answer in between
	stumbleTime  = time.Second            // for which they went on
	brakeSpacing = 200 * time.Millisecond // between two calls from then on
)

// brake bounds the calls to a server that is there and gives an error to each of them.
//
// Such errors do not open the breaker: a caller whose call makes the server stumble could cut off all others. They slow
// calls down only once there were many of them and no good answer for a while. One good answer releases the brake.
// Urgent calls and others are counted apart, because strangers can't make urgent ones.
type brake struct {
	mu    sync.Mutex
	lanes [2]lane // urgent calls, others
}

type lane struct {
	stumbles    int       // since the last good answer
	first, next time.Time // the first of them; when the next call may be made
}

func (b *brake) lane(urgent bool) *lane {
	if urgent {
		return &b.lanes[0]
	}
	return &b.lanes[1]
}

func (l *lane) on(now time.Time) bool {
	return l.stumbles >= manyStumbles && now.Sub(l.first) >= stumbleTime
}

// admit returns how long a call has to wait. 0 is that it may be made now.
func (b *brake) admit(urgent bool, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(urgent)
	if !l.on(now) {
		return 0
	}
	if wait := l.next.Sub(now); wait > 0 {
		return wait
	}
	l.next = now.Add(brakeSpacing)
	return 0
}

func (b *brake) stumbled(urgent bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(urgent)
	if l.stumbles == 0 {
		l.first = now
	}
	l.stumbles++
}

func (b *brake) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes = [2]lane{}
}

// on reports whether calls of any kind are bounded.
func (b *brake) on(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lanes[0].on(now) || b.lanes[1].on(now)
}
