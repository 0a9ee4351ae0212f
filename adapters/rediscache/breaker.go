package rediscache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	maxCalls = 512 // maxCalls limits the concurrent calls of each kind at one instance
	// maxFailures is the number of failed calls in a row that opens the breaker. While the breaker
	// is open, no calls are made.
	maxFailures = 5
	openFor     = time.Second
)

var (
	errOpen    = errors.New("rediscache: Redis was down a moment ago")
	errBusy    = errors.New("rediscache: too many concurrent calls")
	errTimeout = errors.New("rediscache: Redis took too long")
	errPanic   = errors.New("rediscache: the client panicked")
)

// canceled is the error of a call that the caller has canceled. Such a call is neither a success
// nor a failure of Redis.
type canceled struct{ error }

func (c canceled) Unwrap() error { return c.error }

// caller makes the calls to Redis for whose results requests wait. There is one caller for
// look-ups, and one for uses of values.
type caller struct {
	timeout time.Duration
	breaker *gobreaker.CircuitBreaker[struct{}]
	// calls is a semaphore. It bounds concurrent calls, including those that still run after their
	// timeout.
	calls   chan struct{}
	probe   func(context.Context) error // probe tests whether Redis works again
	probing atomic.Bool

	lastFailure atomic.Pointer[error]
}

// newCaller returns a caller. The function changed is called with an error when the breaker opens
// (it then makes no calls), and with nil when the breaker closes.
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

// The function request calls Redis on behalf of a request of a client, which waits for the result.
// While the breaker is open, request makes no call and returns errOpen.
func request[T any](
	ctx context.Context, c *caller, f func(context.Context) (T, error),
) (result T, err error) {
	if err := c.ready(); err != nil {
		return result, err
	}
	return counted(ctx, c, f)
}

// The method ready returns errOpen while the breaker is open. It then tests Redis from time to time.
func (c *caller) ready() error {
	switch c.breaker.State() {
	case gobreaker.StateOpen:
		return errOpen
	case gobreaker.StateHalfOpen:
		// probe tests Redis in the background, and no request waits for its result
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

// The function counted calls Redis. The result counts as a success or a failure for the breaker.
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

// The function bounded calls f and waits for at most the timeout, even if the client of Redis
// ignores the context. After the timeout, f may still be running.
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
			// A panic in this goroutine would end the process, because no other function recovers
			// from it.
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
		// f may have returned at the same moment in which the timeout ended.
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
