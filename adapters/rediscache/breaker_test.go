package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

// testBreaker calls test in a synctest bubble, once for the look-ups of responses and once for used
// values. Each call of the function callOnce makes one call to the given fakeRedis, with a new
// token or value. The parameter kind is the name of these calls in the log.
func testBreaker(
	t *testing.T, f func() *fakeRedis,
	test func(t *testing.T, r *fakeRedis, callOnce func(context.Context) error, log *logBuffer),
) {
	t.Helper()
	for _, kind := range []string{"responses", "uses"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, log := f(), new(logBuffer)
				client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
				defer func() { _ = client.Close() }()
				client.AddHook(r)
				c, err := rediscache.New(rediscache.Config{
					Client: client, Secrets: [][]byte{newSecret()},
					Logger: slog.New(slog.NewTextHandler(log, nil)),
				})
				if err != nil {
					t.Fatal(err)
				}
				var calls atomic.Int64
				test(t, r, func(ctx context.Context) error {
					n := calls.Add(1)
					if kind == "responses" {
						_, err := c.Get(ctx, [32]byte{byte(n), byte(n >> 8)})
						return err
					}
					_, err := c.Use(ctx, "key", fmt.Sprint(n), time.Now().Add(time.Hour))
					return err
				}, log)
			})
		})
	}
}

// A client that cancels some of its requests must not make all other requests wait for a Redis that
// has failed: a canceled call says nothing about Redis.
func TestCanceledCallsKeepNoBreakerClosed(t *testing.T) {
	t.Parallel()
	newRedis := func() *fakeRedis { return new(fakeRedis) }
	testBreaker(t, newRedis, func(
		t *testing.T, r *fakeRedis, callOnce func(context.Context) error, log *logBuffer,
	) {
		r.freeze()
		for i := range 9 {
			ctx, cancel := context.WithCancel(t.Context())
			if i%2 == 1 {
				time.AfterFunc(time.Millisecond, cancel)
			}
			err := callOnce(ctx)
			if wasCanceled := errors.Is(err, context.Canceled); err == nil || wasCanceled != (i%2 == 1) {
				t.Errorf("call %d: %v", i, err)
			}
			cancel()
		}
		start := time.Now()
		if err := callOnce(t.Context()); err == nil || time.Since(start) > 0 {
			t.Errorf("after five timeouts, a call took %v: %v", time.Since(start), err)
		}
		if !strings.Contains(log.String(), "Redis fails") {
			t.Errorf("the log does not say that Redis fails\n%s", log)
		}
		r.thaw()
		time.Sleep(1001 * time.Millisecond)
		_ = callOnce(t.Context()) // this call starts a probe, which finds out whether Redis works
		synctest.Wait()
		if err := callOnce(t.Context()); err != nil || !strings.Contains(log.String(), "Redis is back") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

// A canceled call is no failure of Redis either.
func TestCanceledCallsOpenNoBreaker(t *testing.T) {
	t.Parallel()
	newRedis := func() *fakeRedis { return new(fakeRedis) }
	testBreaker(t, newRedis, func(
		t *testing.T, r *fakeRedis, callOnce func(context.Context) error, log *logBuffer,
	) {
		r.freeze()
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := callOnce(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		r.thaw()
		if err := callOnce(t.Context()); err != nil || log.String() != "" {
			t.Errorf("%v\n%s", err, log)
		}
	})
}

// If the Redis client ignores the contexts of its calls, calls to a frozen Redis hang. When 512
// calls hang, no other call is made. This must not look as if Redis worked again.
func TestBusyProbeClosesNoBreaker(t *testing.T) {
	t.Parallel()
	newRedis := func() *fakeRedis { return &fakeRedis{ignoresContext: true} }
	testBreaker(t, newRedis, func(
		t *testing.T, r *fakeRedis, callOnce func(context.Context) error, log *logBuffer,
	) {
		r.freeze()
		var hanging sync.WaitGroup
		for range 512 {
			hanging.Go(func() {
				if err := callOnce(t.Context()); err == nil {
					t.Error("a call to a frozen Redis succeeded")
				}
			})
		}
		hanging.Wait()
		for range 10 {
			time.Sleep(1001 * time.Millisecond)
			start := time.Now()
			if err := callOnce(t.Context()); err == nil || time.Since(start) > 0 {
				t.Errorf("a call took %v: %v", time.Since(start), err)
			}
			synctest.Wait()
		}
		if n := strings.Count(log.String(), "Redis fails"); n != 1 ||
			strings.Contains(log.String(), "Redis is back") {
			t.Errorf("Redis was frozen all the time\n%s", log)
		}
		r.thaw()
		synctest.Wait() // all calls that were hanging have ended
		_ = callOnce(t.Context())
		synctest.Wait()
		if err := callOnce(t.Context()); err != nil || !strings.Contains(log.String(), "Redis is back") {
			t.Errorf("%v\n%s", err, log)
		}
	})
}
