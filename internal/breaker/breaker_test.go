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

var (
	errDown    = errors.New("down")
	errDislike = errors.New("no such question")
	errStumble = errors.New("internal error")
)

// A waitError is the error of a call if the server has responded with Retry-After. It contains the
// time in Retry-After.
type waitError struct{ time time.Duration }

func (*waitError) Error() string { return "come back later" }

func newGuard(concurrent int) *breaker.Guard {
	return breaker.New(breaker.Settings{
		QueueLength: 1000, MaxConcurrent: concurrent,
		Failures: 5,
		Pause:    time.Second,
		Backoff:  50 * time.Millisecond,
		Judge: func(err error) breaker.Verdict {
			wait, asks := errors.AsType[*waitError](err)
			switch {
			case asks:
				return breaker.Verdict{Down: true, Wait: wait.time}
			case errors.Is(err, errStumble):
				return breaker.Verdict{Stumbled: true}
			}
			down := errors.Is(err, errDown)
			return breaker.Verdict{Down: down, Again: down}
		},
	})
}

// A fakeServer sends the responses in a list one after the other, and then repeats the last
// response.
type fakeServer struct {
	mu      sync.Mutex
	n       int
	answers []error
}

func (c *fakeServer) call(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.answers[min(c.n, len(c.answers)-1)]
	c.n++
	return err
}

func TestSecondTry(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []error
		tries   int
		want    error
		waited  time.Duration
	}{
		{"good", []error{nil}, 1, nil, 0},
		{"disliked", []error{errDislike, nil}, 1, errDislike, 0},
		{"down once", []error{errDown, nil}, 2, nil, 50 * time.Millisecond},
		{"down twice", []error{errDown, errDown, nil}, 2, errDown, 50 * time.Millisecond},
		{"down, then disliked", []error{errDown, errDislike, nil}, 2, errDislike, 50 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{answers: c.answers}
				before := time.Now()
				err := newGuard(1).Do(t.Context(), false, s.call)
				if !errors.Is(err, c.want) || s.n != c.tries || time.Since(before) != c.waited {
					t.Errorf("%v after %d tries and %v, want %v after %d and %v", err, s.n, time.Since(before), c.want, c.tries, c.waited)
				}
			})
		})
	}
}

func TestNoSecondTryWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 49*time.Millisecond)
		defer cancel()
		s := &fakeServer{answers: []error{errDown}}
		before := time.Now()
		if err := newGuard(1).Do(ctx, false, s.call); !errors.Is(err, errDown) || s.n != 1 || time.Since(before) != 49*time.Millisecond {
			t.Errorf("%v after %d tries and %v", err, s.n, time.Since(before))
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(4)
		s := &fakeServer{answers: []error{errDown}}
		do := func(want error, tries int, state string) {
			t.Helper()
			before := s.n
			if err := g.Do(t.Context(), false, s.call); !errors.Is(err, want) || s.n-before != tries || g.State() != state {
				t.Fatalf("%v after %d tries, %s; want %v after %d, %s", err, s.n-before, g.State(), want, tries, state)
			}
		}
		do(errDown, 2, "closed")
		do(errDown, 2, "closed")
		// After the first attempt of the call, the circuit breaker allows no second attempt. The
		// caller gets the error of the first attempt.
		do(errDown, 1, "open")
		do(breaker.ErrOpen, 0, "open")
		time.Sleep(999 * time.Millisecond)
		do(breaker.ErrOpen, 0, "open")
		time.Sleep(2 * time.Millisecond)
		if g.State() != "half-open" {
			t.Fatal(g.State())
		}
		do(errDown, 1, "open")
		time.Sleep(1001 * time.Millisecond)
		s.answers = []error{errDislike}
		// the server responded, although with an error, so it is not down
		do(errDislike, 1, "closed")
		s.answers = []error{errDown}
		do(errDown, 2, "closed")
		do(errDown, 2, "closed")
		s.answers = []error{errDislike}
		do(errDislike, 1, "closed")
		s.answers = []error{errDown}
		do(errDown, 2, "closed") // errDislike set the count of failures to 0
		do(errDown, 2, "closed")
		do(errDown, 1, "open")
	})
}

