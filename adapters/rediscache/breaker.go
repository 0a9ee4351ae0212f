package rediscache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// maxCalls is how many calls to Redis one redisCaller may make at the same time.
	maxCalls = 512
	// After maxFailures failed calls to Redis in a row, the circuit breaker opens for openDuration.
	// While it is open, requests make no calls to Redis.
	maxFailures  = 5
	openDuration = time.Second
)

var (
	errOpen    = errors.New("rediscache: Redis was down a moment ago")
	errBusy    = errors.New("rediscache: too many concurrent calls")
	errTimeout = errors.New("rediscache: Redis took too long")
	errPanic   = errors.New("rediscache: the client panicked")
)

// canceledError is the error of a call to Redis that ended because the client's request was
// canceled. The circuit breaker counts such a call neither as a success nor as a failure, because
// the call does not show whether Redis works.
type canceledError struct{ error }

func (c canceledError) Unwrap() error { return c.error }

// A redisCaller makes the calls to Redis for the requests of clients. A Cache has two redisCallers.
// One looks up and stores introspection responses, and the other records values that may be used
// only once.
type redisCaller struct {
	timeout time.Duration
	breaker *gobreaker.CircuitBreaker[struct{}]
	// runningCalls is a semaphore. It limits how many calls to Redis run at the same time,
	// including calls that still run after their timeout.
	runningCalls chan struct{}
	// probeRedis finds out whether Redis works again after calls to Redis have failed.
	probeRedis   func(context.Context) error
	probeRunning atomic.Bool

	lastFailure atomic.Pointer[error]
}

// newRedisCaller returns a redisCaller. If too many of its calls to Redis fail in a row, its
// circuit breaker opens. Then requests make no calls to Redis until probeRedis succeeds. The
// redisCaller calls onChange with an error when the breaker opens, and with nil when it closes.
func newRedisCaller(
	timeout time.Duration, probeRedis func(context.Context) error, onChange func(error),
) *redisCaller {
	c := &redisCaller{
		timeout: timeout, runningCalls: make(chan struct{}, maxCalls), probeRedis: probeRedis,
	}
	c.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     openDuration,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= maxFailures },
		// If a canceled call counted as a success, a client could keep the breaker closed while
		// Redis is down, by canceling some of its requests. All other requests would then wait for
		// the timeout. A call with the error errBusy was not made, so it says nothing about Redis.
		IsExcluded: func(err error) bool {
			_, isCanceled := errors.AsType[canceledError](err)
			return isCanceled || errors.Is(err, errBusy)
		},
		IsSuccessful: func(err error) bool {
			if err != nil {
				c.lastFailure.Store(&err)
			}
			return err == nil
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				onChange(*c.lastFailure.Load())
			case gobreaker.StateClosed:
				onChange(nil)
			}
		},
	})
	return c
}

// callRedis calls Redis for a client's HTTP request. While the circuit breaker is open, callRedis
// makes no call and returns errOpen. If maxCalls calls are running, it makes no call and returns
// errBusy.
func callRedis[T any](
	ctx context.Context, c *redisCaller, f func(context.Context) (T, error),
) (result T, err error) {
	if err := c.checkBreaker(); err != nil {
		return result, err
	}
	return callAndCount(ctx, c, f)
}

// redisCaller.checkBreaker returns nil if requests may call Redis. It returns errOpen if the
// circuit breaker is open, because calls to Redis have failed. When the breaker has been open for
// openDuration, checkBreaker also starts probeRedis, which finds out whether Redis works again.
func (c *redisCaller) checkBreaker() error {
	switch c.breaker.State() {
	case gobreaker.StateOpen:
		return errOpen
	case gobreaker.StateHalfOpen:
		// probeRedis runs in the background, so that no request waits for Redis while it may still
		// be down. A redisCaller may make at most maxCalls calls to Redis at the same time. If so
		// many earlier calls still hang, callAndCount does not run probeRedis, and requests can't
		// call Redis yet. This does no harm: for the same reason, a request could not call Redis
		// even if the breaker were closed.
		if c.probeRunning.CompareAndSwap(false, true) {
			go func() {
				defer c.probeRunning.Store(false)
				probe := func(ctx context.Context) (struct{}, error) {
					return struct{}{}, c.probeRedis(ctx)
				}
				_, _ = callAndCount(context.Background(), c, probe)
			}()
		}
		return errOpen
	}
	return nil
}

// callAndCount calls Redis, and tells the circuit breaker whether the call succeeded. The circuit
// breaker ignores a canceled call and the error errBusy.
func callAndCount[T any](
	ctx context.Context, c *redisCaller, f func(context.Context) (T, error),
) (result T, err error) {
	_, err = c.breaker.Execute(func() (_ struct{}, err error) {
		select {
		case c.runningCalls <- struct{}{}:
		default:
			return struct{}{}, errBusy
		}
		result, err = callWithTimeout(ctx, c.timeout, func(ctx context.Context) (T, error) {
			defer func() { <-c.runningCalls }()
			return f(ctx)
		})
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = errOpen
	}
	return result, err
}

// callWithTimeout calls f and waits for the result, but not longer than the timeout, even if the
// Redis client ignores the context. After the timeout, f may still be running. If ctx has ended and
// f has not succeeded, the error is a canceledError.
func callWithTimeout[T any](
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
			// A panic in this goroutine would end the process, because only the goroutine itself
			// can recover from it.
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
		// The timeout is over. But f may have returned at the same moment. Then its result is used.
		case o := <-done:
			result, err = o.result, o.err
		default:
			err = errTimeout
		}
	}
	if err != nil && ctx.Err() != nil {
		err = canceledError{ctx.Err()}
	}
	return result, err
}
