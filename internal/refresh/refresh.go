// Package refresh fetches a document, for example a key set, and keeps it fresh. It fetches the
// document at its first use, and again before it expires. If a caller knows that the document is
// outdated, the package fetches the document immediately, but never more often than once in
// Policy.Gap. The package does not depend on HTTP: the caller passes the function that fetches.
//
// No goroutine of this package outlives the fetch for which it was started.
package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTimeout says that the next fetch did not end in time.
var ErrTimeout = errors.New("the fetch takes too long")

// ErrTooOld says that no fetch succeeded for longer than Policy.MaxAge.
var ErrTooOld = errors.New("the last good response is too old")

// ErrPanic says that the fetch panicked.
var ErrPanic = errors.New("the fetch panicked")

// Fetch fetches the document. previous is the last good document, or the zero value. lifetime is
// the time for which the document is fresh, as the response says, or 0 if the response doesn't say
// a time. If force is true, the response must not come from an HTTP cache.
//
// If the error has a method RetryAfter() time.Duration, the next fetch begins only after that time.
type Fetch[T any] func(ctx context.Context, previous T, force bool) (document T, lifetime time.Duration, err error)

// Policy contains the times and the bounds of a Source. All fields are required.
type Policy struct {
	Lifetime time.Duration // the lifetime of a response that doesn't say its lifetime
	Min, Max time.Duration // the bounds of the lifetime that a response says
	MaxAge   time.Duration // for how long the last good document may be used while fetches fail
	Gap      time.Duration // the least time between the starts of two fetches
	Retry    time.Duration // the time between two failed fetches while there is a usable document
	Timeout  time.Duration // the longest time of one fetch
	MaxWait  time.Duration // the longest wait of a caller that has a document and needs a newer one
	Patience time.Duration // the longest wait of a caller while an expired document is refreshed
	Doubt    time.Duration // the age of a document from which on Doubt starts a refresh
	Waiters  int           // how many callers may wait for the next fetch
	Guests   int           // how many callers with a known name may wait in addition to Waiters
	PerGuest int           // how many of the Guests may have one and the same name
	Crowd    int           // how many callers may wait for the first document
}

// Source keeps one document fresh. Use New to create a Source.
type Source[T any] struct {
	fetch  Fetch[T]
	policy Policy
	epoch  time.Time // good.failed is measured from here, by the monotonic clock
	good   atomic.Pointer[good[T]]

	mu      sync.Mutex
	running *flight   // the fetch that runs now
	next    *flight   // the fetch that waits for its start
	last    *flight   // the latest fetch that ended
	hold    time.Time // the server sent Retry-After: no fetch begins before this time
	places  places
}

// good is a good document, with the times for its refresh and its end.
type good[T any] struct {
	document T
	started  time.Time // when the fetch began that brought this document or found it unchanged
	at       time.Time // when that fetch ended
	refresh  time.Time // from this time on, Get starts a refresh
	expires  time.Time // the end of its lifetime
	unusable time.Time // from this time on, the document must not be used
	// failed is when the latest refresh failed, in nanoseconds since epoch; 0 if none failed.
	failed atomic.Int64
}

type flight struct {
	start time.Time // the planned start, and then the real one
	force bool
	done  chan struct{}
	err   error     // valid after done is closed
	end   time.Time // valid after done is closed
}

// New returns a Source without a document. It fetches nothing.
func New[T any](policy Policy, fetch Fetch[T]) *Source[T] {
	return &Source[T]{fetch: fetch, policy: policy, epoch: time.Now().Add(-2 * policy.Retry)}
}

// Get returns the document. If a refresh is due, Get starts it in the background and returns the
// old document. If the document has outlived its lifetime, Get waits for the refresh: see renewed.
// If there is no usable document, Get waits for a fetch; but if a fetch has failed within
// Policy.Gap, Get returns the error of that fetch immediately.
func (s *Source[T]) Get(ctx context.Context, now time.Time) (T, error) {
	g := s.good.Load()
	switch {
	case g == nil || !now.Before(g.unusable):
		return s.first(ctx, now)
	case now.Before(g.refresh) || s.failing(g, now, s.policy.Retry):
		return g.document, nil
	case !now.Before(g.expires):
		return s.renewed(ctx, g, now)
	}
	s.refresh(now, false)
	return g.document, nil
}

// Peek returns the last good document, and when it was fetched or found unchanged. Peek never
// starts a fetch.
func (s *Source[T]) Peek() (document T, at time.Time, ok bool) {
	g := s.good.Load()
	if g == nil {
		return document, at, false
	}
	return g.document, g.at, true
}

// Failure returns the error of the latest fetch, or nil.
func (s *Source[T]) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last.err
}

// Asked reports whether a fetch, successful or not, began less than Policy.Gap ago. If so, the next
// fetch can't begin yet.
func (s *Source[T]) Asked(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last != nil && now.Before(s.last.start.Add(s.policy.Gap))
}

// Current reports whether the document is from a fetch that began less than Policy.Gap ago. If so,
// the document can't be fetched again yet.
func (s *Source[T]) Current(now time.Time) bool {
	g := s.good.Load()
	return g != nil && now.Before(g.started.Add(s.policy.Gap))
}

