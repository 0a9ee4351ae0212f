package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/replay"
)

// requireUse calls s.Use. It requires that s.Use returns no error, and that the result equals
// wantFirst: true means that the value was not used before.
func requireUse(t *testing.T, s replay.Store, owner, id string, wantFirst bool) {
	t.Helper()
	got, err := s.Use(t.Context(), owner, id, time.Now().Add(time.Hour))
	if got != wantFirst || err != nil {
		t.Fatalf("Use(%q, %q) = %t, %v; want %t", owner, id, got, err, wantFirst)
	}
}

// raceFor calls Use n times at the same moment, all with the same value. The calls go to the stores
// in turn. raceFor returns how many of the calls reported the first use of the value.
func raceFor(t *testing.T, id string, n int, stores ...replay.Store) int64 {
	t.Helper()
	var firsts atomic.Int64
	var group sync.WaitGroup
	start := make(chan struct{})
	until := time.Now().Add(time.Hour)
	for i := range n {
		group.Go(func() {
			<-start
			switch first, err := stores[i%len(stores)].Use(t.Context(), "key", id, until); {
			case err != nil:
				t.Errorf("%v", err)
			case first:
				firsts.Add(1)
			}
		})
	}
	close(start)
	group.Wait()
	return firsts.Load()
}

func TestAValueIsUsedOnceInTheFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one, two := f.cache(nil), f.cache(nil)
	requireUse(t, one, "key", "jti", true)
	requireUse(t, two, "key", "jti", false)
	requireUse(t, one, "key", "jti", false)
	requireUse(t, two, "another key", "jti", true)
	requireUse(t, one, "ke", "yjti", true)
	// Nobody can read in Redis which values were used, nor whose values they are.
	names, text := readEverything(t, f.server.client())
	if len(names) != 3 || strings.Contains(text, "jti") || strings.Contains(text, "key") {
		t.Errorf("%d names: %s", len(names), text)
	}
	other := f.cache(func(c *rediscache.Config) { c.Secrets = [][]byte{newSecret()} })
	requireUse(t, other, "key", "jti", true) // another service uses other names for the same values
	if first, err := one.Use(t.Context(), "key", "old", time.Now()); first || err != nil {
		t.Errorf("a value from the past: %t, %v", first, err)
	}
}

func TestOneOfManySimultaneousUsesIsTheFirst(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one, two := f.cache(nil), f.cache(nil)
	if n := raceFor(t, "of two instances", 1000, one, two); n != 1 {
		t.Errorf("%d of 1000 simultaneous uses at two instances were the first, want 1", n)
	}
	// A value, for example the id of a DPoP proof, may be used only once. Each instance of the
	// service remembers it in its own memory, so it asks Redis about the value only once, even if
	// it gets the value many times. So two instances make at most two concurrent calls to Redis
	// about one value. With 50 instances, up to 50 calls are concurrent.
	var many []replay.Store
	for range 50 {
		many = append(many, f.cache(nil))
	}
	for i := range 20 {
		if n := raceFor(t, fmt.Sprint("of many instances ", i), 200, many...); n != 1 {
			t.Errorf("%d of 200 simultaneous uses at 50 instances were the first, want 1", n)
		}
	}
}

// Redis removes the record of a used value soon after the value has expired, and not before.
func TestAValueInRedisEnds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one, admin := f.cache(nil), f.server.client()
	before := time.Now()
	until := before.Add(time.Minute)
	if first, err := one.Use(t.Context(), "key", "jti", until); !first || err != nil {
		t.Fatal(first, err)
	}
	ttl := admin.PTTL(t.Context(), admin.Keys(t.Context(), "*").Val()[0]).Val()
	if ttl < time.Until(until) || ttl > time.Minute+time.Second {
		t.Errorf("Redis keeps the value for %v", ttl)
	}
	// This value expires so late that a time.Duration can't represent the remaining time. It can
	// still be used only once.
	for i, store := range []replay.Store{one, f.cache(nil)} {
		first, err := store.Use(t.Context(), "key", "long", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		if first != (i == 0) || err != nil {
			t.Errorf("Use until the year 9999 = %t, %v", first, err)
		}
	}
}

