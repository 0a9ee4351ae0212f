package breaker

import (
	"sync"
	"time"
)

const (
	manyStumbles = 20                     // unusable responses without a good one in between
	stumbleTime  = time.Second            // the least time between the first and the last of them
	brakeSpacing = 200 * time.Millisecond // the time between two calls while the brake is on
)

// brake slows down calls to a server that is up and answers each call with an error.
//
// Such errors do not open the circuit breaker. Otherwise a caller whose call makes the server fail
// could cut off all other callers. They slow down calls only after many of them without a good
// response. One good response releases the brake. Urgent calls and other calls are counted apart,
// because strangers can't make urgent calls.
type brake struct {
	mu    sync.Mutex
	lanes [2]lane // urgent calls, others
}

type lane struct {
	stumbles int       // unusable responses since the last good one
	first    time.Time // the time of the first of them
	next     time.Time // when the next call may be made
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

// admit returns how long a call must wait. 0 means that it may be made now.
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

// on reports whether urgent calls or other calls are slowed down.
func (b *brake) on(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lanes[0].on(now) || b.lanes[1].on(now)
}
