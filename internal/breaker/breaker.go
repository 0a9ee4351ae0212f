// Package breaker guards calls to a server that may fail. It bounds the number of calls at a time,
// and tries a call again if that may help. It makes no call for a moment after the server was down
// or asked for time, and few calls while the server answers every call with an error. It is the
// only package that imports the circuit breaker, and it does not know what is called.
package breaker

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen says that the call was not made, because the server was down a moment ago. [Wait] tells
// how long this lasts.
var ErrOpen = errors.New("not called: the server was down a moment ago")

// ErrBusy says that the call was not made, because too many other calls ran as long as the caller
// could wait.
var ErrBusy = errors.New("not called: too many calls at a time")

// Verdict is what the error of a call shows about the server.
type Verdict struct {
	// Down reports whether the server is down. It is false if the server refused one call.
	Down bool
	// Stumbled reports whether the response was unusable although the server is up. Down and
	// Stumbled exclude each other.
	Stumbled bool
	// Again reports whether a second try at once may help.
	Again bool
	// Wait is the time for which the server wants no calls. It needs Down.
	Wait time.Duration
}

// Settings of a Guard. All fields are required.
type Settings struct {
	MaxConcurrent int           // the largest number of calls at a time
	Waiting       int           // how many urgent calls may wait for a place, and how many others
	Timeout       time.Duration // the longest time of a call with its second try; 0 is that of ctx
	Failures      uint32        // the server counts as down after so many failures in a row
	Pause         time.Duration // no call is made for that time after the server went down
	Backoff       time.Duration // the time before the second try of a call
	// Judge returns what the error of a call shows. It is not called without an error.
	Judge func(error) Verdict
}

// Guard guards the calls to one server. Use New to create one.
type Guard struct {
	settings Settings
	places   *places
	breaker  *gobreaker.CircuitBreaker[struct{}]
	pause    pause
	brake    brake
}

// New returns a Guard that lets calls through.
func New(s Settings) *Guard {
	g := &Guard{settings: s, places: newPlaces(s.MaxConcurrent, s.Waiting)}
	g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     s.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= s.Failures || g.pause.left(time.Now()) > 0
		},
		// An error that isn't about the server shows that the server is up.
		IsSuccessful: func(err error) bool { return err == nil || !s.Judge(err).Down },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.pause.extend(time.Now().Add(s.Pause))
			}
		},
	})
	return g
}

// Do waits for a place until ctx ends, and makes the call. It calls again if a second try may help
// and there is time for it. The error is that of the last call, or ErrBusy, or wraps ErrOpen. If
// too many calls wait already, the error is ErrBusy at once.
//
// Urgent calls have a queue of their own and come first. Strangers can't make urgent calls, so they
// can't prevent them.
func (g *Guard) Do(ctx context.Context, urgent bool, call func(context.Context) error) error {
	if left := g.pause.left(time.Now()); left > 0 {
		return &open{left}
	}
	if !g.places.take(ctx, urgent) {
		return ErrBusy
	}
	defer g.places.leave()
	// The call has its full time, however long it waited for the place. Otherwise a long queue
	// would make a good server look as if it were down.
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
	return err // the breaker opened meanwhile, and the error of the server tells more
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

// note records the result of a call, before the breaker sees it.
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

// State is "closed" while calls are made, and "open" while none is made. It is "half-open" while
// one call tries whether the server is up again, or while few calls are made because every response
// is an error.
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
