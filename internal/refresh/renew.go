package refresh

import (
	"context"
	"time"
)

// renewed is Get for a document that has outlived its lifetime, because the source was idle. The source may have
// withdrawn what is in it, so the caller waits for the refresh, until that has taken Patience. If the refresh fails or
// takes longer, the document serves on. No caller waits while fetches fail one after the other.
func (s *Source[T]) renewed(ctx context.Context, g *good[T], now time.Time) (T, error) {
	s.mu.Lock()
	f := s.running
	if f == nil {
		f = s.next
	}
	if f == nil && s.held(now) != nil {
		s.mu.Unlock()
		return g.document, nil
	}
	if f == nil {
		f = s.join(now, false)
	}
	since := now
	if f.start.Before(now) {
		since = f.start // the callers that come later wait for the rest of it
	}
	s.mu.Unlock()
	patience := time.Until(since.Add(s.policy.Patience))
	if patience <= 0 || s.failing(g, now, 2*s.policy.Retry) {
		return g.document, nil
	}
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

// failing reports whether an attempt to refresh the document has failed less than d ago.
func (s *Source[T]) failing(g *good[T], now time.Time, d time.Duration) bool {
	return now.Sub(s.epoch)-time.Duration(g.failed.Load()) < d
}

// Doubt starts a refresh in the background, past any cache, if the document is older than the policy's Doubt. It is for
// a caller that found in the document what it looked for, and that didn't serve.
func (s *Source[T]) Doubt(now time.Time) {
	g := s.good.Load()
	if g == nil || now.Before(g.started.Add(s.policy.Doubt)) || s.failing(g, now, s.policy.Retry) {
		return
	}
	s.refresh(now, true)
}
