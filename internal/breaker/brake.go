package breaker

import (
	"sync"
	"time"
)

const (
	// manyStumbles is how many unusable responses in a row must arrive before the brake slows down
	// calls to the server.
	manyStumbles = 20
	// The brake slows down calls only after many unusable responses in a row (manyStumbles). In
	// addition, at least stumbleTime must have passed since the first of these responses.
	stumbleTime = time.Second
	// brakeSpacing is the least time between two calls while the brake slows down calls
	brakeSpacing = 200 * time.Millisecond
)

// brake slows down the calls to a server that is up but answers every call with an error.
//
// Such errors do not open the circuit breaker. Otherwise one caller whose calls make the server
// fail could stop the calls of all other callers. The brake slows down calls only after many errors
// in a row, and only until the next good response. An error that is only about its call (neither
// Down nor Stumbled) counts as a good response. Urgent calls and other calls have separate brakes.
// Calls for strangers (for example about unknown tokens) are never urgent, so the errors that
// strangers cause do not slow down urgent calls.
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

func (b *brake) laneOf(urgent bool) *lane {
	if urgent {
		return &b.lanes[0]
	}
	return &b.lanes[1]
}

func (l *lane) slowsCalls(now time.Time) bool {
	return l.stumbles >= manyStumbles && now.Sub(l.firstStumble) >= stumbleTime
}

// brake.claimTurn returns 0 if a call may be made now. Otherwise it returns how long the call must
// wait. While the brake slows down calls, each call that may be made delays the next call by
// brakeSpacing.
func (b *brake) claimTurn(urgent bool, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.laneOf(urgent)
	if !l.slowsCalls(now) {
		return 0
	}
	if wait := l.nextCall.Sub(now); wait > 0 {
		return wait
	}
	l.nextCall = now.Add(brakeSpacing)
	return 0
}

func (b *brake) noteStumble(urgent bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.laneOf(urgent)
	if l.stumbles == 0 {
		l.firstStumble = now
	}
	l.stumbles++
}

func (b *brake) noteGoodResponse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lanes = [2]lane{}
}

// brake.slowsCalls reports whether the brake now slows down some calls. These can be the urgent
// calls, the other calls, or both.
func (b *brake) slowsCalls(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lanes[0].slowsCalls(now) || b.lanes[1].slowsCalls(now)
}
