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

// ErrTimeout says that the fetch for which the caller waited did not end in time.
var ErrTimeout = errors.New("the fetch takes too long")

// ErrTooOld says that no fetch succeeded for longer than Policy.MaxAge.
var ErrTooOld = errors.New("the last good response is too old")

// ErrPanic says that the function that fetches the document panicked.
var ErrPanic = errors.New("the fetch panicked")

// Fetch is the function that fetches the document. previous is the last good document, or the zero
// value. lifetime is for how long the document is fresh according to the response, or 0 if the
// response does not say it. If force is true, the response must not come from an HTTP cache.
//
// If the error has a method RetryAfter() time.Duration, the next fetch begins only after that time.
type Fetch[T any] func(ctx context.Context, previous T, force bool) (document T, lifetime time.Duration, err error)

// Policy contains the limits of a Source, for example for the age of its document. All fields are
// required.
type Policy struct {
	Lifetime time.Duration // Lifetime is the lifetime of a document if the response says none
	// Min and Max limit the lifetime of a document: Min replaces a shorter lifetime, and Max a
	// longer one. MaxAge also replaces a longer lifetime.
	Min, Max time.Duration
	MaxAge   time.Duration // MaxAge is the age up to which a document is used while fetches fail
	Gap      time.Duration // Gap is the least time between the starts of two fetches
	// Retry is the time between two fetches that fail, while the last document is still usable
	Retry   time.Duration
	Timeout time.Duration // Timeout is the longest time of one fetch
	// MaxWait is the longest time for which a caller of [Source.Await] or [Source.AwaitNew] waits
	MaxWait time.Duration
	// Patience is the longest time for which a caller of Get waits if the document has expired
	Patience time.Duration
	// DoubtAge is the least age of a document that [Source.RefreshInBackground] refreshes. A
	// younger document is not fetched again.
	DoubtAge time.Duration
	Waiters  int // Waiters is how many callers of Await may wait for the next fetch
	// Guests is how many callers of Await may wait in addition to the number in Waiters. The name
	// of each of these guests must be stored in a [KnownCallers].
	Guests int
	// PerGuest is how many guests with the same name may wait. A guest is a caller that waits in
	// addition to the number in Waiters.
	PerGuest int
	// Crowd is how many callers of Get may wait while there is no usable document
	Crowd int
}

// Source fetches one document and keeps it fresh. Use New to create a Source.
type Source[T any] struct {
	fetch  Fetch[T]
	policy Policy
	// epoch is a fixed time in the past. The field goodDocument.failedAt is counted from it.
	epoch time.Time
	good  atomic.Pointer[goodDocument[T]]

	mu           sync.Mutex
	runningFetch *flight // runningFetch is the fetch that runs now
	plannedFetch *flight // plannedFetch is a fetch that has not begun yet
	latestFetch  *flight // latestFetch is the latest fetch that has ended
	// no fetch begins before holdUntil, because the server has sent Retry-After
	holdUntil time.Time
	waiting   waitingCallers
}

// goodDocument is a document that was fetched successfully, with the time at which it must be
// refreshed and the time after which it must not be used.
type goodDocument[T any] struct {
	document T
	// startedAt is when the latest successful fetch began: the fetch that returned this document,
	// or found that it had not changed
	startedAt    time.Time
	fetchedAt    time.Time // fetchedAt is when the latest successful fetch of the document ended
	refreshAt    time.Time // refreshAt is when the refresh of the document is due
	expiry       time.Time // expiry is the end of the document's lifetime
	unusableFrom time.Time // unusableFrom is when the document gets too old to be used
	// failedAt is the time of the latest failed refresh, in nanoseconds since Source.epoch. It is 0
	// if no refresh has failed.
	failedAt atomic.Int64
}

type flight struct {
	start time.Time // start is first the planned start of the fetch, and later its actual start
	force bool
	done  chan struct{}
	err   error     // err is the error of the fetch; it is set before done is closed
	end   time.Time // end is when the fetch ended; it is set before done is closed
}

