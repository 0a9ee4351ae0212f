package refresh

import (
	"context"
	"time"
)

// Source.awaitRefresh is called if the lifetime of the document has ended, because no caller used
// the document for a while or because refreshes have failed. In that time the server may have
// withdrawn a part of the document. So awaitRefresh waits for a refresh, but not longer than
// Policy.Patience after the refresh began. If the refresh fails or takes longer, awaitRefresh
// returns the expired document. If a refresh has failed within twice Policy.Retry, or Retry-After
// forbids a fetch, it does not wait. If ctx ends, it returns the expired document and the error of
// ctx.
func (s *Source[T]) awaitRefresh(ctx context.Context, g *goodDocument[T], now time.Time) (T, error) {
	s.mu.Lock()
	f := s.runningFetch
	if f == nil {
		f = s.plannedFetch
	}
	if f == nil && s.holdError(now) != nil {
		s.mu.Unlock()
		return g.document, nil
	}
	if f == nil {
		f = s.joinFetch(now, false)
	}
	since := now
	if f.start.Before(now) {
		// Policy.Patience is counted from the start of the refresh, so a caller that comes later
		// waits for a shorter time
		since = f.start
	}
	patience := time.Until(since.Add(s.policy.Patience))
	if patience <= 0 || s.failedRecently(g, now, 2*s.policy.Retry) {
		s.mu.Unlock()
		return g.document, nil
	}
	s.waiting.renewalCount++
	s.mu.Unlock()
	defer s.leaveFunc(func() { s.waiting.renewalCount-- })()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
	case <-ctx.Done():
		return g.document, ctx.Err()
	}
	return s.good.Load().document, nil
}

// Source.failedRecently reports whether a refresh of the document has failed within the last
// duration d.
func (s *Source[T]) failedRecently(g *goodDocument[T], now time.Time, d time.Duration) bool {
	return now.Sub(s.epoch)-time.Duration(g.failedAt.Load()) < d
}

// RefreshInBackground starts a refresh in the background, if the document is at least as old as
// Policy.DoubtAge. It starts none if a refresh has failed within Policy.Retry, if a fetch is
// running or planned, or if Retry-After forbids a fetch. The refresh bypasses all HTTP caches. A
// caller uses RefreshInBackground if the document seems to be outdated, for example if the document
// is a key set and a key in it does not verify a signature.
func (s *Source[T]) RefreshInBackground(now time.Time) {
	g := s.good.Load()
	if g == nil || now.Before(g.startedAt.Add(s.policy.DoubtAge)) || s.failedRecently(g, now, s.policy.Retry) {
		return
	}
	s.refresh(now, true)
}
