package loglimit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Counter limits the log records about single events, for example refused requests. Each event has
// a kind. Time is divided into windows of the same length, for example a minute. In each window,
// the first events of a kind get a log record each. Further events are only counted. After the
// window, the next call of Add returns their number, for one more record. A Counter takes memory
// for each kind, but not for each event. It is safe for concurrent use.
type Counter[K comparable] struct {
	window           time.Duration
	recordsPerWindow int64
	kinds            map[K]*kindCount // NewCounter fills the map; it never changes after that
	mu               sync.Mutex       // mu is locked while a new window of time begins
}

// kindCount counts the events of one kind in one window of time.
type kindCount struct {
	// windowNumber is the number of the window of time in which the events were counted. Windows
	// follow one another from the start of 1970, which is the start of window 0.
	windowNumber atomic.Int64
	n            atomic.Int64
}

// UnloggedCount says how many events of one kind got no log record of their own in one window of
// time. The window has ended.
type UnloggedCount[K comparable] struct {
	Kind        K
	Count       int64
	WindowStart time.Time // WindowStart is when the window of time began
}

// NewCounter returns a Counter for events of the given kinds. In each window of time, the first
// recordsPerWindow events of each kind get a log record of their own.
func NewCounter[K comparable](window time.Duration, recordsPerWindow int64, kinds ...K) *Counter[K] {
	c := &Counter[K]{window: window, recordsPerWindow: recordsPerWindow, kinds: make(map[K]*kindCount, len(kinds))}
	for _, kind := range kinds {
		c.kinds[kind] = new(kindCount)
	}
	return c
}

// Add counts an event of a kind. If this kind was not passed to NewCounter, the event counts as an
// event of fallbackKind. The fallbackKind must have been passed to NewCounter. n is the number of
// events of this kind in the current window of time, including this event. If an earlier window has
// ended, unlogged contains one UnloggedCount for each kind with events that got no log record of
// their own. Add returns each of these counts only once.
func (c *Counter[K]) Add(kind, fallbackKind K, now time.Time) (n int64, unlogged []UnloggedCount[K]) {
	one, ok := c.kinds[kind]
	if !ok {
		one = c.kinds[fallbackKind]
	}
	if window := c.windowAt(now); windowEnded(one.windowNumber.Load(), window) {
		unlogged = c.beginWindow(window)
	}
	return one.n.Add(1), unlogged
}

// End returns when the current window of time ends. now is the current time.
func (c *Counter[K]) End(now time.Time) time.Time {
	return c.windowStart(c.windowAt(now) + 1).In(now.Location())
}

// Counter.windowAt returns the number of the window of time that contains now.
func (c *Counter[K]) windowAt(now time.Time) int64 { return now.UnixNano() / int64(c.window) }

// Counter.windowStart returns when the window of time with the given number begins.
func (c *Counter[K]) windowStart(number int64) time.Time { return time.Unix(0, number*int64(c.window)) }

// windowEnded reports whether the window of time with the given number has ended. The parameter
// current is the number of the window that contains the caller's time. A caller may be late: it
// read the clock before another caller began the next window. For a late caller, current is one
// less than number. Then the result is false, so that the late caller does not begin the old window
// again. If current is less than that, the clock was set back, and the result is true.
func windowEnded(number, current int64) bool { return number < current || number > current+1 }

// Counter.beginWindow begins a new window of time for all kinds of events. It returns how many
// events of the old windows got no log record of their own.
func (c *Counter[K]) beginWindow(window int64) (rest []UnloggedCount[K]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind, one := range c.kinds {
		before := one.windowNumber.Load()
		if !windowEnded(before, window) {
			continue
		}
		if n := one.n.Swap(0) - c.recordsPerWindow; n > 0 {
			rest = append(rest, UnloggedCount[K]{kind, n, c.windowStart(before)})
		}
		one.windowNumber.Store(window)
	}
	return rest
}
