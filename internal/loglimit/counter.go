package loglimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counter decides about records of single events, by their kind. In each window of time, the first
// events of a kind get a record each. The others are only counted: one record tells their number
// when the window has ended. A Counter takes memory for each kind, and none for each event. It is
// safe for concurrent use.
type Counter[K comparable] struct {
	window time.Duration
	full   int64
	kinds  map[K]*counted // the map does not change
	mu     sync.Mutex     // held to begin a window
}

// counted counts the events of one kind in one window.
type counted struct {
	window atomic.Int64 // the number of the window
	n      atomic.Int64
}

// Rest is the number of events of one kind that were only counted, in a window that has ended.
type Rest[K comparable] struct {
	Kind  K
	Count int64
	Since time.Time // the start of the window
}

// NewCounter returns a Counter. In each window, full events of a kind get a record.
func NewCounter[K comparable](window time.Duration, full int64, kinds ...K) *Counter[K] {
	c := &Counter[K]{window: window, full: full, kinds: make(map[K]*counted, len(kinds))}
	for _, kind := range kinds {
		c.kinds[kind] = new(counted)
	}
	return c
}

// Add counts an event of a kind that NewCounter got; other kinds count as fallback. It returns the
// number of the event within its kind and window: the first has the number 1. rest is what windows
// of any kind have only counted before they ended. Add returns each Rest once.
func (c *Counter[K]) Add(kind, fallback K, now time.Time) (n int64, rest []Rest[K]) {
	one, ok := c.kinds[kind]
	if !ok {
		one = c.kinds[fallback]
	}
	if window := now.UnixNano() / int64(c.window); ended(one.window.Load(), window) {
		rest = c.begin(window)
	}
	return one.n.Add(1), rest
}

// End returns the end of the window of now.
func (c *Counter[K]) End(now time.Time) time.Time { return now.Truncate(c.window).Add(c.window) }

// ended reports whether a window has ended. now may be one window too early: a caller may have been
// delayed since it read the clock, and must not begin an older window again.
func ended(window, now int64) bool { return window < now || window > now+1 }

// begin begins a window for all kinds.
func (c *Counter[K]) begin(window int64) (rest []Rest[K]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind, one := range c.kinds {
		before := one.window.Load()
		if !ended(before, window) {
			continue
		}
		if n := one.n.Swap(0) - c.full; n > 0 {
			rest = append(rest, Rest[K]{kind, n, time.Unix(0, before*int64(c.window))})
		}
		one.window.Store(window)
	}
	return rest
}