// New returns a Source that has no document yet. New fetches nothing.
func New[T any](policy Policy, fetch Fetch[T]) *Source[T] {
	return &Source[T]{fetch: fetch, policy: policy, epoch: time.Now().Add(-2 * policy.Retry)}
}

// Get returns the document. If a refresh is due, Get starts it in the background and returns the
// old document. If a refresh has failed within Policy.Retry, Get only returns the old document. If
// the lifetime of the document is over, Get waits for the refresh, but not longer than
// Policy.Patience. If ctx ends during this wait, Get returns the old document and the error of ctx.
// If there is no usable document, Get waits for a fetch, or returns ErrCrowded if Policy.Crowd
// callers wait already. But if the latest fetch has failed less than Policy.Gap ago, or Retry-After
// forbids a new fetch, Get returns the error of the latest fetch immediately.
func (s *Source[T]) Get(ctx context.Context, now time.Time) (T, error) {
	g := s.good.Load()
	switch {
	case g == nil || !now.Before(g.unusableFrom):
		return s.awaitFirst(ctx, now)
	case now.Before(g.refreshAt) || s.failedRecently(g, now, s.policy.Retry):
		return g.document, nil
	case !now.Before(g.expiry):
		return s.awaitRefresh(ctx, g, now)
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
	return g.document, g.fetchedAt, true
}

// Failure returns the error of the latest fetch, or nil if that fetch succeeded or there was none.
func (s *Source[T]) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latestFetch == nil {
		return nil
	}
	return s.latestFetch.err
}

// HasRecentFetch reports whether the latest fetch that has ended, successful or not, began less
// than Policy.Gap ago. If so, the next fetch can't begin yet. A fetch that is still running does
// not count.
func (s *Source[T]) HasRecentFetch(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latestFetch != nil && now.Before(s.latestFetch.start.Add(s.policy.Gap))
}

// IsCurrent reports whether the document is from a fetch that began less than Policy.Gap ago. If
// so, the document can't be fetched again yet.
func (s *Source[T]) IsCurrent(now time.Time) bool {
	g := s.good.Load()
	return g != nil && now.Before(g.startedAt.Add(s.policy.Gap))
}

// AwaitNew waits for a fetch that begins at callTime or later, and returns its document. The
// parameter callTime is the time that the caller has read from its clock. AwaitNew is like
// [Source.Await], but it never returns the document of an earlier fetch. AwaitNew treats every
// caller as a Stranger, which is a caller without a known name. So no caller of AwaitNew gets one
// of the places that Policy.Guests reserves for callers with a known name.
func (s *Source[T]) AwaitNew(ctx context.Context, callTime time.Time, force bool) (T, error) {
	return s.Await(ctx, callTime, force, Stranger, func(T) bool { return false })
}

// Source.holdError returns the error of the latest fetch while no fetch may begin, because the
// server has sent Retry-After. Otherwise it returns nil. The caller of holdError holds s.mu.
func (s *Source[T]) holdError(now time.Time) error {
	if now.Before(s.holdUntil) {
		return s.latestFetch.err
	}
	return nil
}

// Source.awaitFirst is called when there is no usable document. It waits for the running fetch, or
// else for the next fetch, and returns its document.
func (s *Source[T]) awaitFirst(ctx context.Context, now time.Time) (T, error) {
	var none T
	s.mu.Lock()
	if s.runningFetch == nil && s.plannedFetch == nil && s.latestFetch != nil && s.latestFetch.err != nil &&
		(now.Before(s.latestFetch.end.Add(s.policy.Gap)) || s.holdError(now) != nil) {
		err := s.latestFetch.err
		s.mu.Unlock()
		// The latest fetch has failed a moment ago, or the server has sent Retry-After. So the
		// caller immediately gets the error of the failed fetch.
		return none, err
	}
	f := s.runningFetch
	if f == nil {
		f = s.joinFetch(now, false)
	}
	leave, err := s.enterFirst(f, now)
	s.mu.Unlock()
	if err != nil {
		return none, err
	}
	defer leave()
	// There is no document that the caller could use instead of a new one. So the caller waits for
	// the whole fetch, even if the fetch consists of several slow calls to the server.
	if err := s.wait(ctx, f, s.policy.Timeout+s.policy.Gap); err != nil {
		return none, err
	}
	return s.usableDocument(time.Now())
}

