package rediscache

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

const (
	maxCalls = 512 // to Redis at a time, by requests of one instance
	failures = 5   // in a row, after which Redis is left alone
	pause    = time.Second
)

var (
	errAlone   = errors.New("rediscache: Redis was down a moment ago")
	errBusy    = errors.New("rediscache: too many calls are under way")
	errTimeout = errors.New("rediscache: Redis took too long")
	errPanic   = errors.New("rediscache: the client panicked")
)

// left is that the caller didn't wait long enough for Redis to be told good from bad.
type left struct{ error }

func (l left) Unwrap() error { return l.error }

func (c *Cache) newBreaker() *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     pause,
		ReadyToTrip: func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= failures },
		IsSuccessful: func(err error) bool {
			if _, ok := errors.AsType[left](err); ok || err == nil || errors.Is(err, errBusy) {
				return true
			}
			c.failed.Store(&err)
			return false
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				c.change("answers", *c.failed.Load())
			case gobreaker.StateClosed:
				c.change("answers", nil)
			}
		},
	})
}

// request makes a call that a request waits for, or none if Redis is down.
func request[T any](ctx context.Context, c *Cache, f func(context.Context) (T, error)) (result T, err error) {
	switch c.breaker.State() {
	case gobreaker.StateOpen:
		return result, errAlone
	case gobreaker.StateHalfOpen: // no request waits to find out whether it is back
		if c.probing.CompareAndSwap(false, true) {
			go func() {
				defer c.probing.Store(false)
				ping := func(ctx context.Context) (string, error) { return c.client.Ping(ctx).Result() }
				_, _ = tried(context.Background(), c, ping)
			}()
		}
		return result, errAlone
	}
	return tried(ctx, c, f)
}

func tried[T any](ctx context.Context, c *Cache, f func(context.Context) (T, error)) (result T, err error) {
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
		err = errAlone
	}
	return result, err
}

// bounded gives a call up after the timeout, whatever the client's options and its dialer make of a context. f may run
// on then.
func bounded[T any](ctx context.Context, timeout time.Duration, f func(context.Context) (T, error)) (T, error) {
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
			_ = recover() // this goroutine is ours: it would end the process
			done <- o
		}()
		o.result, o.err = f(own)
	}()
	select {
	case o := <-done:
		result, err = o.result, o.err
	case <-own.Done():
		select {
		case o := <-done: // in the same moment
			result, err = o.result, o.err
		default:
			err = errTimeout
		}
	}
	if err != nil && ctx.Err() != nil {
		err = left{ctx.Err()}
	}
	return result, err
}

// change notes how sharing answers or revocations goes, and logs it when that is other than it was.
func (c *Cache) change(what string, err error) {
	c.mu.Lock()
	before := c.failing[what]
	c.failing[what] = err != nil
	c.mu.Unlock()
	switch {
	case err != nil && !before: // why it goes on failing may change by the moment
		c.log(slog.LevelError, "Redis fails, so this instance is on its own", "what", what, "why", plain(err))
	case err == nil && before:
		c.log(slog.LevelInfo, "Redis is back", "what", what)
	}
}

// forged notes that Redis holds what no instance can have stored. It is said once: who can do that can do it often.
func (c *Cache) forged(what string) {
	c.mu.Lock()
	before := c.failing["forged "+what]
	c.failing["forged "+what] = true
	c.mu.Unlock()
	if !before {
		c.log(slog.LevelWarn, "Redis holds what no secret of this fleet has sealed; it is ignored", "what", what)
	}
}

func (c *Cache) log(level slog.Level, text string, args ...any) {
	l := c.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "rediscache: "+text, args...)
}

// plain says why a call failed, without the addresses and keys that errors may hold.
func plain(err error) string {
	var reply redis.Error
	var network net.Error
	switch {
	case errors.Is(err, errPanic):
		return "the client panicked"
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "connection closed"
	case errors.As(err, &reply):
		return "it answers with an error"
	}
	return "the connection failed"
}
