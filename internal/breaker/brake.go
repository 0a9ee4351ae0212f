package breaker

import (
	"sync"
	"time"
)

const (
	// manyStumbles is the number of unusable responses in a row after which calls are slowed down
	manyStumbles = 20
	// calls are slowed down only if the first and the last of these responses are at least
	// stumbleTime apart
	stumbleTime = time.Second
	// brakeSpacing is the least time between two calls while calls are slowed down
	brakeSpacing = 200 * time.Millisecond
)

// brake slows down the calls to a server that is up but answers every call with an error.
//
// Such errors do not open the circuit breaker. Otherwise one caller whose calls make the server
// fail could stop the calls of all other callers. The brake slows calls down only after many errors
// in a row, and only until the next good response. Urgent calls have a brake of their own. The
// errors of calls for strangers do not slow urgent calls down, because calls for strangers are
// never urgent.
type brake struct {
	mu sync.Mutex
	// lanes are the two brakes: the first for urgent calls, the second for all other calls
	lanes [2]lane
}

type lane struct {
	stumbles int // stumbles is the number of unusable responses since the last good response
	// first is when the first unusable response after the last good response came
	first time.Time
	next  time.Time // next is when the brake allows the next call
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

// The method admit returns how long a call must wait before it may be made. It returns 0 if the
// call need not wait.
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

// brake.on reports whether the brake now slows down at least one of the two kinds of calls: urgent
// calls and other calls.
func (b *brake) on(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lanes[0].on(now) || b.lanes[1].on(now)
}
