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

// Stranger stands for every caller whose name is not stored in [KnownCallers].
// [KnownCallers.FindNumber] returns it for each such name.
const Stranger = 0

// waitingCallers counts the callers that wait for a fetch. It has a separate count for each reason
// why a caller may wait. The Policy limits each count except the number of callers that wait for
// the refresh of an expired document (renewalCount).
type waitingCallers struct {
	// openCount is how many callers of Await wait in the places that Policy.Waiters allows. Every
	// caller may use these places.
	openCount int
	// guestCount is how many guests wait in addition to openCount. A guest is a caller of Await
	// whose name is stored in a KnownCallers. It may wait although Policy.Waiters callers wait
	// already.
	guestCount int
	// guestsByNumber counts the guests separately for each caller name, because Policy.PerGuest
	// limits each of these counts. The key is the number that KnownCallers.FindNumber returns for
	// the name. The sum of all counts is guestCount.
	guestsByNumber map[uint64]int
	// firstCount is how many callers wait because there is no usable document: none was fetched
	// yet, or the last one is older than Policy.MaxAge
	firstCount   int
	renewalCount int // renewalCount is how many callers wait for the refresh of an expired document
}

// Waiting returns how many callers wait for a fetch of the document now.
func (s *Source[T]) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting.openCount + s.waiting.guestCount + s.waiting.firstCount + s.waiting.renewalCount
}

// Await waits for a fetch that begins at callTime or later, and returns its document. The parameter
// callTime is the time that the caller has read from its clock. A caller uses Await if it misses
// something in the document, for example the key that a token names. All such callers share one
// fetch. It begins at least Policy.Gap after the start of the previous fetch. If it does not end
// within Policy.MaxWait, Await returns ErrTimeout. While no fetch may begin because the server has
// sent Retry-After, Await does not wait: it returns the error of the latest fetch.
//
// An earlier fetch may still be running when Await is called. After it has ended, Await calls the
// function acceptDocument with the last good document: the document of this earlier fetch, or an
// older one if the fetch has failed. If acceptDocument returns true, Await returns this document.
//
// If force is true, the fetch for which Await waits bypasses HTTP caches. An earlier fetch may have
// used them.
//
// The number of callers that can wait is limited. Policy.Waiters callers can wait, whoever they
// are. In addition, callers whose names are stored in a [KnownCallers] can wait as guests. At most
// Policy.Guests guests can wait, and at most Policy.PerGuest of them with the same name. The
// parameter callerNumber is what [KnownCallers.FindNumber] returned for the name of the caller. A
// caller that can't wait gets ErrCrowded immediately, but the fetch is made nevertheless.
func (s *Source[T]) Await(ctx context.Context, callTime time.Time, force bool, callerNumber uint64, acceptDocument func(T) bool) (T, error) {
	var none T
	s.mu.Lock()
	if err := s.holdError(callTime); err != nil && s.runningFetch == nil {
		s.mu.Unlock()
		return none, err
	}
	f := s.joinFetch(callTime, force)
	var earlier chan struct{}
	if s.runningFetch != nil && s.runningFetch != f {
		earlier = s.runningFetch.done
	}
	leave, err := s.enterQueue(f, callerNumber, callTime)
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
			if document, err := s.usableDocument(time.Now()); err == nil && acceptDocument(document) {
				return document, nil
			}
		case <-f.done:
			if f.err != nil {
				return none, f.err
			}
			return s.usableDocument(time.Now())
		case <-ctx.Done():
			return none, ctx.Err()
		case <-timer.C:
			return none, ErrTimeout
		}
	}
}

// Source.enterQueue counts the caller of a Source among the callers that wait for the fetch f. The
// error is ErrCrowded if too many callers wait already. When the caller no longer waits, it must
// call the function leave. While enterQueue runs, s.mu must be locked.
func (s *Source[T]) enterQueue(f *flight, callerNumber uint64, now time.Time) (leave func(), err error) {
	p := &s.waiting
	switch {
	case p.openCount < s.policy.Waiters:
		p.openCount++
		return s.leaveFunc(func() { p.openCount-- }), nil
	case callerNumber != Stranger && p.guestCount < s.policy.Guests && p.guestsByNumber[callerNumber] < s.policy.PerGuest:
		if p.guestsByNumber == nil {
			p.guestsByNumber = make(map[uint64]int)
		}
		p.guestCount++
		p.guestsByNumber[callerNumber]++
		return s.leaveFunc(func() {
			p.guestCount--
			if p.guestsByNumber[callerNumber]--; p.guestsByNumber[callerNumber] == 0 {
				delete(p.guestsByNumber, callerNumber)
			}
		}), nil
	}
	return nil, s.crowdedError(f, now)
}

// Source.enterFirst counts the caller of a Source among the callers that wait because there is no
// usable document. The error is ErrCrowded if too many callers wait already. When the caller no
// longer waits, it must call the function leave. While enterFirst runs, s.mu must be locked.
func (s *Source[T]) enterFirst(f *flight, now time.Time) (leave func(), err error) {
	if s.waiting.firstCount >= s.policy.Crowd {
		return nil, s.crowdedError(f, now)
	}
	s.waiting.firstCount++
	return s.leaveFunc(func() { s.waiting.firstCount-- }), nil
}

func (s *Source[T]) leaveFunc(count func()) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		count()
	}
}

// Source.crowdedError returns the error for a caller that can't wait because too many other callers
// wait. It estimates when the fetch f ends, from the time that the latest fetch took. The caller of
// crowdedError holds s.mu.
func (s *Source[T]) crowdedError(f *flight, now time.Time) error {
	start, took := f.start, time.Duration(0)
	if s.latestFetch != nil {
		took = s.latestFetch.end.Sub(s.latestFetch.start)
	}
	if r := s.runningFetch; r != nil && r != f && start.Before(r.start.Add(took)) {
		start = r.start.Add(took)
	}
	return &crowded{after: start.Add(took).Sub(now)}
}
