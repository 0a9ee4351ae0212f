package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/replay"
)

// requireUseErrors calls s.Use with n new values and requires an error for each value, because
// Redis fails. It returns the values.
func requireUseErrors(t *testing.T, s replay.Store, n int) (ids []string) {
	t.Helper()
	for range n {
		id := fmt.Sprint("value ", time.Now().UnixNano())
		ids = append(ids, id)
		requireReturn(t, func() {
			first, err := s.Use(context.Background(), "key", id, time.Now().Add(time.Hour))
			if first || err == nil || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("Use = %t, %v", first, err)
			}
		})
	}
	return ids
}

// waitUntilUseWorks waits until s.Use returns no error, which means that Redis works.
func waitUntilUseWorks(t *testing.T, s replay.Store) {
	t.Helper()
	eventually(t, func() bool {
		_, err := s.Use(t.Context(), "key", fmt.Sprint(time.Now().UnixNano()), time.Now().Add(time.Hour))
		return err == nil
	})
}

func TestUseWhileRedisIsFrozen(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	f.timeout = 0
	one := f.cache(nil)
	waitUntilUseWorks(t, one)
	requireUse(t, one, "key", "before", true)
	s.freeze()
	start := time.Now()
	ids := requireUseErrors(t, one, 5) // each of these calls of Use waits for the timeout
	if took := time.Since(start); took < 5*500*time.Millisecond {
		t.Errorf("five uses took %v: the instance gives Redis less than half a second", took)
	}
	ids = append(ids, requireUseErrors(t, one, 1000)...) // no call of Use waits, as Redis is known to be down
	if log := f.log.String(); strings.Count(log, "Redis fails, so values that may be used once get the response 503") != 1 ||
		strings.Contains(log, s.port) {
		t.Error(log)
	}
	s.thaw()
	waitUntilUseWorks(t, one)
	// The first call of Use for each of these values failed, but Redis may have recorded the value.
	// If Redis has recorded it, all following uses are refused. Otherwise one of them is accepted.
	// So at most one of the following uses is accepted.
	for _, id := range ids[:10] {
		if n := raceFor(t, id, 4, one, f.cache(nil)); n > 1 {
			t.Errorf("%q was used %d times", id, n)
		}
	}
	requireUse(t, one, "key", "before", false)
	eventually(t, func() bool { return strings.Contains(f.log.String(), "Redis is back") })
}

func TestUseWhileRedisIsGone(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	f.timeout = 100 * time.Millisecond
	one, two := f.cache(nil), f.cache(nil)
	waitUntilUseWorks(t, one)
	requireUse(t, one, "key", "before", true)
	s.kill()
	ids := requireUseErrors(t, one, 20)
	s.start()
	waitUntilUseWorks(t, one)
	waitUntilUseWorks(t, two)
	requireUse(t, one, "key", ids[19], true) // neither Redis nor the instance has recorded this value
	requireUse(t, two, "key", ids[19], false)
	// Redis was restarted and stores nothing on disk, so it has forgotten which values were used.
	// But each instance of the service remembers the values that were used at this instance. The
	// value "before" was used at instance one, so only instance one refuses it now.
	requireUse(t, one, "key", "before", false)
	requireUse(t, two, "key", "before", true)
}

// An instance of the service remembers only a limited number of used values of each client, for
// example the ids of its DPoP proofs. A use that fails while Redis is known to be down must not
// count toward this limit. Otherwise a client that tries again would reach the limit during the
// outage, and would be refused after it.
func TestUseAfterManyFailures(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one := f.cache(func(c *rediscache.Config) { c.MaxUses = 200 })
	waitUntilUseWorks(t, one)
	s.kill()
	requireUseErrors(t, one, 500)
	s.start()
	waitUntilUseWorks(t, one)
}

// If the memory of Redis is full, and Redis is not allowed to delete old values, it stores no new
// values. Use then returns an error.
func TestUseWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	s := startRedis(t, "--maxmemory-policy", "noeviction")
	f := newFleet(t, s)
	one, admin := f.cache(nil), s.client()
	requireUse(t, one, "key", "before", true)
	admin.ConfigSet(t.Context(), "maxmemory", "1kb")
	requireUseErrors(t, one, 20)
	for range 3 {
		// While Redis fails, the instance of the service sends it a SET about once a second, to
		// find out whether it stores values again. A call of Use starts this SET in the background.
		before := countAttempts(t, admin, "set")
		eventually(t, func() bool { requireUseErrors(t, one, 1); return countAttempts(t, admin, "set") > before })
		requireUseErrors(t, one, 3)
	}
	if log := f.log.String(); strings.Count(log, "Redis fails") != 1 || strings.Contains(log, "is back") {
		t.Error(log)
	}
	admin.ConfigSet(t.Context(), "maxmemory", "0")
	waitUntilUseWorks(t, one)
	requireUse(t, one, "key", "before", false)
	requireUse(t, f.cache(nil), "key", "before", false)
}

// If Redis is a replica of another Redis, it refuses to store values.
func TestUseAtAReplica(t *testing.T) {
	t.Parallel()
	master := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+master.port)
	f := newFleet(t, replica)
	requireUseErrors(t, f.cache(nil), 10)
}

func TestUseThatIsCanceled(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one := f.cache(nil)
	waitUntilUseWorks(t, one)
	s.freeze()
	// Each of these calls fails because its context ends. The instance of the service must not
	// count this as a failure of Redis.
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		first, err := one.Use(ctx, "key", fmt.Sprint(i), time.Now().Add(time.Hour))
		if first || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Use = %t, %v", first, err)
		}
		cancel()
	}
	s.thaw()
	requireUse(t, one, "key", "after", true)
	if strings.Contains(f.log.String(), "Redis fails") {
		t.Error(f.log)
	}
}

type panickingClient struct{ redis.UniversalClient }

func (panickingClient) Pipeline() redis.Pipeliner { panic("10.9.8.7") }

func TestUseWithAClientThatPanics(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one := f.cache(func(c *rediscache.Config) { c.Client = panickingClient{f.client()} })
	for _, id := range requireUseErrors(t, one, 3) {
		requireUse(t, f.cache(nil), "key", id, true)
	}
}
