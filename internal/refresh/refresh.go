// Package refresh keeps a fetched document (a key set, the metadata that names it) fresh: fetched on first use, again
// ahead of its expiry, at once when a caller knows that it is behind, and never more than once a second whatever
// callers ask. It knows nothing of HTTP: it is given a function that fetches.
//
// No goroutine outlives the fetch that it was started for.
package refresh

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTimeout says that the next fetch didn't come in time.
var ErrTimeout = errors.New("the fetch takes too long")

// ErrTooOld says that no fetch succeeded for longer than the document may be used.
var ErrTooOld = errors.New("the last good answer is too old")

// ErrPanic says that the fetch panicked.
var ErrPanic = errors.New("the fetch panicked")

// Fetch gets the document anew. previous is the last good one, or the zero value; lifetime is how long the answer says
// that it is fresh, 0 where it says nothing. With force no cache between here and the source may answer.
//
// If an error has a method RetryAfter() time.Duration, then no fetch begins before that time is over.
type Fetch[T any] func(ctx context.Context, previous T, force bool) (document T, lifetime time.Duration, err error)

// Policy bounds a Source. All of it is required.
type Policy struct {
	Lifetime time.Duration // of an answer that says nothing of its own
	Min, Max time.Duration // bounds of what answers say
	MaxAge   time.Duration // how long the last good document may be used while fetches fail
	Gap      time.Duration // between the starts of two fetches
	Retry    time.Duration // between failed fetches as long as the document may be used
	Timeout  time.Duration // of one fetch
	MaxWait  time.Duration // of one caller, where a document is at hand but too old for that caller
	Patience time.Duration // of one caller, for the refresh of a document that has outlived its lifetime
	Doubt    time.Duration // age from which Doubt starts a refresh
	Waiters  int           // callers that may wait for the next fetch at a time
	Guests   int           // callers with a name that may wait besides, when all those places are taken
	PerGuest int           // of them with the same name
	Crowd    int           // callers that may wait for the first document at a time
}

// Source holds one document. Use New.
type Source[T any] struct {
	fetch  Fetch[T]
	policy Policy
	epoch  time.Time // times are measured from it by the monotonic clock, which the wall clock's jumps don't move
	good   atomic.Pointer[good[T]]

	mu      sync.Mutex
	running *flight   // the fetch under way
	next    *flight   // the fetch that waits for its time
	last    *flight   // the latest that fetched and ended
	hold    time.Time // no fetch begins before it: the source asked for that
	places  places
}

// good is a document and its times.
type good[T any] struct {
	document              T
	started               time.Time // when the fetch that brought it, or found it unchanged, began
	at, refresh, unusable time.Time
	expires               time.Time    // the end of its lifetime; from then on it is a makeshift
	failed                atomic.Int64 // when the last attempt to refresh it failed, in nanoseconds since epoch; 0 never
}

type flight struct {
	start time.Time // planned
	force bool
	done  chan struct{}
	err   error // valid once done is closed, like end
	end   time.Time
}

// New returns a source that has fetched nothing yet.
func New[T any](policy Policy, fetch Fetch[T]) *Source[T] {
	return &Source[T]{fetch: fetch, policy: policy, epoch: time.Now().Add(-2 * policy.Retry)}
}

// Get returns the document. If it is due for a refresh, Get starts one and does not wait for it. If the document has
// outlived its lifetime, because the caller is the first for a while, Get waits for the refresh: see renewed. If there is
// no document that may be used, Get waits for one; if the last attempt failed within the gap, it returns that error.
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

// Peek returns the last good document and when it was fetched or found unchanged, without any effect.
func (s *Source[T]) Peek() (document T, at time.Time, ok bool) {
	g := s.good.Load()
	if g == nil {
		return document, at, false
	}
	return g.document, g.at, true
}

// Failure returns why the latest fetch failed, or nil.
func (s *Source[T]) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last.err
}

// Asked reports whether a fetch began so recently, with or without success, that the next isn't allowed yet.
func (s *Source[T]) Asked(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last != nil && now.Before(s.last.start.Add(s.policy.Gap))
}

// Current reports whether the document was fetched so recently that the next fetch isn't allowed yet.
func (s *Source[T]) Current(now time.Time) bool {
	g := s.good.Load()
	return g != nil && now.Before(g.started.Add(s.policy.Gap))
}

// After waits for a fetch that begins at now or later and returns what it brought. It is Await for a caller that is not
// known and that no earlier fetch helps.
func (s *Source[T]) After(ctx context.Context, now time.Time, force bool) (T, error) {
	return s.Await(ctx, now, force, Stranger, func(T) bool { return false })
}

// held returns the error of the last fetch if the source asked for time by it and that time is not over. s.mu is held.
func (s *Source[T]) held(now time.Time) error {
	if now.Before(s.hold) {
		return s.last.err
	}
	return nil
}

// first gets a document where none may be used.
func (s *Source[T]) first(ctx context.Context, now time.Time) (T, error) {
	var none T
	s.mu.Lock()
	if s.running == nil && s.next == nil && s.last != nil && s.last.err != nil &&
		(now.Before(s.last.end.Add(s.policy.Gap)) || s.held(now) != nil) {
		err := s.last.err
		s.mu.Unlock()
		return none, err // asking again so soon isn't allowed, and holding the caller wouldn't help it
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
	// A fetch may make several calls of a slow source one after the other, and the caller can do nothing without them.
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

// join returns the fetch that begins at now or later, and plans it if there is none. s.mu is held.
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

// fly waits for its time and for the fetch before it, then fetches.
func (s *Source[T]) fly(f, before *flight) {
	if before != nil {
		<-before.done
	}
	if d := time.Until(f.start); d > 0 {
		time.Sleep(d)
	}
	s.mu.Lock()
	f.start = time.Now()                    // later than planned, never earlier: who joined for a later moment is still served
	if err := s.held(f.start); err != nil { // the fetch before it was told so
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
	ahead := 0.8 * (0.9 + 0.2*rand.Float64()) // instances that started together don't ask together
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

// guarded keeps a panic in the fetch, which runs on a goroutine of ours, from ending the process.
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
