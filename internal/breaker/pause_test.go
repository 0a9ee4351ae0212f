package breaker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
)

// If a server sent Retry-After, it gets no call until the time in Retry-After is over. After that
// it first gets a single call, and more calls only if that call succeeds.
func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(4)
		s := &fakeServer{answers: []error{&waitError{30 * time.Second}}}
		began := time.Now()
		if err := g.Do(t.Context(), true, s.call); err == nil || s.n != 1 || !began.Equal(time.Now()) {
			t.Fatalf("%v after %d tries and %v: there is no second try", err, s.n, time.Since(began))
		}
		for time.Since(began) < 30*time.Second {
			err := g.Do(t.Context(), true, s.call)
			if left := 30*time.Second - time.Since(began); !errors.Is(err, breaker.ErrOpen) || breaker.Wait(err) != left {
				t.Fatalf("after %v: %v, wait %v", time.Since(began), err, breaker.Wait(err))
			}
			if s.n != 1 || g.State() != "open" {
				t.Fatal(time.Since(began), s.n, g.State())
			}
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(time.Millisecond)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _ = g.Do(t.Context(), false, s.call) })
		}
		all.Wait()
		if s.n != 2 {
			t.Errorf("%d calls after the pause, want one", s.n-1)
		}
		s.answers = []error{nil}
		time.Sleep(30*time.Second + time.Millisecond)
		if err := g.Do(t.Context(), false, s.call); err != nil || g.State() != "closed" {
			t.Error(err, g.State())
		}
	})
}

// While breaker.Guard makes no calls, breaker.Wait returns the time until the next call.
func TestOpenTellsTheRemainingTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(4)
		s := &fakeServer{answers: []error{errDown}}
		for range 3 {
			_ = g.Do(t.Context(), false, s.call)
		}
		for _, passed := range []time.Duration{0, 300, 600} {
			if err := g.Do(t.Context(), false, s.call); breaker.Wait(err) != (1000-passed)*time.Millisecond {
				t.Error(passed, err, breaker.Wait(err))
			}
			time.Sleep(300 * time.Millisecond)
		}
	})
}

// After the server has sent Retry-After, a new call gets an error immediately. It does not wait for
// the end of a running call, even if no place for a further call is free. When the call that got
// Retry-After has ended, its place is free. So this test must make the new call earlier, while this
// place is still taken. It does this in the function Judge, to which the Guard passes the error of
// the failed call, after the Guard has noted Retry-After.
func TestOpenDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *breaker.Guard
		judged, refused := 0, 0
		g = breaker.New(breaker.Settings{
			QueueLength: 1000, MaxConcurrent: 2, Failures: 5, Pause: time.Second,
			Judge: func(error) breaker.Verdict {
				if judged++; judged > 1 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					before := time.Now()
					err := g.Do(ctx, false, nil)
					if !errors.Is(err, breaker.ErrOpen) || !before.Equal(time.Now()) {
						t.Error(err, time.Since(before))
					}
					refused++
				}
				return breaker.Verdict{Down: true, Wait: time.Minute}
			},
		})
		hang := make(chan struct{})
		go func() { _ = g.Do(t.Context(), false, func(context.Context) error { <-hang; return nil }) }()
		synctest.Wait()
		_ = g.Do(t.Context(), false, func(context.Context) error { return errDown })
		if refused == 0 {
			t.Error("no caller came while both places were taken")
		}
		close(hang)
		synctest.Wait()
	})
}
