package rediscache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestOneCallForAll(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	f.issuer.Slow(200 * time.Millisecond)
	token := f.issuer.Opaque(xenaauthtest.Token{})
	junk := "nobody-issued-this"
	var wg sync.WaitGroup
	for range 12 {
		v := f.instance()
		for range 5 {
			wg.Go(func() {
				if got := refusalReason(v, token); got != "" {
					t.Error(got)
				}
			})
			wg.Go(func() {
				if got := refusalReason(v, junk); got != xenaauth.ReasonInactive {
					t.Error(got)
				}
			})
		}
	}
	wg.Wait()
	f.asked(2)
	f.issuer.Down()
	f.wants(f.instance(), token, "") // this new instance starts after the response was stored
	f.wants(f.instance(), junk, xenaauth.ReasonInactive)
}

// fleet.cacheWithWait returns a cache with the given Config.Wait. This is how long an instance of
// the service waits while another instance introspects the same token.
func (f *fleet) cacheWithWait(wait time.Duration) *rediscache.Cache {
	return f.cache(func(c *rediscache.Config) { c.Wait = wait })
}

// An instance of the service takes a lease before it introspects a token, and other instances wait
// for its response. The instance with the lease may end, or take longer than the other instances
// wait. In both cases the other instances introspect the token themselves.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	nothing := func(c *rediscache.Cache, key [32]byte) {
		t.Helper()
		requireReturn(t, func() {
			if v, err := c.Get(context.Background(), key); v != nil || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	slowInstance, key := f.cacheWithWait(time.Hour), [32]byte{2}
	// The instance slowInstance takes the lease of this token, and keeps the lease for an hour.
	nothing(slowInstance, key)
	nothing(f.cacheWithWait(50*time.Millisecond), key)

	failedInstance, key := f.cacheWithWait(200*time.Millisecond), [32]byte{1}
	nothing(failedInstance, key)
	c := f.cacheWithWait(time.Hour)
	nothing(c, key)
	if err := c.Set(t.Context(), key, []byte("answer"), time.Minute); err != nil {
		t.Fatal(err)
	}
	// The lease of failedInstance has ended, and its introspection call has failed. Set with nil
	// gives the lease back. It must not remove the response that another instance has stored.
	if err := failedInstance.Set(t.Context(), key, nil, 0); err != nil {
		t.Fatal(err)
	}
	if v, err := failedInstance.Get(t.Context(), key); string(v) != "answer" || err != nil {
		t.Fatal(string(v), err)
	}
}

// If the introspection call of an instance fails, the instances that wait for it stop waiting.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	first, key := f.cacheWithWait(time.Hour), [32]byte{1}
	if v, err := first.Get(t.Context(), key); v != nil || err != nil {
		t.Fatal(v, err)
	}
	client, looks := f.client(), new(commandCounter)
	client.AddHook(looks)
	second := f.cache(func(c *rediscache.Config) { c.Client, c.Wait = client, time.Hour })
	var told atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if v, err := second.Get(context.Background(), key); v != nil || err != nil || !told.Load() {
			t.Errorf("%q, %v, told: %v", v, err, told.Load())
		}
	})
	eventually(t, func() bool { return looks.others.Load() > 2 })
	told.Store(true)
	if err := first.Set(t.Context(), key, nil, 0); err != nil {
		t.Fatal(err)
	}
	requireReturn(t, wg.Wait)
	// A request of a client may end while an instance of the service waits until another instance
	// has stored the introspection response. This does not count as a failure of Redis.
	third := f.cacheWithWait(time.Hour)
	other := [32]byte{2}
	_, _ = first.Get(t.Context(), other)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := third.Get(ctx, other)
		cancel()
		if err == nil {
			t.Fatal("it didn't wait")
		}
	}
	if v, err := third.Get(t.Context(), key); v != nil || err != nil {
		t.Fatal(v, err)
	}
}

func TestIssuerDown(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	token := f.issuer.Opaque(xenaauthtest.Token{})
	f.issuer.Down()
	f.wants(f.over(f.cacheWithWait(time.Hour)), token, xenaauth.ReasonUnavailable)
	f.issuer.Heal()
	// The first instance has released its lease, because its introspection call failed. So the next
	// instance of the service does not wait for it.
	nextInstance := f.over(f.cacheWithWait(time.Hour))
	requireReturn(t, func() {
		if got := refusalReason(nextInstance, token); got != "" {
			t.Error(got)
		}
	})
}

