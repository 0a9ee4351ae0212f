package breaker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/internal/breaker"
)

// lateContext is a context that ends at the moment in which a goroutine starts to wait for its end.
// At the same moment it calls a function of the test. So the end of the context and the effect of
// that function happen at the same time.
type lateContext struct {
	context.Context
	atEnd func()
	done  chan struct{}
}

func (c *lateContext) Done() <-chan struct{} {
	if c.atEnd != nil {
		c.atEnd()
		c.atEnd = nil
		close(c.done)
	}
	return c.done
}

// The breaker.Guard of this test lets only one call to the server run at a time. A caller that
// waits for its turn may give up at the moment in which its turn comes. Then the next caller must
// get the turn.
func TestPlaceOfALateCallerIsNotLost(t *testing.T) {
	g := newGuard(1)
	// the end of ctx and the free place for a call come at the same time, and select chooses one of
	// them at random; so the loop repeats the test
	for range 64 {
		leave, left := make(chan struct{}), make(chan struct{})
		holds := make(chan struct{})
		go func() {
			defer close(left)
			_ = g.Do(context.Background(), false, func(context.Context) error { close(holds); <-leave; return nil })
		}()
		<-holds
		ctx := &lateContext{Context: context.Background(), done: make(chan struct{})}
		ctx.atEnd = func() { close(leave); <-left }
		err := g.Do(ctx, false, func(context.Context) error { return nil })
		if err != nil && !errors.Is(err, breaker.ErrBusy) {
			t.Fatal(err)
		}
		// If breaker.Guard makes no further call because of a mistake, this timeout ends the test.
		short, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err = g.Do(short, false, func(context.Context) error { return nil })
		cancel()
		if err != nil {
			t.Fatalf("the place is lost: %v", err)
		}
	}
}
