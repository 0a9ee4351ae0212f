package rediscache_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

// attackRepeatedly calls attackOnce again and again, with a pause after each call, until the test
// ends or the returned function is called.
func attackRepeatedly(t testing.TB, pause time.Duration, attackOnce func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			attackOnce(ctx)
			time.Sleep(pause)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// forgeMember returns random bytes that look like an encrypted revocation in Redis: they have the
// same length and the same first byte. An attacker could store them there.
func forgeMember() string {
	b := make([]byte, 1+12+16+256)
	_, _ = rand.Read(b)
	b[0] = 1
	return string(b)
}

// An attacker deletes the stored revocations from Redis all the time. An instance of the service
// that starts later still learns of them: an instance that knows a revocation notices that Redis
// lacks it, puts it back, and publishes it again.
func TestDeletingAllTheTime(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	admin := s.client()
	waitForSubscribers(t, admin, 1)
	attackRepeatedly(t, 0, func(ctx context.Context) { admin.Del(ctx, setName, countName, restoreLockName) })
	f.revoke(one, xenaauth.Revocation{Subject: "U1"})
	token := f.issuer.Opaque(subject("U1"))
	eventually(t, func() bool { return admin.Exists(context.Background(), setName).Val() == 0 })
	f.startFollowing(two)
	eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
}

// An attacker deletes the stored revocations all the time, and closes the connections on which the
// instances of the service receive revocations, about three times a second. A revocation still
// reaches every instance.
func TestCuttingAndDeleting(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	f.startFollowing(two)
	admin := s.client()
	waitForSubscribers(t, admin, 2)
	attackRepeatedly(t, 0, func(ctx context.Context) { admin.Del(ctx, setName, countName) })
	killer := s.client()
	attackRepeatedly(t, 300*time.Millisecond, func(ctx context.Context) { killer.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub") })
	for i := range 3 {
		killer.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub")
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
		token := f.issuer.Opaque(subject(fmt.Sprint(i)))
		eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
	}
	// Each of the two instances of the service may log two records: one says that the instance
	// can't receive revocations, and one says that it can't read the stored revocations.
	if n := strings.Count(f.log.String(), "Redis fails"); n > 4 {
		t.Errorf("said %d times\n%s", n, f.log)
	}
}

// The restore lock is a key in Redis. An instance of the service takes this lock before it puts
// lost revocations back into Redis, so that only one instance does this at a time. An attacker
// holds the lock all the time. The instances put revocations back nevertheless.
func TestTakingEveryTurn(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	v, admin := f.instance(), s.client()
	f.startFollowing(v)
	waitForSubscribers(t, admin, 1)
	f.revoke(v, xenaauth.Revocation{Subject: "U1"})
	attackRepeatedly(t, 10*time.Millisecond, func(ctx context.Context) { admin.Set(ctx, restoreLockName, "x", 900*time.Millisecond) })
	eventually(t, func() bool { return admin.Exists(context.Background(), restoreLockName).Val() == 1 })
	admin.Del(t.Context(), setName)
	eventually(t, func() bool { return admin.ZCard(context.Background(), setName).Val() == 1 })
}

// A watcher is a hook of the Redis client of an instance of the service. It records the commands of
// the instance. If the channel scriptGate is not nil, each Lua script of the instance waits until
// this channel is closed.
type watcher struct {
	mu         sync.Mutex
	commands   []string
	scriptGate chan struct{}
}

func (w *watcher) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *watcher) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.mu.Lock()
		held := w.scriptGate
		w.commands = append(w.commands, cmd.Name())
		w.mu.Unlock()
		if held != nil && strings.HasPrefix(cmd.Name(), "eval") {
			<-held
		}
		return next(ctx, cmd)
	}
}

func (w *watcher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		w.mu.Lock()
		w.commands = append(w.commands, "pipeline of "+cmds[0].Name())
		w.mu.Unlock()
		return next(ctx, cmds)
	}
}

func (w *watcher) sentCommands() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.commands)
}

// fleet.watchedInstance returns an instance of the service whose commands go through the watcher w.
func (f *fleet) watchedInstance(w *watcher, change func(*rediscache.Cache)) *xenaauth.Validator {
	client := f.server.instanceClient()
	client.AddHook(w)
	c := f.cache(func(cfg *rediscache.Config) { cfg.Client = client })
	if change != nil {
		change(c)
	}
	return f.over(c)
}

// While an instance of the service reads the stored revocations, it receives the revocations that
// are published, however long the read takes.
func TestReceivesWhileItReads(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	w := &watcher{scriptGate: make(chan struct{})}
	openGate := sync.OnceFunc(func() { close(w.scriptGate) })
	two := f.watchedInstance(w, nil)
	f.startFollowing(two)
	// The Lua scripts of this instance of the service wait until the function openGate is called.
	// The instance can't end while they wait. At the end of the test, an earlier cleanup function
	// waits until the instance has ended. t.Cleanup runs the functions in reverse order, so it
	// calls openGate first.
	t.Cleanup(openGate)
	waitForSubscribers(t, s.client(), 1)
	eventually(t, func() bool { return slices.Contains(w.sentCommands(), "evalsha") })
	for i := range 3 {
		f.revoke(f.instance(), xenaauth.Revocation{Subject: fmt.Sprint(i)})
		token := f.issuer.Opaque(subject(fmt.Sprint(i)))
		eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
	}
	openGate()
}