// While the operator replaces a secret, two instances of a service may have different lists of
// secrets, but at least one secret in common. A value that was used at one of these two instances
// can't be used again at the other one.
func TestAValueIsUsedOnceWhileASecretIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	before, after := newSecret(), newSecret()
	for name, phase := range map[string][2][][]byte{
		"the new one is added":       {{before}, {before, after}},
		"the new one is put first":   {{before, after}, {after, before}},
		"the old one is removed":     {{after, before}, {after}},
		"all have both":              {{after, before}, {after, before}},
		"three secrets at one place": {{after, before, newSecret()}, {after, before}},
	} {
		var stores []replay.Store
		for _, secrets := range phase {
			stores = append(stores, f.cache(func(c *rediscache.Config) { c.Secrets = secrets }))
		}
		for i := range 100 {
			if n := raceFor(t, fmt.Sprint(name, i), 2, stores...); n != 1 {
				t.Errorf("%s: %d uses were the first, want 1", name, n)
			}
		}
	}
}

// replyLoser is a hook that makes a Redis client lose replies. A client loses a reply if its
// connection breaks after Redis has executed the command.
type replyLoser struct{ next atomic.Int32 }

func (l *replyLoser) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (l *replyLoser) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (l *replyLoser) ProcessPipelineHook(
	next redis.ProcessPipelineHook,
) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for l.next.Add(-1) >= 0 {
			// The Redis client sends a command again if the reply was lost. This hook does the
			// same.
			_ = next(ctx, cmds)
		}
		return next(ctx, cmds)
	}
}

// If a reply of Redis is lost, the Redis client sends the command again. The first command has
// already stored the value. Use must still report that this is the first use.
func TestACommandThatIsSentAgainIsNoSecondUse(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	client := f.client()
	lost := new(replyLoser)
	client.AddHook(lost)
	one := f.cache(func(c *rediscache.Config) { c.Client = client })
	for i := range 3 {
		lost.next.Store(int32(i))
		requireUse(t, one, "key", fmt.Sprint(i), true)
		requireUse(t, f.cache(nil), "key", fmt.Sprint(i), false)
	}
}

// A client with a valid token can send any number of different proofs, each with a new id. The ids
// must not fill the memory of Redis.
func TestAnOwnerCannotFillRedis(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	one := f.cache(func(c *rediscache.Config) { c.MaxUses = 100 })
	refused := 0
	for i := range 300 {
		if _, err := one.Use(t.Context(), "greedy", fmt.Sprint(i), time.Now().Add(time.Hour)); errors.Is(err, replay.ErrFull) {
			refused++
		}
	}
	if n := f.server.client().DBSize(t.Context()).Val(); n != 20 || refused != 280 {
		t.Errorf("Redis has %d values, and %d were refused; want 20 and 280", n, refused)
	}
	requireUse(t, one, "modest", "1", true)
}

// An instance of the service has recorded in Redis that a value was used. An attacker who can write
// to Redis replaces this record. If a client then uses the same value again, Use must still return
// false: this is not the first use.
func TestAValueThatWasReplacedIsStillUsed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	admin, ctx := f.server.client(), t.Context()
	for kind, replace := range map[string]func(name string){
		"a list":      func(name string) { admin.Del(ctx, name); admin.LPush(ctx, name, "x") },
		"an empty":    func(name string) { admin.Set(ctx, name, "", 0) },
		"a long text": func(name string) { admin.Set(ctx, name, strings.Repeat("x", 1<<20), 0) },
	} {
		admin.FlushAll(ctx)
		requireUse(t, f.cache(nil), "key", kind, true)
		replace(admin.Keys(ctx, "*").Val()[0])
		requireUse(t, f.cache(nil), "key", kind, false)
	}
}

// BenchmarkUse measures how long one call of Cache.Use takes with a Redis on this machine. Each
// call records a new value, as for the id of a new DPoP proof.
func BenchmarkUse(b *testing.B) {
	f := newFleet(b, startRedis(b))
	one := f.cache(nil)
	var n atomic.Int64
	until := time.Now().Add(time.Hour)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			owner, id := fmt.Sprint("key ", i%1000), fmt.Sprint("jti ", i)
			if first, err := one.Use(b.Context(), owner, id, until); !first || err != nil {
				b.Fatal(first, err)
			}
		}
	})
}
