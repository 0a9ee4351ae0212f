// Package upstream keeps calls to a server that may fail from costing more than they are worth: so many at a time, one
// more try where a try may help, none at all for a moment once the server has shown that it is down or has asked for
// time, and few once it answers every call with an error. It alone imports the circuit breaker, and knows nothing of
// what is called.
package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen says that the server was found down a moment ago and wasn't asked. [Wait] tells for how long that goes on.
var ErrOpen = errors.New("not asked: it was down a moment ago")

// ErrBusy says that too many calls were under way for as long as the caller could wait.
var ErrBusy = errors.New("not asked: too many questions are under way")

// Verdict is what the outcome of a call says about the server.
type Verdict struct {
	// Down is whether the server is down, rather than that it disliked one call.
	Down bool
	// Stumbled is whether the server gave no usable answer although it is not down. Down and Stumbled exclude each other.
	Stumbled bool
	// Again is whether a second try at once may help.
	Again bool
	// Wait is for how long the server asks to be left alone. 0 is not at all. It needs Down.
	Wait time.Duration
}

// Settings are all required.
type Settings struct {
	MaxConcurrent int           // calls at a time
	Waiting       int           // callers that may wait for a place, urgent ones and others each
	Timeout       time.Duration // of a call with its second try, from when it has a place; 0 is what ctx leaves
	Failures      uint32        // in a row, after which the server counts as down
	Pause         time.Duration // for which it is then left alone, before one call tries again
	Backoff       time.Duration // before the second try of one call
	// Judge says what the error of a call shows. It is not called without an error.
	Judge func(error) Verdict
}

// Guard is one server's. Use New.
type Guard struct {
	settings Settings
	places   *places
	breaker  *gobreaker.CircuitBreaker[struct{}]
	pause    pause
	brake    brake
}

// New returns a guard that lets calls through.
func New(s Settings) *Guard {
	g := &Guard{settings: s, places: newPlaces(s.MaxConcurrent, s.Waiting)}
	g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     s.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= s.Failures || g.pause.left(time.Now()) > 0
		},
		// An error that isn't about the server says that it is there.
		IsSuccessful: func(err error) bool { return err == nil || !s.Judge(err).Down },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.pause.extend(time.Now().Add(s.Pause))
			}
		},
	})
	return g
}

// Do waits for a place as long as ctx lasts and there are not too many waiting, makes the call, and once more if a second
// try may help and there is time for it. The error is the call's last one, ErrBusy, or wraps ErrOpen.
//
// Urgent calls have a queue of their own and come first: strangers can't make those, and so can't keep them from being
// made.
func (g *Guard) Do(ctx context.Context, urgent bool, call func(context.Context) error) error {
	if left := g.pause.left(time.Now()); left > 0 {
		return &open{left}
	}
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
	err := g.try(ctx, urgent, call)
	if err == nil || errors.Is(err, ErrOpen) || !g.settings.Judge(err).Again || g.State() == "open" {
		return err
	}
	timer := time.NewTimer(g.settings.Backoff)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return err
	}
	if again := g.try(ctx, urgent, call); !errors.Is(again, ErrOpen) {
		return again
	}
	return err // the breaker opened meanwhile; what the server did is better told than that
}

func (g *Guard) try(ctx context.Context, urgent bool, call func(context.Context) error) error {
	now := time.Now()
	if left := g.pause.left(now); left > 0 {
		return &open{left}
	}
	if wait := g.brake.admit(urgent, now); wait > 0 {
		return &open{wait}
	}
	_, err := g.breaker.Execute(func() (struct{}, error) {
		err := call(ctx)
		g.note(urgent, err)
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return &open{g.settings.Pause}
	}
	return err
}

// note keeps what the outcome of a call says, before the breaker looks at it.
func (g *Guard) note(urgent bool, err error) {
	now := time.Now()
	if err == nil {
		g.brake.answered()
		return
	}
	switch v := g.settings.Judge(err); {
	case v.Down:
		g.pause.extend(now.Add(v.Wait))
	case v.Stumbled:
		g.brake.stumbled(urgent, now)
	default:
		g.brake.answered()
	}
}

// State is "closed" while calls go through, "open" while none does, and "half-open" while one tries, or few do because
// every answer is an error.
func (g *Guard) State() string {
	now := time.Now()
	if g.pause.left(now) > 0 {
		return "open"
	}
	if state := g.breaker.State(); state != gobreaker.StateClosed {
		return state.String()
	}
	if g.brake.on(now) {
		return "half-open"
	}
	return "closed"
}