// An attacker has stored 6000 forged revocations in Redis. Then an instance of the service starts,
// which reads only a limited part of the set of revocations at a time. The instance must find all
// real revocations nevertheless, and remove the forged ones.
func TestReadsAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, one := s.client(), f.instance()
	var tokens []string
	for i := range 30 {
		tokens = append(tokens, f.issuer.Opaque(subject(fmt.Sprint(i))))
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
	}
	members := make([]redis.Z, 6000)
	for i := range members {
		members[i] = redis.Z{Score: 1e15, Member: forgeMember()}
	}
	admin.ZAdd(t.Context(), setName, members...)
	w := new(watcher)
	late := f.watchedInstance(w, func(c *rediscache.Cache) { c.SetMaxRead(1000) })
	f.startFollowing(late)
	for _, token := range tokens {
		eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
	}
	eventually(t, func() bool { return admin.ZCard(context.Background(), setName).Val() == 30 })
	// The watcher w has recorded the commands that the instance of the service sent to Redis. Each
	// read of the set of revocations begins with a pipeline that gets the counter of published
	// messages (GETRANGE). Then each Lua script reads a page of about 500 revocations.
	pages, reads := 0, 0
	for _, command := range w.sentCommands() {
		switch command {
		case "pipeline of getrange":
			pages, reads = 0, reads+1
		case "eval", "evalsha":
			// The test has set maxRead to 1000 revocations, and a page has about 500. So a read has
			// about two pages. For each page, the instance of the service runs one script. A read
			// may run two more scripts: If Redis does not know the script yet, the instance sends
			// it again. And before the instance puts revocations back, a script takes the restore
			// lock. So a read runs about four scripts, at most.
			if pages++; pages > 4 {
				t.Fatalf("one read took %d pages or more", pages)
			}
		}
	}
	if reads < 6 {
		t.Errorf("6000 members were read in %d times", reads)
	}
}

// A Lua script in Redis removes those members of the set of revocations that do not look like an
// encrypted revocation. Redis does not send them to an instance of the service.
func TestJunkIsNotSent(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, ctx := s.client(), context.Background()
	f.revoke(f.instance(), xenaauth.Revocation{Subject: "U1"})
	for i := range 2000 {
		for _, junk := range []string{forgeMember() + "x", "\x02" + forgeMember()[1:], strings.Repeat("x", 1000)} {
			admin.ZAdd(ctx, setName, redis.Z{Score: 1e15, Member: fmt.Sprint(junk, i)[:len(junk)]})
		}
	}
	m := newMeter(t, admin)
	_, before := m.readWhenIdle()
	v := f.instance()
	f.startFollowing(v)
	eventually(t, func() bool { return v.Status().Revocations == 1 })
	eventually(t, func() bool { return admin.ZCard(ctx, setName).Val() == 1 })
	if _, after := m.readWhenIdle(); after-before > 100<<10 {
		t.Errorf("%.0f bytes were sent", after-before)
	}
}

// If Redis has lost revocations, an instance of the service puts them back and also publishes them.
// The other instances receive them, so they need not read all revocations again.
func TestPutBackIsPublished(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	admin, ctx := s.client(), context.Background()
	one := f.instance()
	stop := f.startFollowing(one)
	waitForSubscribers(t, admin, 1)
	for i := range 20 {
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
	}
	stop()
	admin.FlushAll(ctx)
	sub := admin.Subscribe(ctx, channelName)
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	f.startFollowing(one)
	heard := map[string]bool{}
	for len(heard) < 20 {
		message, err := sub.ReceiveTimeout(ctx, 30*time.Second)
		if err != nil {
			t.Fatal(len(heard), err)
		}
		if m, ok := message.(*redis.Message); ok {
			heard[m.Payload] = true
		}
	}
	eventually(t, func() bool { return admin.ZCard(ctx, setName).Val() == 20 })
	// A counter in Redis increases by one for each published revocation. An instance of the service
	// that has received all messages knows the same number, so it need not read the stored
	// revocations.
	if n := admin.Get(ctx, countName).Val(); n != "20" {
		t.Errorf("counted %s", n)
	}
}

// An attacker with the permissions of the instances of the service publishes a very large amount of
// data. Redis closes the connection of a subscriber if too much data is waiting to be sent to it.
// So Redis cuts off all instances, and the log says that Redis fails. When the attack ends, the
// instances learn the revocations that they missed.
func TestPublishingTooMuch(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	f.startFollowing(two)
	waitForSubscribers(t, s.client(), 2)
	attacker, channel := s.instanceClient(), setName+":channel"
	tooMuch := redis.NewScript(`
for i = 1, 40 do redis.call("PUBLISH", KEYS[1], ARGV[1]) end
redis.call("DEL", KEYS[2])
return 1`)
	megabyte := strings.Repeat("x", 1<<20)
	stop := attackRepeatedly(t, time.Millisecond, func(ctx context.Context) {
		tooMuch.Run(ctx, attacker, []string{channel, setName}, megabyte)
	})
	eventually(t, func() bool { return strings.Contains(f.log.String(), "Redis fails") })
	f.revoke(one, xenaauth.Revocation{Subject: "U1"})
	token := f.issuer.Opaque(subject("U1"))
	f.wants(one, token, xenaauth.ReasonRevoked)
	stop()
	eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
}
