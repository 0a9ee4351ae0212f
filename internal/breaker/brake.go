package breaker

import (
	"sync"
	"time"
)

const (
	// the brake slows down the calls to the server only after at least manyStumbles unusable
	// responses in a row
	manyStumbles = 20
	// the brake slows down the calls only if the server has sent no good response for at least
	// stumbleTime
	stumbleTime = time.Second
	// brakeSpacing is the least time between two calls while the brake slows calls down
	brakeSpacing = 200 * time.Millisecond
)

// brake slows down the calls to a server that is up but answers every call with an error.
//
// Such errors do not open the circuit breaker. Otherwise one caller whose calls make the server
// fail could stop the calls of all other callers. The brake slows calls down only after many errors
// in a row, and only until the next good response. Urgent calls and other calls have separate
// brakes. Calls for strangers (for example about unknown tokens) are never urgent, so the errors
// that strangers cause do not slow urgent calls down.
type brake struct {
	mu sync.Mutex
	// lanes contains the brake for urgent calls and the brake for all other calls, in this order
	lanes [2]lane
}

type lane struct {
	stumbles int // stumbles is the number of unusable responses since the last good response
	// firstStumble is the time of the first unusable response since the last good response
	firstStumble time.Time
	nextCall     time.Time // nextCall is when the next call is allowed
}

func (b *brake) lane(urgent bool) *lane {
	if urgent {
		return &b.lanes[0]
	}
	return &b.lanes[1]
}

func (l *lane) on(now time.Time) bool {
	return l.stumbles >= manyStumbles && now.Sub(l.firstStumble) >= stumbleTime
}

// brake.admit returns how long a call to the server must wait because of the brake. It returns 0 if
// the call need not wait.
func (b *brake) admit(urgent bool, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(urgent)
	if !l.on(now) {
		return 0
	}
	if wait := l.nextCall.Sub(now); wait > 0 {
		return wait
	}
	l.nextCall = now.Add(brakeSpacing)
	return 0
}

func (b *brake) stumbled(urgent bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(urgent)
	if l.stumbles == 0 {
		l.firstStumble = now
	}
	l.stumbles++
}

func (b *brake) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes = [2]lane{}
}

// brake.on reports whether the brake now slows down urgent calls, other calls, or both.
func (b *brake) on(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lanes[0].on(now) || b.lanes[1].on(now)
}
