package breaker_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
)

// countCalls makes 100 calls in each second, through a breaker.Guard, for the given number of
// seconds. It returns how many of these calls reached the server.
func countCalls(t *testing.T, g *breaker.Guard, urgent bool, s *fakeServer, seconds int) int {
	t.Helper()
	before := s.n
	for range 100 * seconds {
		_ = g.Do(t.Context(), urgent, s.call)
		time.Sleep(10 * time.Millisecond)
	}
	return s.n - before
}

// If a server answers every call with an error, breaker.Guard makes only a few calls to it. After
// the first good response of the server, or an error that is only about one call, the Guard makes
// all calls again.
func TestBrake(t *testing.T) {
	for _, urgent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(4)
			s := &fakeServer{answers: []error{errStumble}}
			if n := countCalls(t, g, urgent, s, 1); n != 100 {
				t.Errorf("%d of 100 calls in the first second", n)
			}
			if n := countCalls(t, g, urgent, s, 10); n > 51 || n < 49 {
				t.Errorf("%d calls in the ten seconds after that, want 5 a second", n)
			}
			if g.State() != "half-open" {
				t.Error(g.State())
			}
			_ = g.Do(t.Context(), urgent, s.call)
			err := g.Do(t.Context(), urgent, s.call)
			if wait := breaker.Wait(err); !errors.Is(err, breaker.ErrOpen) || wait <= 0 || wait > 200*time.Millisecond {
				t.Error(err, wait)
			}
			if err := g.Do(t.Context(), !urgent, s.call); !errors.Is(err, errStumble) {
				t.Errorf("calls of the other kind: %v", err)
			}
			for _, answer := range []error{nil, errDislike} {
				s.answers = []error{answer}
				time.Sleep(200 * time.Millisecond)
				if n := countCalls(t, g, urgent, s, 1); n != 100 || g.State() != "closed" {
					t.Errorf("%d of 100 calls after %v, %s", n, answer, g.State())
				}
				s.answers = []error{errStumble}
				countCalls(t, g, urgent, s, 2)
			}
		})
	}
}

// If some calls make the server fail, but a good response comes every half second, breaker.Guard
// delays no call.
func TestStumblesAmongGoodResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(4)
		bad, good := &fakeServer{answers: []error{errStumble}}, &fakeServer{answers: []error{nil}}
		for range 100 {
			for range 99 {
				_ = g.Do(t.Context(), false, bad.call)
				time.Sleep(5 * time.Millisecond)
			}
			_ = g.Do(t.Context(), false, good.call)
		}
		if bad.n != 9900 || good.n != 100 {
			t.Error(bad.n, good.n)
		}
	})
}

// If at least 201 ms lie between two calls, breaker.Guard delays no call, even if every response is
// unusable.
func TestRareStumbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(4)
		s := &fakeServer{answers: []error{errStumble}}
		for n := range 100 {
			if err := g.Do(t.Context(), false, s.call); !errors.Is(err, errStumble) {
				t.Fatal(n, err)
			}
			time.Sleep(201 * time.Millisecond)
		}
	})
}
