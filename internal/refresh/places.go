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

// Stranger is the number of all callers whose names are not stored in a [Known].
const Stranger = 0

// places counts the callers that wait for a fetch. The Policy limits how many callers of each kind
// may wait at the same time.
type places struct {
	open int // open counts the waiting callers that Policy.Waiters limits
	// guests counts the waiting callers with a known name that Policy.Guests limits
	guests int
	// byName counts the callers in the field guests, by their name
	byName map[uint64]int
	// first counts the callers that wait because no document was fetched yet
	first int
	renew int // renew counts the callers that wait for the refresh of an expired document
}

// Waiting returns how many callers wait for a fetch of the document now.
func (s *Source[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.open + s.places.guests + s.places.first + s.places.renew
}

// Await waits for a fetch that begins at the time now or later, and returns its document. It is for
// a caller that misses something in the document, for example the key that a token names. All such
// callers share one fetch, which begins at least Policy.Gap after the fetch before. If an earlier
// fetch is still running when Await is called, and the function enough returns true for the
// document of that fetch, Await returns that document.
//
// If force is true, Await returns no document from an HTTP cache.
//
// If Policy.Waiters callers wait already, strangers can't wait. But up to Policy.Guests further
// callers with a stored name can wait, and up to Policy.PerGuest of them with the same name. A
// caller that can't wait gets ErrCrowded immediately, but the fetch is made nevertheless.
func (s *Source[T]) Await(ctx context.Context, now time.Time, force bool, name uint64, enough func(T) bool) (T, error) {
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
	leave, err := s.enter(f, name, now)
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
			if document, err := s.usable(time.Now()); err == nil && enough(document) {
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
func (s *Source[T]) enter(f *flight, name uint64, now time.Time) (leave func(), err error) {
	p := &s.places
	switch {
	case p.open < s.policy.Waiters:
		p.open++
		return s.leave(func() { p.open-- }), nil
	case name != Stranger && p.guests < s.policy.Guests && p.byName[name] < s.policy.PerGuest:
		if p.byName == nil {
			p.byName = make(map[uint64]int)
		}
		p.guests++
		p.byName[name]++
		return s.leave(func() {
			p.guests--
			if p.byName[name]--; p.byName[name] == 0 {
				delete(p.byName, name)
			}
		}), nil
	}
	return nil, s.crowded(f, now)
}

// enterFirst counts the caller of a Source among the callers that wait for the first document. The
// error is ErrCrowded if too many callers wait already. While enterFirst runs, s.mu must be locked.
func (s *Source[T]) enterFirst(f *flight, now time.Time) (leave func(), err error) {
	if s.places.first >= s.policy.Crowd {
		return nil, s.crowded(f, now)
	}
	s.places.first++
	return s.leave(func() { s.places.first-- }), nil
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
