package refresh

import (
	"context"
	"errors"
	"time"
)

// ErrCrowded says that too many callers wait already. The error that wraps it has a method
// RetryAfter. RetryAfter returns the time after which the fetch that the caller needs has probably
// ended.
var ErrCrowded = errors.New("too many requests wait for the next fetch")

type crowded struct{ after time.Duration }

func (e *crowded) Error() string             { return ErrCrowded.Error() }
func (e *crowded) Unwrap() error             { return ErrCrowded }
func (e *crowded) RetryAfter() time.Duration { return e.after }

// Stranger is the name of a caller that is not stored in a [Known].
const Stranger = 0

// places counts the callers that wait for a fetch.
type places struct {
	open   int            // open counts callers in the places that every caller may take
	guests int            // guests counts callers in the places for callers with a known name
	byName map[uint64]int // byName counts the guests with each name
	first  int            // first counts callers that wait for the first document
	renew  int            // renew counts callers that wait for the refresh of an expired document
}

// Waiting returns how many callers wait for a fetch now.
func (s *Source[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.open + s.places.guests + s.places.first + s.places.renew
}

// Await waits for a fetch that begins at now or later, and returns its document. It is for a caller
// that misses something in the document, for example the key that a token names. All callers share
// that fetch, and Policy.Gap is kept. If an earlier fetch still runs, and the function enough
// accepts its document, Await returns that document.
//
// If force is true, the document must not come from an HTTP cache, and the document of an earlier
// fetch must not come from an HTTP cache either.
//
// Strangers can't take all places. If Policy.Waiters callers wait, a caller with a stored name may
// still wait as one of Policy.Guests, but not more than PerGuest callers with the same name. A
// caller that gets no place gets ErrCrowded immediately, but the fetch is made nevertheless.
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

// The method enter takes a place for a caller that will wait for f. The caller must call leave
// after its wait. The caller holds s.mu.
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

// enterFirst takes a place for a caller that will wait for the first document. The caller holds
// s.mu.
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

// The method crowded returns the error for a caller that gets no place. It assumes that a fetch
// takes as long as the last one. The caller holds s.mu.
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
