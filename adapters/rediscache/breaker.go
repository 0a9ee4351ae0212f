package rediscache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	maxCalls = 512 // maxCalls is how many calls of one caller may run at once
	// maxFailures is how many calls to Redis must fail in a row to open the circuit breaker. While
	// it is open, no calls are made.
	maxFailures = 5
	openFor     = time.Second
)

var (
	errOpen    = errors.New("rediscache: Redis was down a moment ago")
	errBusy    = errors.New("rediscache: too many concurrent calls")
	errTimeout = errors.New("rediscache: Redis took too long")
	errPanic   = errors.New("rediscache: the client panicked")
)

// canceled is the error of a call to Redis that ended because the client's request was canceled.
// The circuit breaker counts such a call neither as a success nor as a failure of Redis.
type canceled struct{ error }

func (c canceled) Unwrap() error { return c.error }

// caller makes calls to Redis while requests wait for the results. A Cache has two callers: one
// looks up introspection responses, and one records values that may be used once.
type caller struct {
	timeout time.Duration
	breaker *gobreaker.CircuitBreaker[struct{}]
	// calls is a semaphore. It limits how many calls to Redis run at once, including those that
	// still run after their timeout.
	calls   chan struct{}
	probe   func(context.Context) error // probe tests whether Redis works after failures
	probing atomic.Bool

	lastFailure atomic.Pointer[error]
}

// newCaller returns a caller. If too many calls to Redis fail, its circuit breaker opens, and no
// calls are made for some time. The function changed is called with an error when the breaker
// opens, and with nil when it closes.
func newCaller(
	timeout time.Duration, probe func(context.Context) error, changed func(error),
) *caller {
	c := &caller{timeout: timeout, calls: make(chan struct{}, maxCalls), probe: probe}
	c.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= maxFailures },
		IsSuccessful: func(err error) bool {
			if _, ok := errors.AsType[canceled](err); ok || err == nil || errors.Is(err, errBusy) {
				return true
			}
			c.lastFailure.Store(&err)
			return false
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				changed(*c.lastFailure.Load())
			case gobreaker.StateClosed:
				changed(nil)
			}
		},
	})
	return c
}

// The function request calls Redis while a client's HTTP request waits for the result. While the
// circuit breaker is open, it makes no call and returns errOpen.
func request[T any](
	ctx context.Context, c *caller, f func(context.Context) (T, error),
) (result T, err error) {
	if err := c.ready(); err != nil {
		return result, err
	}
	return counted(ctx, c, f)
}

// caller.ready returns errOpen while the circuit breaker is open, because calls to Redis have
// failed. From time to time, it starts a test whether Redis works again.
func (c *caller) ready() error {
	switch c.breaker.State() {
	case gobreaker.StateOpen:
		return errOpen
	case gobreaker.StateHalfOpen:
		// The function probe tests Redis in the background. No request waits for the result.
		if c.probing.CompareAndSwap(false, true) {
			go func() {
				defer c.probing.Store(false)
				probe := func(ctx context.Context) (struct{}, error) { return struct{}{}, c.probe(ctx) }
				_, _ = counted(context.Background(), c, probe)
			}()
		}
		return errOpen
	}
	return nil
}

// The function counted calls Redis, and tells the circuit breaker whether the call succeeded.
func counted[T any](
	ctx context.Context, c *caller, f func(context.Context) (T, error),
) (result T, err error) {
	_, err = c.breaker.Execute(func() (_ struct{}, err error) {
		select {
		case c.calls <- struct{}{}:
		default:
			return struct{}{}, errBusy
		}
		result, err = bounded(ctx, c.timeout, func(ctx context.Context) (T, error) {
			defer func() { <-c.calls }()
			return f(ctx)
		})
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = errOpen
	}
	return result, err
}

// The function bounded calls f and waits for the result, but not longer than the timeout, even if
// the Redis client ignores the context. After the timeout, f may still be running.
func bounded[T any](
	ctx context.Context, timeout time.Duration, f func(context.Context) (T, error),
) (T, error) {
	var result T
	var err error
	type outcome struct {
		result T
		err    error
	}
	own, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		o := outcome{err: errPanic}
		defer func() {
			// A panic in this goroutine would end the process, because no caller could recover from
			// it. So it recovers here.
			_ = recover()
			done <- o
		}()
		o.result, o.err = f(own)
	}()
	select {
	case o := <-done:
		result, err = o.result, o.err
	case <-own.Done():
		select {
		// The timeout is over. But f may have returned at the same moment, so look for its result.
		case o := <-done:
			result, err = o.result, o.err
		default:
			err = errTimeout
		}
	}
	if err != nil && ctx.Err() != nil {
		err = canceled{ctx.Err()}
	}
	return result, err
}
