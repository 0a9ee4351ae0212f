package refresh

import (
	"context"
	"errors"
	"time"
)

// ErrCrowded says that a caller can't wait for a fetch, because too many other callers wait
// already. The error that wraps ErrCrowded has a method RetryAfter. It returns the time after which
// the fetch that the caller needs has probably ended.
var ErrCrowded = errors.New("too many requests wait for the next fetch")

type crowded struct{ after time.Duration }

func (e *crowded) Error() string             { return ErrCrowded.Error() }
func (e *crowded) Unwrap() error             { return ErrCrowded }
func (e *crowded) RetryAfter() time.Duration { return e.after }

// Stranger stands for every caller whose name is not stored in a [Known]. [Known.Name] returns it
// for each such name.
const Stranger = 0

// waitingCallers contains how many callers wait for a fetch, separately for each reason why a
// caller may wait. The limits for these numbers are in the Policy.
type waitingCallers struct {
	// openCount is how many callers of Await wait within Policy.Waiters, the limit for callers with
	// and without a stored name
	openCount int
	// guestCount is how many further callers of Await wait, because their name is stored in a Known
	guestCount int
	// guestsByName contains, for each stored name, how many of the callers in guestCount have this
	// name
	guestsByName map[uint64]int
	// firstCount is how many callers wait because no document was fetched yet
	firstCount   int
	renewalCount int // renewalCount is how many callers wait for the refresh of an expired document
}

// Waiting returns how many callers wait for a fetch of the document now.
func (s *Source[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.openCount + s.waiting.guestCount + s.waiting.firstCount + s.waiting.renewalCount
}

// Await waits for a fetch and returns its document. The fetch does not begin before now, the time
// that the caller passes. A caller uses Await if it misses something in the document, for example
// the key that a token names. All such callers share one fetch, which begins at least Policy.Gap
// after the fetch before.
//
// An earlier fetch may still be running when Await is called. If the function accept returns true
// for the document of this earlier fetch, Await returns that document.
//
// If force is true, Await returns no document from an HTTP cache.
//
// The number of callers that can wait is limited. callerName is what [Known.Name] returned for the
// name of the caller. If Policy.Waiters callers wait already, only callers with a stored name can
// wait too: at most Policy.Guests, and at most Policy.PerGuest of them with the same name. A caller
// that can't wait gets ErrCrowded immediately, but the fetch is made nevertheless.
func (s *Source[T]) Await(ctx context.Context, now time.Time, force bool, callerName uint64, accept func(T) bool) (T, error) {
	var none T
	s.mu.Lock()
	if err := s.held(now); err != nil && s.running == nil {
		s.mu.Unlock()
		return none, err
	}
	f := s.join(now, force)
	var earlier chan struct{}
	if s.running != nil && s.running != f {
		earlier = s.running.done
	}
	leave, err := s.enter(f, callerName, now)
	s.mu.Unlock()
	if err != nil {
		return none, err
	}
	defer leave()
	timer := time.NewTimer(s.policy.MaxWait)
	defer timer.Stop()
	for {
		select {
		case <-earlier:
			earlier = nil
			if document, err := s.usable(time.Now()); err == nil && accept(document) {
				return document, nil
			}
		case <-f.done:
			if f.err != nil {
				return none, f.err
			}
			return s.usable(time.Now())
		case <-ctx.Done():
			return none, ctx.Err()
		case <-timer.C:
			return none, ErrTimeout
		}
	}
}

// Source.enter counts the caller of a Source among the callers that wait for the fetch f. The error
// is ErrCrowded if too many callers wait already. When the caller no longer waits, it must call
// leave. While enter runs, s.mu must be locked.
func (s *Source[T]) enter(f *flight, callerName uint64, now time.Time) (leave func(), err error) {
	p := &s.waiting
	switch {
	case p.openCount < s.policy.Waiters:
		p.openCount++
		return s.leave(func() { p.openCount-- }), nil
	case callerName != Stranger && p.guestCount < s.policy.Guests && p.guestsByName[callerName] < s.policy.PerGuest:
		if p.guestsByName == nil {
			p.guestsByName = make(map[uint64]int)
		}
		p.guestCount++
		p.guestsByName[callerName]++
		return s.leave(func() {
			p.guestCount--
			if p.guestsByName[callerName]--; p.guestsByName[callerName] == 0 {
				delete(p.guestsByName, callerName)
			}
		}), nil
	}
	return nil, s.crowded(f, now)
}

// enterFirst counts the caller of a Source among the callers that wait for the first document. The
// error is ErrCrowded if too many callers wait already. While enterFirst runs, s.mu must be locked.
func (s *Source[T]) enterFirst(f *flight, now time.Time) (leave func(), err error) {
	if s.waiting.firstCount >= s.policy.Crowd {
		return nil, s.crowded(f, now)
	}
	s.waiting.firstCount++
	return s.leave(func() { s.waiting.firstCount-- }), nil
}

func (s *Source[T]) leave(count func()) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		count()
	}
}

// Source.crowded returns the error for a caller that can't wait because too many other callers
// wait. It estimates when the fetch f ends, from the time that the latest fetch took. The caller of
// crowded holds s.mu.
func (s *Source[T]) crowded(f *flight, now time.Time) error {
	start, took := f.start, time.Duration(0)
	if s.last != nil {
		took = s.last.end.Sub(s.last.start)
	}
	if r := s.running; r != nil && r != f && start.Before(r.start.Add(took)) {
		start = r.start.Add(took)
	}
	return &crowded{after: start.Add(took).Sub(now)}
}