// An attacker who replaces introspection responses in Redis only causes more introspection calls.
func TestPoisonedEntries(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	client := s.client()
	ctx := context.Background()
	// tokenCount is more than maxFailures: so many failed calls would open the circuit breaker.
	const tokenCount = 6
	mangle := func(change func(sealed, other string) any) func(names []string) {
		return func(names []string) {
			var values []string
			for _, name := range names {
				values = append(values, client.Get(ctx, name).Val())
			}
			for i, name := range names {
				client.Del(ctx, name)
				switch v := change(values[i], values[(i+1)%tokenCount]).(type) {
				case string:
					client.Set(ctx, name, v, time.Minute)
				case []string:
					client.RPush(ctx, name, v)
				}
			}
		}
	}
	random := func(length int) string {
		b := make([]byte, length)
		for i := range b {
			b[i] = byte(rand.N(256))
		}
		return string(b)
	}
	for name, poison := range map[string]func([]string){
		"swapped":   mangle(func(_, other string) any { return other }),
		"truncated": mangle(func(sealed, _ string) any { return sealed[:len(sealed)-1] }),
		"halved":    mangle(func(sealed, _ string) any { return sealed[:len(sealed)/2] }),
		"longer":    mangle(func(sealed, _ string) any { return sealed + "x" }),
		"a bit": mangle(func(sealed, _ string) any {
			return sealed[:100] + string([]byte{sealed[100] ^ 1}) + sealed[101:]
		}),
		"mark only":     mangle(func(sealed, _ string) any { return sealed[:1] }),
		"nonce only":    mangle(func(sealed, _ string) any { return sealed[:13] }),
		"random":        mangle(func(string, string) any { return random(541) }),
		"marked random": mangle(func(string, string) any { return "\x01" + random(540) }),
		"huge":          mangle(func(string, string) any { return "\x01" + strings.Repeat("x", 8<<20) }),
		"a list":        mangle(func(string, string) any { return []string{"a", "b"} }),
		"a lease":       mangle(func(string, string) any { return "?somebody" }),
		"given up":      mangle(func(string, string) any { return "-" }),
		"JSON":          mangle(func(string, string) any { return `{"active":true,"sub":"root"}` }),
		"a plain value": mangle(func(string, string) any {
			return "\x01\x01" + strings.Repeat("\x00", 8) + `{"active":true,"sub":"root"}`
		}),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, s)
			f.prefix = name + ":"
			v := f.instance()
			tokens := make(map[string]string)
			for i := range tokenCount {
				subject := fmt.Sprint("U", i)
				tokens[f.issuer.Opaque(xenaauthtest.Token{Subject: subject})] = subject
			}
			finds := func(v *xenaauth.Validator) bool {
				for token, subject := range tokens {
					user, err := v.Validate(ctx, token)
					if err != nil {
						return false
					}
					if user.Subject() != subject {
						t.Fatalf("%s, want %s", user.Subject(), subject)
					}
				}
				return true
			}
			if !finds(v) {
				t.Fatal("refused")
			}
			poison(waitForResponsesUnder(t, client, f.prefix, tokenCount))
			if !finds(f.instance()) {
				t.Fatal("refused")
			}
			f.asked(2 * tokenCount)
			// The new response has replaced the value of the attacker. So this instance finds the
			// response, although the issuer is down. The value of the attacker does not count as a
			// failure of Redis.
			f.issuer.Down()
			eventually(t, func() bool { return finds(f.instance()) })
			if strings.Contains(f.log.String(), "Redis fails") {
				t.Fatal(f.log)
			}
		})
	}
}

