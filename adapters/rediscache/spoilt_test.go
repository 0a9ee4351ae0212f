package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

const (
	countName       = setName + ":count"
	restoreLockName = setName + ":turn"
)

// addJunk adds n useless members to the set of revocations in Redis, as an attacker could do. No
// instance of the service can decrypt them. Their scores say that they never end.
func addJunk(t testing.TB, c redis.UniversalClient, n int) {
	t.Helper()
	for numbers := range slices.Chunk(make([]redis.Z, n), 10_000) {
		for i := range numbers {
			numbers[i] = redis.Z{Score: 1e15, Member: fmt.Sprint("junk ", n, " ", i)}
		}
		n -= len(numbers)
		if err := c.ZAdd(context.Background(), setName, numbers...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// An attacker overwrites the counter of published messages, or the set of revocations, in Redis.
// Each revocation still reaches the instances of the service, even if its published message was
// lost.
func TestRevocationsSpreadWhenSpoilt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, spoil := range map[string]func(redis.UniversalClient){
		"counter is junk":       func(c redis.UniversalClient) { c.Set(ctx, countName, "x", 0) },
		"counter is at its end": func(c redis.UniversalClient) { c.Set(ctx, countName, math.MaxInt64, 0) },
		"counter is a list":     func(c redis.UniversalClient) { c.Del(ctx, countName); c.RPush(ctx, countName, "x") },
		"set is a text":         func(c redis.UniversalClient) { c.Set(ctx, setName, "x", 0) },
		"set is full of junk":   func(c redis.UniversalClient) { addJunk(t, c, 100_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			f := newFleet(t, s)
			admin := s.client()
			w := &watcher{scriptGate: make(chan struct{})}
			openGate := sync.OnceFunc(func() { close(w.scriptGate) })
			// publishingInstance is an instance of the service that only publishes revocations. It
			// does not receive any.
			publishingInstance, receivingInstance := f.instance(), f.watchedInstance(w, nil)
			f.startFollowing(receivingInstance)
			t.Cleanup(openGate)
			waitForSubscribers(t, admin, 1)
			spoil(admin)
			f.revoke(publishingInstance, xenaauth.Revocation{Subject: "U1"})
			token := f.issuer.Opaque(subject("U1"))
			// receivingInstance is an instance of the service that sends its Lua scripts through
			// the watcher w. The watcher holds the scripts back, so receivingInstance can't read
			// the stored revocations yet. It learns of this revocation only from the published
			// message.
			eventually(t, func() bool { return refusalReason(receivingInstance, token) == xenaauth.ReasonRevoked })
			openGate()
			spoil(admin)
			admin.Do(ctx, "ACL", "SETUSER", fleetUser, "-publish")
			if err := publishingInstance.Revoke(ctx, xenaauth.Revocation{Subject: "U2"}); err == nil {
				t.Error("it was published")
			}
			admin.Do(ctx, "ACL", "SETUSER", fleetUser, "+publish")
			token = f.issuer.Opaque(subject("U2"))
			eventually(t, func() bool { return refusalReason(receivingInstance, token) == xenaauth.ReasonRevoked })
		})
	}
}

// A wrongTypeHook is a hook of a Redis client. It waits for the first script that fails because a
// value in Redis has another type than the script needs. Then it calls the function afterFailure,
// once, before the client sends its next command.
type wrongTypeHook struct {
	once         sync.Once
	afterFailure func()
}

func (b *wrongTypeHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *wrongTypeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *wrongTypeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil && strings.HasPrefix(cmd.Name(), "eval") && strings.Contains(err.Error(), "WRONGTYPE") {
			b.once.Do(b.afterFailure)
		}
		return err
	}
}

// An attacker stores a string in place of the set of revocations. An instance of the service finds
// the string and will delete it. Before it does so, another instance stores a revocation there. The
// first instance must not delete this revocation.
func TestStoredBeforeTheTextIsDeleted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, one := s.client(), f.instance()
	admin.Set(ctx, setName, "x", 0)
	admin.Do(ctx, "ACL", "SETUSER", fleetUser, "-publish")
	b := &wrongTypeHook{afterFailure: func() {
		if err := one.Revoke(ctx, xenaauth.Revocation{Subject: "U1"}); err == nil {
			t.Error("it was published")
		}
	}}
	client := s.instanceClient()
	client.AddHook(b)
	two := f.over(f.cache(func(cfg *rediscache.Config) { cfg.Client = client }))
	f.startFollowing(two)
	token := f.issuer.Opaque(subject("U1"))
	eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
}

// An instance of the service notices that it has missed a published message, even after an attacker
// has overwritten the counter of messages.
func TestCounterBeginsAnew(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, value := range map[string]any{"at its end": math.MaxInt64, "junk": "x"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			f := newFleet(t, s)
			admin, v := s.client(), f.instance()
			admin.Set(ctx, countName, value, 0)
			f.startFollowing(v)
			waitForSubscribers(t, admin, 1)
			// Wait until the instance of the service has read the counter of published messages in
			// Redis. It reads the counter with the command GETRANGE.
			eventually(t, func() bool { return countAttempts(t, admin, "getrange") > 0 })
			admin.Do(ctx, "ACL", "SETUSER", fleetUser, "-publish")
			if err := f.instance().Revoke(ctx, xenaauth.Revocation{Subject: "U1"}); err == nil {
				t.Error("it was published")
			}
			token := f.issuer.Opaque(subject("U1"))
			eventually(t, func() bool { return refusalReason(v, token) == xenaauth.ReasonRevoked })
		})
	}
}