func (s *Source[T]) usableDocument(now time.Time) (T, error) {
	if g := s.good.Load(); g != nil && now.Before(g.unusableFrom) {
		return g.document, nil
	}
	var none T
	return none, ErrTooOld
}

func (s *Source[T]) refresh(now time.Time, force bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runningFetch == nil && s.plannedFetch == nil && s.holdError(now) == nil {
		s.joinFetch(now, force)
	}
}

// Source.joinFetch returns a fetch that begins at callTime or later. callTime is the time that the
// caller of the Source has read from its clock. If such a fetch is running or planned, joinFetch
// returns it. Otherwise joinFetch plans a new fetch. If force is true, the fetch bypasses HTTP
// caches, so joinFetch does not return a running fetch that may use them. The caller of joinFetch
// holds s.mu.
func (s *Source[T]) joinFetch(callTime time.Time, force bool) *flight {
	if s.runningFetch != nil && !s.runningFetch.start.Before(callTime) && (s.runningFetch.force || !force) {
		return s.runningFetch
	}
	if s.plannedFetch == nil {
		f := &flight{start: callTime, done: make(chan struct{})}
		previous := s.runningFetch
		if previous == nil {
			previous = s.latestFetch
		}
		if previous != nil {
			if earliest := previous.start.Add(s.policy.Gap); f.start.Before(earliest) {
				f.start = earliest
			}
		}
		s.plannedFetch = f
		go s.runFetch(f, s.runningFetch)
	}
	s.plannedFetch.force = s.plannedFetch.force || force
	return s.plannedFetch
}

// Source.runFetch carries out the planned fetch f. First it waits until the running fetch has
// ended, if there is one, and until the planned start of f.
func (s *Source[T]) runFetch(f, runningFetch *flight) {
	if runningFetch != nil {
		<-runningFetch.done
	}
	if d := time.Until(f.start); d > 0 {
		time.Sleep(d)
	}
	s.mu.Lock()
	// Until now, f was only planned, so each caller that shares f read its clock before now. The
	// fetch f begins now, so its document is new enough for all these callers.
	f.start = time.Now()
	// The server may have sent Retry-After in its response to the previous fetch. Then the planned
	// fetch f does not take place. The callers that wait for f get the error of the previous fetch.
	if err := s.holdError(f.start); err != nil {
		f.err, f.end = err, f.start
		s.plannedFetch = nil
		s.mu.Unlock()
		close(f.done)
		return
	}
	s.runningFetch, s.plannedFetch = f, nil
	force := f.force
	s.mu.Unlock()

	err := s.try(f.start, force)

	s.mu.Lock()
	f.err, f.end = err, time.Now()
	s.runningFetch, s.latestFetch = nil, f
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		s.holdUntil = f.end.Add(asks.RetryAfter())
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
	document, lifetime, err := s.fetchSafely(ctx, previous, force)
	if err != nil {
		if old != nil {
			old.failedAt.Store(int64(time.Since(s.epoch)))
		}
		return err
	}
	if lifetime <= 0 {
		lifetime = s.policy.Lifetime
	}
	lifetime = min(max(lifetime, s.policy.Min), s.policy.Max, s.policy.MaxAge)
	now := time.Now()
	// The time until the refresh of the document is partly random. Otherwise instances of a service
	// that were started at the same moment would also fetch at the same moment.
	ahead := 0.8 * (0.9 + 0.2*rand.Float64())
	s.good.Store(&goodDocument[T]{
		document:     document,
		startedAt:    start,
		fetchedAt:    now,
		refreshAt:    now.Add(time.Duration(ahead * float64(lifetime))),
		expiry:       now.Add(lifetime),
		unusableFrom: now.Add(s.policy.MaxAge),
	})
	return nil
}

// Source.fetchSafely calls the function that fetches the document. If that function panics,
// fetchSafely returns an error instead, because a panic in this goroutine would end the process.
func (s *Source[T]) fetchSafely(ctx context.Context, previous T, force bool) (document T, lifetime time.Duration, err error) {
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