// An attacker stores an old response again. No Validator uses it, although its seal is valid.
func TestReplayedEntry(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	client, ctx := s.client(), context.Background()
	f := newFleet(t, s)
	short := func() *xenaauth.Validator {
		cfg := f.issuer.HybridConfig()
		cfg.Introspection.Cache, cfg.Introspection.CacheTTL = f.cache(nil), 500*time.Millisecond
		v, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	token := f.issuer.Opaque(xenaauthtest.Token{})
	f.wants(short(), token, "")
	name := waitForResponses(t, client, 1)[0]
	old := client.Get(ctx, name).Val()
	f.issuer.Revoke(token)
	// The token is revoked, but instances use the stored response until its time to live ends.
	f.wants(short(), token, "")
	// PERSIST removes the time to live of the response, so Redis keeps the response.
	client.Persist(ctx, name)
	eventually(t, func() bool { return refusalReason(short(), token) == xenaauth.ReasonInactive })
	client.Set(ctx, name, old, 0) // the attacker stores an old response in Redis again
	f.wants(short(), token, xenaauth.ReasonInactive)
}

func TestReaderLearnsNothing(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	token := f.issuer.Opaque(xenaauthtest.Token{
		Subject: "the-subject", ClientID: "the-client", Scopes: []string{"testapi", "the-scope"},
	})
	v := f.instance()
	f.wants(v, token, "")
	f.wants(v, "nobody-issued-this", xenaauth.ReasonInactive)
	f.revoke(v, xenaauth.Revocation{Subject: "the-subject", TokenHash: xenaauth.HashToken(token), ClientID: "the-client"})
	client := s.client()
	names := waitForResponses(t, client, 2)
	_, text := readEverything(t, client)
	for _, secret := range []string{
		token, "nobody-issued", xenaauth.HashToken(token), "the-subject", "the-client", "the-scope", "testapi",
		"active", "scope", f.issuer.URL(), "xena.biz", "introspect", string(f.secrets[0]), "token_hash",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("Redis shows %q", secret)
		}
	}
	for _, name := range names {
		if n := client.StrLen(t.Context(), name).Val(); (n-29)%256 != 0 {
			t.Errorf("an entry has %d bytes, which tells the length of the answer", n)
		}
		if ttl := client.PTTL(t.Context(), name).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("an entry lives for %v", ttl)
		}
	}
	// A service with another secret uses other names in Redis for the same tokens. So it does not
	// find the responses of this service.
	other := newFleet(t, s)
	other.issuer = f.issuer
	f.wants(other.instance(), token, "")
	f.asked(3)
}

// A token that is not active costs little: two Redis commands for the look-up, and one command that
// stores the response.
func TestJunkCostsLittle(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	client := s.client()
	v := f.instance()
	f.wants(v, "warm-up", xenaauth.ReasonInactive)
	waitForResponses(t, client, 1)
	before := countCommands(t, client)
	const n = 200
	for i := range n {
		f.wants(v, fmt.Sprintf("nobody-issued-this-%d", i), xenaauth.ReasonInactive)
	}
	waitForResponses(t, client, n+1)
	after := countCommands(t, client)
	for name, most := range map[string]int64{"set": 2 * n, "getrange": n, "evalsha": 0, "eval": 0} {
		if got := after[name] - before[name]; got > most {
			t.Errorf("%s was called %d times for %d tokens", name, got, n)
		}
	}
}

// countCommands asks Redis how often it has executed each command.
func countCommands(t testing.TB, client redis.UniversalClient) map[string]int64 {
	t.Helper()
	counts := make(map[string]int64)
	for line := range strings.Lines(client.Info(context.Background(), "commandstats").Val()) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if ok {
			var n int64
			_, _ = fmt.Sscanf(rest, "%d", &n)
			counts[name] = n
		}
	}
	return counts
}

func TestNoGoroutineIsLeft(t *testing.T) {
	s := startRedis(t)
	f := newFleet(t, s)
	f.timeout = 50 * time.Millisecond
	v := f.instance()
	stop := f.startFollowing(v)
	for i := range 50 {
		f.wants(v, fmt.Sprintf("nobody-issued-this-%d", i), xenaauth.ReasonInactive)
	}
	s.freeze()
	for i := range 50 {
		f.wants(v, fmt.Sprintf("nobody-issued-that-%d", i), xenaauth.ReasonInactive)
	}
	s.thaw()
	stop()
	left := ""
	defer func() {
		if t.Failed() {
			t.Log(left)
		}
	}()
	eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		left = string(stacks[:runtime.Stack(stacks, true)])
		return !strings.Contains(left, "rediscache.(*") && !strings.Contains(left, "rediscache.callWithTimeout")
	})
}