// After waits for a fetch that begins at now or later, and returns its document. After is like
// [Source.Await] for a caller without a name that accepts no document of an earlier fetch.
func (s *Source[T]) After(ctx context.Context, now time.Time, force bool) (T, error) {
	return s.Await(ctx, now, force, Stranger, func(T) bool { return false })
}

// held returns the error of the last fetch while its RetryAfter is not over, and nil otherwise. The
// caller holds s.mu.
func (s *Source[T]) held(now time.Time) error {
	if now.Before(s.hold) {
		return s.last.err
	}
	return nil
}

// first returns a document if there is no usable one: it waits for the next fetch.
func (s *Source[T]) first(ctx context.Context, now time.Time) (T, error) {
	var none T
	s.mu.Lock()
	if s.running == nil && s.next == nil && s.last != nil && s.last.err != nil &&
		(now.Before(s.last.end.Add(s.policy.Gap)) || s.held(now) != nil) {
		err := s.last.err
		s.mu.Unlock()
		// The next fetch can't begin yet, so the caller gets the error immediately.
		return none, err
	}
	f := s.running
	if f == nil {
		f = s.join(now, false)
	}
	leave, err := s.enterFirst(f, now)
	s.mu.Unlock()
	if err != nil {
		return none, err
	}
	defer leave()
	// The caller can do nothing without the document, so it waits longer here: a fetch may consist
	// of several slow calls.
	if err := s.wait(ctx, f, s.policy.Timeout+s.policy.Gap); err != nil {
		return none, err
	}
	return s.usable(time.Now())
}

func (s *Source[T]) usable(now time.Time) (T, error) {
	if g := s.good.Load(); g != nil && now.Before(g.unusable) {
		return g.document, nil
	}
	var none T
	return none, ErrTooOld
}

func (s *Source[T]) refresh(now time.Time, force bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil && s.next == nil && s.held(now) == nil {
		s.join(now, force)
	}
}

// join returns the fetch that begins at now or later. If no such fetch is planned, join plans a
// fetch. The caller holds s.mu.
func (s *Source[T]) join(now time.Time, force bool) *flight {
	if s.running != nil && !s.running.start.Before(now) && (s.running.force || !force) {
		return s.running
	}
	if s.next == nil {
		f := &flight{start: now, done: make(chan struct{})}
		previous := s.running
		if previous == nil {
			previous = s.last
		}
		if previous != nil {
			if earliest := previous.start.Add(s.policy.Gap); f.start.Before(earliest) {
				f.start = earliest
			}
		}
		s.next = f
		go s.fly(f, s.running)
	}
	s.next.force = s.next.force || force
	return s.next
}

// fly carries out the fetch f: it waits until the fetch before f has ended, and until the planned
// start.
func (s *Source[T]) fly(f, before *flight) {
	if before != nil {
		<-before.done
	}
	if d := time.Until(f.start); d > 0 {
		time.Sleep(d)
	}
	s.mu.Lock()
	// A fetch never begins earlier than planned, so f serves every caller that joined f.
	f.start = time.Now()
	if err := s.held(f.start); err != nil { // the fetch before f got Retry-After
		f.err, f.end = err, f.start
		s.next = nil
		s.mu.Unlock()
		close(f.done)
		return
	}
	s.running, s.next = f, nil
	force := f.force
	s.mu.Unlock()

	err := s.try(f.start, force)

	s.mu.Lock()
	f.err, f.end = err, time.Now()
	s.running, s.last = nil, f
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		s.hold = f.end.Add(asks.RetryAfter())
	}
	s.mu.Unlock()
	close(f.done)
}

func (s *Source[T]) try(start time.Time, force bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.policy.Timeout)
	defer cancel()
	var previous T
	old := s.good.Load()
	if old != nil {
		previous = old.document
	}
	document, lifetime, err := s.guarded(ctx, previous, force)
	if err != nil {
		if old != nil {
			old.failed.Store(int64(time.Since(s.epoch)))
		}
		return err
	}
	if lifetime <= 0 {
		lifetime = s.policy.Lifetime
	}
	lifetime = min(max(lifetime, s.policy.Min), s.policy.Max, s.policy.MaxAge)
	now := time.Now()
	// The time is random, so that instances that started together don't fetch together.
	ahead := 0.8 * (0.9 + 0.2*rand.Float64())
	s.good.Store(&good[T]{
		document: document,
		started:  start,
		at:       now,
		refresh:  now.Add(time.Duration(ahead * float64(lifetime))),
		expires:  now.Add(lifetime),
		unusable: now.Add(s.policy.MaxAge),
	})
	return nil
}

// guarded calls the function that fetches. A panic in it becomes an error, because in this
// goroutine it would end the process.
func (s *Source[T]) guarded(ctx context.Context, previous T, force bool) (document T, lifetime time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrPanic
		}
	}()
	return s.fetch(ctx, previous, force)
}

func (s *Source[T]) wait(ctx context.Context, f *flight, most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ErrTimeout
	}
}
