package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const (
	setName     = "xenaauth:{revocations}"
	channelName = "xenaauth:{revocations}:channel"
)

// waitForSubscribers waits until n instances have subscribed to the channel in Redis on which
// revocations are published.
func waitForSubscribers(t testing.TB, c redis.UniversalClient, n int64) {
	t.Helper()
	eventually(t, func() bool {
		return c.PubSubNumSub(context.Background(), channelName).Val()[channelName] == n
	})
}

func (f *fleet) revoke(v *xenaauth.Validator, r xenaauth.Revocation) {
	f.t.Helper()
	if err := v.Revoke(context.Background(), r); err != nil {
		f.t.Fatal(err)
	}
}

func subject(s string) xenaauthtest.Token { return xenaauthtest.Token{Subject: s} }

// Every other instance of the service receives a revocation as a message, without reading the
// stored revocations. The revocation refuses opaque tokens and JWTs, also those that an instance
// has validated before.
func TestRevocationReachesAll(t *testing.T) {
	s := startRedis(t)
	f := newFleet(t, s)
	w := &watcher{scriptGate: make(chan struct{})}
	// The watcher w delays all reads of the stored revocations until its channel scriptGate is
	// closed. If the test did not close this channel, the reads would never end, and would disturb
	// other tests.
	t.Cleanup(func() { close(w.scriptGate) })
	var all []*xenaauth.Validator
	for range 10 {
		v := f.watchedInstance(w, nil)
		f.startFollowing(v)
		all = append(all, v)
	}
	waitForSubscribers(t, s.client(), 10)
	var took []time.Duration
	for i := range 20 {
		name := fmt.Sprintf("U%d", i)
		opaque, jwt := f.issuer.Opaque(subject(name)), f.issuer.JWT(subject(name))
		for _, v := range all {
			f.wants(v, opaque, "")
			f.wants(v, jwt, "")
		}
		began := time.Now()
		f.revoke(all[i%10], xenaauth.Revocation{Subject: name})
		for _, v := range all {
			for _, token := range []string{opaque, jwt} {
				eventually(t, func() bool { return refusalReason(v, token) == xenaauth.ReasonRevoked })
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("10 instances had heard of a revocation after %v (median), %v at most", took[10], took[19])
}

func TestRevocationReachesLateStarters(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	// publishingInstance is an instance of the service that only publishes revocations. It does not
	// receive any.
	publishingInstance := f.instance()
	var tokens []string
	for i := range 30 {
		name := fmt.Sprintf("U%d", i)
		tokens = append(tokens, f.issuer.Opaque(subject(name)))
		f.revoke(publishingInstance, xenaauth.Revocation{Subject: name})
	}
	f.revoke(publishingInstance, xenaauth.Revocation{Subject: "soon", Until: time.Now().Add(300 * time.Millisecond)})
	// publishingInstance has published 31 revocations, and the last one applies for only 300
	// milliseconds. After it has ended, 30 revocations are in force.
	eventually(t, func() bool { return publishingInstance.Status().Revocations == 30 })
	late := f.instance()
	f.startFollowing(late)
	for _, token := range tokens {
		eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
	}
	if n := late.Status().Revocations; n != 30 {
		t.Errorf("%d revocations are in force, want 30: one has ended", n)
	}
}

// An instance of the service that was cut off from Redis learns the revocations that it missed.
func TestRevocationReachesInstancesThatWereCutOff(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	f.startFollowing(two)
	admin := s.client()
	waitForSubscribers(t, admin, 2)
	for i := range 3 {
		token := f.issuer.Opaque(subject(fmt.Sprint(i)))
		admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub")
		// No instance of the service receives the message about this revocation, because the
		// connections of the instances were closed.
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
		eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
		waitForSubscribers(t, admin, 2)
	}
	// Redis refuses to publish this message. So it is lost although the connections of the
	// instances of the service stay open.
	token := f.issuer.Opaque(subject("lost"))
	third := f.instance()
	admin.Do(t.Context(), "ACL", "SETUSER", fleetUser, "-publish")
	if err := third.Revoke(t.Context(), xenaauth.Revocation{Subject: "lost"}); err == nil {
		t.Fatal("it was published")
	}
	admin.Do(t.Context(), "ACL", "SETUSER", fleetUser, "+publish")
	eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
}

// Redis may lose the stored revocations: by a restart, or because an attacker deletes or overwrites
// them. Then the instances of the service put back the revocations that they know, and an instance
// that starts later learns them.
func TestRevocationSurvivesRedis(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*server){
		"restart": func(s *server) { s.kill(); s.start() },
		"spoilt": func(s *server) {
			s.client().Set(context.Background(), setName, "x", 0)
			s.client().Set(context.Background(), setName+":count", "x", 0)
		},
		"deleted": func(s *server) { s.client().Del(context.Background(), setName) },
		"flush":   func(s *server) { s.client().FlushAll(context.Background()) },
		"forged": func(s *server) {
			s.client().Set(context.Background(), "xenaauth:{revocations}:count", 1, 0)
			s.client().Del(context.Background(), setName)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRedis(t)
			f := newFleet(t, s)
			one, two := f.instance(), f.instance()
			f.startFollowing(one)
			f.startFollowing(two)
			waitForSubscribers(t, s.client(), 2)
			var tokens []string
			for i := range 20 {
				tokens = append(tokens, f.issuer.Opaque(subject(fmt.Sprint(i))))
				f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
			}
			lose(s)
			late := f.instance()
			f.startFollowing(late)
			for _, token := range tokens {
				eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
			}
			if n := s.client().ZCard(t.Context(), setName).Val(); n != 20 {
				t.Errorf("%d are kept, want 20", n)
			}
		})
	}
}

// An attacker may publish a message that no instance of the service has encrypted, or store it in
// the set of revocations. The message revokes no token, and each instance logs once that Redis has
// such messages.
func TestForgedRevocations(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f, stranger := newFleet(t, s), newFleet(t, s)
	admin, ctx := s.client(), context.Background()
	// One of the instances in this test can't read the stored revocations, because a hook of its
	// Redis client delays its Lua scripts until the test ends. So this instance learns of a
	// revocation only from a published message.
	w := &watcher{scriptGate: make(chan struct{})}
	receiver, publisher := f.watchedInstance(w, nil), f.instance()
	f.startFollowing(receiver)
	t.Cleanup(func() { close(w.scriptGate) })
	waitForSubscribers(t, admin, 1)
	token, other := f.issuer.Opaque(subject("U1")), f.issuer.Opaque(subject("U2"))
	plain := `{"sub":"U1","until":"2999-01-01T00:00:00Z"}`
	// A fleet is all instances of a service. This revocation is from another fleet, which uses the
	// same prefix in Redis and another secret.
	stranger.revoke(stranger.instance(), xenaauth.Revocation{Subject: "U1"})
	for _, text := range []string{
		"", "x", plain, "\x01", "\x01" + strings.Repeat("x", 284), strings.Repeat("x", 1<<20),
	} {
		for range 5 {
			if err := admin.Publish(ctx, channelName, text).Err(); err != nil {
				t.Fatal(err)
			}
		}
		admin.ZAdd(ctx, setName, redis.Z{Score: 1e15, Member: text})
	}
	// This genuine revocation of the user U2 is published after all forged messages. Messages
	// arrive in the order in which they were published. So an instance that has received this
	// revocation has handled all forged messages before.
	f.revoke(publisher, xenaauth.Revocation{Subject: "U2"})
	eventually(t, func() bool { return refusalReason(receiver, other) == xenaauth.ReasonRevoked })
	f.wants(receiver, token, "")
	// This instance of the service starts after all messages were published, so it learns of
	// revocations only from the stored set. It removes the forged revocations from the set. No
	// other instance in this test does that.
	reader := f.instance()
	f.startFollowing(reader)
	eventually(t, func() bool { return refusalReason(reader, other) == xenaauth.ReasonRevoked })
	eventually(t, func() bool { return admin.ZCard(ctx, setName).Val() == 1 })
	f.wants(reader, token, "")
	if n := strings.Count(f.log.String(), "no secret of this fleet"); n != 2 {
		t.Errorf("said %d times by two instances\n%s", n, f.log)
	}
}

func TestRevocationIsKeptOnce(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, ctx := s.client(), context.Background()
	one, two := f.cache(nil), f.cache(nil)
	r := xenaauth.Revocation{Issuer: f.issuer.URL(), Subject: "U1", Until: time.Now().Add(time.Hour).UTC().Round(0)}
	for range 3 {
		if err := errors.Join(one.Publish(ctx, r), two.Publish(ctx, r)); err != nil {
			t.Fatal(err)
		}
	}
	if n := admin.ZCard(ctx, setName).Val(); n != 1 {
		t.Errorf("%d are kept, want 1", n)
	}
	for _, incomplete := range []xenaauth.Revocation{
		{Issuer: r.Issuer, Subject: "U1"}, {Subject: "U1", Until: r.Until},
	} {
		if err := one.Publish(ctx, incomplete); err == nil {
			t.Errorf("it was published: %+v", incomplete)
		}
	}
	if err := one.Publish(ctx, xenaauth.Revocation{Issuer: f.issuer.URL(), Subject: "U1", Until: time.Now().Add(-time.Hour)}); err != nil {
		t.Error(err)
	}
	// An instance of the service that publishes a revocation also removes the revocations from
	// Redis that ended more than a minute ago.
	ended := make([]redis.Z, 0, 100_000)
	for i := range 100_000 {
		ended = append(ended, redis.Z{Score: float64(time.Now().Add(-time.Hour).UnixMilli()), Member: fmt.Sprint("ended", i)})
	}
	for some := range slices.Chunk(ended, 10_000) {
		admin.ZAdd(ctx, setName, some...)
	}
	r.Subject = "U2"
	if err := one.Publish(ctx, r); err != nil {
		t.Error(err)
	}
	if n := admin.ZCard(ctx, setName).Val(); n != 2 {
		t.Errorf("%d are kept, want 2", n)
	}
}

// After the operator has changed the secret, the instances of the service encrypt the stored
// revocations again, with the new secret. So the operator can remove the old secret and loses no
// revocation.
func TestRevocationsOutliveTheirSecret(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	old, next := f.secrets[0], newSecret()
	token := f.issuer.Opaque(subject("U1"))
	f.revoke(f.instance(), xenaauth.Revocation{Subject: "U1"})
	f.secrets = [][]byte{next, old}
	both := f.instance()
	stop := f.startFollowing(both)
	admin := f.server.client()
	eventually(t, func() bool { return admin.ZCard(context.Background(), setName).Val() == 2 })
	f.wants(both, token, xenaauth.ReasonRevoked)
	stop()
	f.secrets = [][]byte{next}
	after := f.instance()
	f.startFollowing(after)
	eventually(t, func() bool { return refusalReason(after, token) == xenaauth.ReasonRevoked })
}

// FollowRevocations makes an instance of the service receive revocations. It returns when its
// context ends, even if Redis is down or does not respond.
func TestFollowingEnds(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*server){
		"well": func(*server) {}, "frozen": (*server).freeze, "down": (*server).kill,
	} {
		s := startRedis(t)
		f := newFleet(t, s)
		v := f.instance()
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { err = v.FollowRevocations(ctx) })
		waitForSubscribers(t, s.client(), 1)
		spoil(s)
		cancel()
		requireReturn(t, wg.Wait)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		s.kill()
	}
}
