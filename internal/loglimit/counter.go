package loglimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counter limits the log records about single events, for example refused requests. Each event has
// a kind. In each window of time, the first events of a kind get a log record each. Further events
// are only counted. After the window, one record contains their number. A Counter takes memory for
// each kind, but not for each event. It is safe for concurrent use.
type Counter[K comparable] struct {
	window time.Duration
	full   int64
	kinds  map[K]*counted // the map kinds does not change after NewCounter
	mu     sync.Mutex     // mu is held while a new window of time begins
}

// The type counted contains the number n of the events of one kind in one window of time.
type counted struct {
	window atomic.Int64 // window is the number of the window of time, counted from 1970
	n      atomic.Int64
}

// Rest says how many events of one kind got no log record of their own in one window of time. The
// window has ended.
type Rest[K comparable] struct {
	Kind  K
	Count int64
	Since time.Time // Since is the start of the window of time
}

// NewCounter returns a Counter for events of the given kinds. full is the number of events of each
// kind that get a log record of their own in each window of time.
func NewCounter[K comparable](window time.Duration, full int64, kinds ...K) *Counter[K] {
	c := &Counter[K]{window: window, full: full, kinds: make(map[K]*counted, len(kinds))}
	for _, kind := range kinds {
		c.kinds[kind] = new(counted)
	}
	return c
}

// Add counts an event of a kind. If NewCounter did not get this kind, Add counts the event under
// the kind fallback instead. n is the number of the event among the events of its kind in the
// current window of time, beginning with 1. rest says how many events of earlier windows got no log
// record of their own. Each Rest is returned only once.
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

// End returns the end of the window of time that contains now.
func (c *Counter[K]) End(now time.Time) time.Time { return now.Truncate(c.window).Add(c.window) }

// The function ended reports whether a window of time has ended. The parameter window is the number
// of this window, and now is the number of the window that contains the caller's time. The caller
// may have read the clock before another caller began the window. Then now is one less than window,
// and ended returns false, so that the window before does not begin again.
func ended(window, now int64) bool { return window < now || window > now+1 }

// Counter.begin begins a new window of time for all kinds of events. It returns how many events of
// the old windows got no log record of their own.
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
