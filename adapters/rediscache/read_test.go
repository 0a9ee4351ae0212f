package rediscache_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

// followFake starts an instance of the service and stops it after the given time. Until then, the
// instance reads and receives revocations from the fakeRedis r.
func followFake(t *testing.T, r *fakeRedis, duration time.Duration) {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", Protocol: 2, MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	defer func() { _ = client.Close() }()
	client.AddHook(r)
	c, err := rediscache.New(rediscache.Config{
		Client: client, Secrets: [][]byte{newSecret()}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var following sync.WaitGroup
	following.Go(func() { _ = c.Subscribe(ctx, func(xenaauth.Revocation) {}) })
	following.Wait()
}

// docs/fleet.md says how long an instance of the service waits before it compares counts with Redis
// again: one second after a subscription, then twice as long each time, up to 30 seconds.
func TestCheckIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := new(fakeRedis)
		followFake(t, r, 100*time.Second)
		var want []time.Duration
		for _, seconds := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			want = append(want, seconds*time.Second)
		}
		if got := intervals(r.countReads); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := len(r.connections); n != 1 {
			t.Errorf("it subscribed %d times", n)
		}
	})
}