func TestErrorsAboutOneCallDoNotOpen(t *testing.T) {
	g := newGuard(1)
	s := &fakeServer{answers: []error{errDislike}}
	for range 100 {
		if err := g.Do(t.Context(), false, s.call); !errors.Is(err, errDislike) {
			t.Fatal(err)
		}
	}
	if s.n != 100 || g.State() != "closed" {
		t.Error(s.n, g.State())
	}
}

func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(10)
		s := &fakeServer{answers: []error{errDown}}
		for range 3 {
			_ = g.Do(t.Context(), false, s.call)
		}
		time.Sleep(2 * time.Second)
		var mu sync.Mutex
		probes, turned := 0, 0
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := g.Do(t.Context(), false, func(context.Context) error {
					mu.Lock()
					probes++
					mu.Unlock()
					time.Sleep(time.Minute)
					return nil
				})
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, breaker.ErrOpen) {
					turned++
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if g.State() != "half-open" || probes != 1 || turned != 9 {
			t.Error(g.State(), probes, turned)
		}
		wg.Wait()
		if g.State() != "closed" {
			t.Error(g.State())
		}
	})
}

func TestConcurrentAndBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(2)
		leave := make(chan struct{})
		var mu sync.Mutex
		under, done := 0, 0
		call := func(context.Context) error {
			mu.Lock()
			under++
			mu.Unlock()
			<-leave
			return nil
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := g.Do(t.Context(), false, call); err != nil {
					t.Error(err)
				}
				mu.Lock()
				done++
				mu.Unlock()
			})
		}
		synctest.Wait()
		if under != 2 {
			t.Error(under, "calls at a time")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if err := g.Do(ctx, false, call); !errors.Is(err, breaker.ErrBusy) || time.Since(before) != time.Second {
			t.Error(err, time.Since(before))
		}
		leave <- struct{}{}
		synctest.Wait()
		if under != 3 || done != 1 {
			t.Error(under, done, "a waiting call is next")
		}
		close(leave)
		wg.Wait()
		if err := g.Do(t.Context(), false, call); err != nil || g.State() != "closed" {
			t.Error(err, g.State())
		}
	})
}

// Between the first and the second attempt of a call, the call still counts as one of the calls
// that may run at the same time. So no other call begins in that time.
func TestSlotIsHeldBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(1)
		go func() { _ = g.Do(t.Context(), false, (&fakeServer{answers: []error{errDown, nil}}).call) }()
		synctest.Wait()
		before := time.Now()
		if err := g.Do(t.Context(), false, func(context.Context) error { return nil }); err != nil || time.Since(before) != 50*time.Millisecond {
			t.Error(err, time.Since(before))
		}
	})
}

func TestPanicGivesTheSlotBack(t *testing.T) {
	g := newGuard(1)
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = g.Do(t.Context(), false, func(context.Context) error { panic("x") })
		}()
	}
	if err := g.Do(t.Context(), false, func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
}

// An urgent call begins as soon as one of the running calls ends, even if many other calls wait.
// The number of waiting calls is limited.
func TestUrgentComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(2) // two calls can run, and 1000 calls can wait
		call := func(context.Context) error { time.Sleep(time.Second); return nil }
		var wg sync.WaitGroup
		busy := 0
		var mu sync.Mutex
		for range 1500 {
			wg.Go(func() {
				if err := g.Do(t.Context(), false, call); errors.Is(err, breaker.ErrBusy) {
					mu.Lock()
					busy++
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		if busy != 498 {
			t.Error(busy, "were refused at once")
		}
		before := time.Now()
		if err := g.Do(t.Context(), true, call); err != nil || time.Since(before) != 2*time.Second {
			t.Error(err, time.Since(before))
		}
		// the urgent call has ended, although calls that are not urgent arrived earlier and still
		// wait
		time.Sleep(500 * time.Millisecond)
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.Do(gone, true, call); !errors.Is(err, breaker.ErrBusy) {
			t.Error(err)
		}
		wg.Wait()
		before = time.Now()
		for range 2 { // no call is running any more, so these two calls need not wait
			wg.Go(func() { _ = g.Do(t.Context(), false, call) })
		}
		wg.Wait()
		if time.Since(before) != time.Second {
			t.Error(time.Since(before))
		}
	})
}
