// Package breaker guards calls to a server that may fail. It limits how many calls run at the same
// time, and repeats a failed call if that may help. After the server was down, or has asked callers
// to wait, the package makes no call for a moment. If the server answers every call with an error,
// the package makes only a few calls a second. The package does not know what the calls are for. It
// is the only package of this module that imports gobreaker, a circuit breaker.
package breaker

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// ErrOpen says that a call to the server was not made, because the server was down a moment ago,
// has asked callers to wait, or answers every call with an error. [Wait] returns the time until
// calls are made again.
var ErrOpen = errors.New("not called: the server was down a moment ago")

// ErrBusy says that a call to the server was not made, because too many other calls run or wait:
// its queue was full, or its context ended while it waited.
var ErrBusy = errors.New("not called: too many calls at a time")

// Verdict says what the error of a call shows about the server that was called.
type Verdict struct {
	// Down is true if the error shows that the whole server is down. Down is false if the error is
	// only about the call that failed: other calls may still succeed.
	Down bool
	// Stumbled is true if the server is up but has sent an unusable response. It must be false if
	// Down is true.
	Stumbled bool
	// Again is true if the same call may succeed at a second attempt. The Guard then makes this
	// attempt after Settings.Backoff.
	Again bool
	// Wait is how long callers must wait before the next call, because the server has asked for
	// this wait (Retry-After). It is used only if Down is true.
	Wait time.Duration
}

// Settings contains the settings of a Guard. All fields are required.
type Settings struct {
	MaxConcurrent int // MaxConcurrent is how many calls may run at the same time
	// QueueLength is the largest number of calls in a queue. If MaxConcurrent calls already run, a
	// further call waits in one of two queues: one for urgent calls, and one for all other calls.
	QueueLength int
	// Timeout is the longest time of a call, including its second attempt. If Timeout is 0, only
	// the end of ctx limits this time. Otherwise the end of ctx does not end a call that has begun.
	Timeout  time.Duration
	Failures uint32 // Failures is how many failed calls in a row mean that the server is down
	// Pause is how long the Guard makes no calls after the server went down
	Pause   time.Duration
	Backoff time.Duration // Backoff is the time between a failed attempt and the second attempt
	// Judge is a function that returns the Verdict for the error of a call. The error is never nil.
	Judge func(error) Verdict
}

// Guard makes calls to one server, and protects the callers if this server fails. Use New to create
// a Guard.
type Guard struct {
	settings Settings
	places   *callLimiter
	breaker  *gobreaker.CircuitBreaker[struct{}]
	pause    pause
	brake    brake
}

// New returns a Guard. A new Guard treats the server as up, so it makes calls.
func New(s Settings) *Guard {
	g := &Guard{settings: s, places: newCallLimiter(s.MaxConcurrent, s.QueueLength)}
	g.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     s.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= s.Failures || g.pause.timeLeft(time.Now()) > 0
		},
		// If an error is only about the call that failed, the circuit breaker counts this call as a
		// success: the server has responded, so the server is up.
		IsSuccessful: func(err error) bool { return err == nil || !s.Judge(err).Down },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				g.pause.extend(time.Now().Add(s.Pause))
			}
		},
	})
	return g
}

// Do makes a call to the server. First it waits until fewer than Settings.MaxConcurrent calls run,
// but not after the end of ctx. If the call fails, Do makes a second attempt if the Verdict allows
// it, there is time, and the Guard still makes calls. Do returns the error of the last attempt. If
// no call was made, the error is ErrBusy or wraps ErrOpen. If too many calls wait already, Do
// returns ErrBusy immediately.
//
// When several calls wait, urgent calls begin first. A call for a stranger, for example about an
// unknown token, must not be urgent, so that a flood of such calls can't delay urgent calls.
func (g *Guard) Do(ctx context.Context, urgent bool, call func(context.Context) error) error {
	if left := g.pause.timeLeft(time.Now()); left > 0 {
		return &openError{left}
	}
	if !g.places.takePlace(ctx, urgent) {
		return ErrBusy
	}
	defer g.places.freePlace()
	// The timeout of a call begins here, when the call no longer waits for other calls to end. If
	// the timeout included that wait, calls in a long queue would fail, and a good server would
	// look as if it were down.
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
	// the circuit breaker did not allow the second attempt, so return the error of the first
	// attempt
	return err
}

func (g *Guard) try(ctx context.Context, urgent bool, call func(context.Context) error) error {
	now := time.Now()
	if left := g.pause.timeLeft(now); left > 0 {
		return &openError{left}
	}
	if wait := g.brake.claimTurn(urgent, now); wait > 0 {
		return &openError{wait}
	}
	_, err := g.breaker.Execute(func() (struct{}, error) {
		err := call(ctx)
		g.noteResult(urgent, err)
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return &openError{g.settings.Pause}
	}
	return err
}

// Guard.noteResult stores the result of a call to the server in two fields of the Guard, the pause
// and the brake. It does not change the circuit breaker: Guard.try does that afterwards.
func (g *Guard) noteResult(urgent bool, err error) {
	now := time.Now()
	if err == nil {
		g.brake.noteGoodResponse()
		return
	}
	switch v := g.settings.Judge(err); {
	case v.Down:
		g.pause.extend(now.Add(v.Wait))
	case v.Stumbled:
		g.brake.noteStumble(urgent, now)
	default:
		g.brake.noteGoodResponse()
	}
}

// State returns "closed" while the Guard makes calls, and "open" while it makes none. It returns
// "half-open" in two cases: after a pause, until a single call has found out whether the server is
// up again; and while the Guard makes only a few calls a second, because the server answers every
// call with an error.
func (g *Guard) State() string {
	now := time.Now()
	if g.pause.timeLeft(now) > 0 {
		return "open"
	}
	if state := g.breaker.State(); state != gobreaker.StateClosed {
		return state.String()
	}
	if g.brake.slowsCalls(now) {
		return "half-open"
	}
	return "closed"
}