// An instance of the service that starts finds 30 revocations in Redis among 250 000 useless
// values, and removes these values.
func TestJunkIsCleared(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, one := s.client(), f.instance()
	var tokens []string
	for i := range 30 {
		tokens = append(tokens, f.issuer.Opaque(subject(fmt.Sprint(i))))
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
	}
	// An attacker may store an old revocation in Redis again, with a score that says that it never
	// ends. The instances of the service remove it.
	ended := f.cache(nil).Seal(t, xenaauth.Revocation{Issuer: f.issuer.URL(), Subject: "ended", Until: time.Now().Add(-time.Hour)})
	admin.ZAdd(t.Context(), setName, redis.Z{Score: 1e15, Member: ended})
	addJunk(t, admin, 250_000)
	late := f.instance()
	f.startFollowing(late)
	for _, token := range tokens {
		eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
	}
	eventually(t, func() bool { return admin.ZCard(context.Background(), setName).Val() == 30 })
}

// The restore lock is a key in Redis. An instance of the service takes this lock before it puts
// lost revocations back into Redis. An attacker stores the key so that it never expires, or only
// after a long time. The instances put revocations back nevertheless.
func TestForgedTurn(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"no end": 0, "an hour": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			f := newFleet(t, s)
			admin, v := s.client(), f.instance()
			f.startFollowing(v)
			waitForSubscribers(t, admin, 1)
			f.revoke(v, xenaauth.Revocation{Subject: "U1"})
			admin.Set(t.Context(), restoreLockName, "x", ttl)
			admin.Del(t.Context(), setName)
			eventually(t, func() bool { return admin.ZCard(context.Background(), setName).Val() == 1 })
		})
	}
}

// An attacker may replace each stored revocation by junk. The number of stored values and the
// counter of published messages then stay the same. So these two numbers do not tell an instance of
// the service that Redis has lost a revocation. The instance notices the loss nevertheless, because
// it reads all stored revocations again from time to time.
func TestReadAnyway(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	c, admin := f.cache(nil), s.client()
	c.SetFullReadInterval(100 * time.Millisecond)
	v := f.over(c)
	f.startFollowing(v)
	waitForSubscribers(t, admin, 1)
	f.revoke(v, xenaauth.Revocation{Subject: "U1"})
	kept := admin.ZRange(t.Context(), setName, 0, -1).Val()[0]
	addJunk(t, admin, 1)
	admin.ZRem(t.Context(), setName, kept)
	eventually(t, func() bool {
		got := admin.ZRange(context.Background(), setName, 0, -1).Val()
		return len(got) == 1 && got[0] == kept
	})
}

// An attacker who writes to Redis can't make an instance of the service read an unlimited amount.
func TestRevocationReadsAreBounded(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, ctx := s.client(), context.Background()
	f.revoke(f.instance(), xenaauth.Revocation{Subject: "U1"})
	admin.SetRange(ctx, countName, 50<<20, "x")
	for i := range 10 {
		admin.ZAdd(ctx, setName, redis.Z{Score: 1e15, Member: fmt.Sprint(i, strings.Repeat("x", 5<<20))})
	}
	m := newMeter(t, admin)
	_, before := m.read()
	client, sent := s.instanceClient(), new(commandCounter)
	client.AddHook(sent)
	v := f.over(f.cache(func(cfg *rediscache.Config) { cfg.Client = client }))
	f.startFollowing(v)
	token := f.issuer.Opaque(subject("U1"))
	eventually(t, func() bool { return refusalReason(v, token) == xenaauth.ReasonRevoked })
	// An attacker has stored a very long text in Redis, in place of the counter of published
	// messages. The instance of the service reads the counter again and again. It must not read
	// all of the text.
	reads := sent.counterReads.Load()
	eventually(t, func() bool { return sent.counterReads.Load() > reads })
	if _, after := m.read(); after-before > 1<<20 {
		t.Errorf("it read %.0f bytes", after-before)
	}
	if n := admin.ZCard(ctx, setName).Val(); n != 1 {
		t.Errorf("%d are kept, want 1", n)
	}
}

// A revocation with the longest names that a Validator accepts can be published. A revocation that
// takes more than 16 KiB is not published, because the instances of the service would not read it.
func TestLongRevocations(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	long := strings.Repeat("<", 512) // in JSON, each of these characters takes six bytes
	r := xenaauth.Revocation{TokenID: long, SessionID: long, Subject: long, ClientID: long}
	f.revoke(f.instance(), r)
	late := f.instance()
	f.startFollowing(late)
	eventually(t, func() bool { return late.Status().Revocations == 1 })
	r = xenaauth.Revocation{Issuer: f.issuer.URL(), Subject: strings.Repeat("U", 16<<10), Until: time.Now().Add(time.Hour)}
	if err := f.cache(nil).Publish(t.Context(), r); err == nil {
		t.Error("it was published")
	}
}

// An instance of the service accepts a limited number of revocations. After that, Publish returns
// an error for a further revocation. The other instances receive this revocation nevertheless.
func TestRevocationsFull(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	admin, ctx := f.server.client(), t.Context()
	v := f.instance()
	f.startFollowing(v)
	waitForSubscribers(t, admin, 1)
	full := f.cache(nil)
	until := time.Now().Add(time.Hour)
	full.Fill(until)
	err := full.Publish(ctx, xenaauth.Revocation{Issuer: f.issuer.URL(), Subject: "U1", Until: until})
	if !errors.Is(err, xenaauth.ErrRevocationsFull) {
		t.Error(err)
	}
	eventually(t, func() bool { return v.Status().Revocations == 1 })
	if n := admin.ZCard(ctx, setName).Val(); n != 0 {
		t.Errorf("%d are kept, want 0", n)
	}
}
