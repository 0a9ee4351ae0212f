// Package upstream keeps calls to a server that may fail from costing more than they are worth: so many at a time, one
// more try where a try may help, and none at all for a moment once the server has shown that it is down. It alone
// imports the circuit breaker, and knows nothing of what is called.
package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen says that the server was found down a moment ago and wasn't asked.
var ErrOpen = errors.New("not asked: it was down a moment ago")

// ErrBusy says that too many calls were under way for as long as the caller could wait.
var ErrBusy = errors.New("not asked: too many questions are under way")

// Settings are all required.
type Settings struct {
	Concurrent int           // calls at a time
	Waiting    int           // callers that may wait for a place, urgent ones and others each
	Timeout    time.Duration // of a call with its second try, from when it has a place; 0 is what ctx leaves
	Failures   uint32        // in a row, after which the server counts as down
	Pause      time.Duration // for which it is then left alone, before one call tries again
	Backoff    time.Duration // before the second try of one call
	// Down reports whether an error shows that the server is down, rather than that it disliked one question.
	Down func(error) bool
}

// Guard is one server's. Use New.
type Guard struct {
	settings Settings
	places   *places
	breaker  *gobreaker.CircuitBreaker[struct{}]
}

// New returns a guard that lets calls through.
func New(s Settings) *Guard {
	return &Guard{
		settings: s,
		places:   newPlaces(s.Concurrent, s.Waiting),
		breaker: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			MaxRequests: 1,
			Timeout:     s.Pause,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= s.Failures },
			// An error that isn't about the server says that it is there.
			IsSuccessful: func(err error) bool { return err == nil || !s.Down(err) },
		}),
	}
}

// Do waits for a place as long as ctx lasts and there are not too many waiting, makes the call, and once more if the
// server seemed to be down and there is time for it. The error is the call's last one, ErrOpen, or ErrBusy.
//
// Urgent calls have a queue of their own and come first: strangers can't make those, and so can't keep them from being
// made.
func (g *Guard) Do(ctx context.Context, urgent bool, call func(context.Context) error) error {
	if !g.places.take(ctx, urgent) {
		return ErrBusy
	}
	defer g.places.leave()
	// The server gets all of its time, however long the place took: else a queue would make a good one look down.
	if g.settings.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), g.settings.Timeout)
		defer cancel()
	}
	err := g.try(ctx, call)
	if err == nil || errors.Is(err, ErrOpen) || !g.settings.Down(err) || g.breaker.State() == gobreaker.StateOpen {
		return err
	}
	timer := time.NewTimer(g.settings.Backoff)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return err
	}
	if again := g.try(ctx, call); !errors.Is(again, ErrOpen) {
		return again
	}
	return err // the breaker opened meanwhile; what the server did is better told than that
}

func (g *Guard) try(ctx context.Context, call func(context.Context) error) error {
	_, err := g.breaker.Execute(func() (struct{}, error) { return struct{}{}, call(ctx) })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrOpen
	}
	return err
}

// State is "closed" while calls go through, "open" while none does, and "half-open" while one tries.
func (g *Guard) State() string { return g.breaker.State().String() }
