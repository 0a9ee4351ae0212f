package rediscache_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/replay"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// fleet.instanceThrough returns a Validator that uses Redis through a client with the given
// options.
func (f *fleet) instanceThrough(options redis.UniversalOptions) *xenaauth.Validator {
	f.t.Helper()
	return f.over(f.cacheThrough(options))
}

func (f *fleet) cacheThrough(options redis.UniversalOptions) *rediscache.Cache {
	f.t.Helper()
	options.ContextTimeoutEnabled = true
	client := redis.NewUniversalClient(&options)
	f.t.Cleanup(func() { _ = client.Close() })
	return f.cache(func(c *rediscache.Config) { c.Client = client })
}

func TestCluster(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-cli"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-cli is not installed, and CI has to test a cluster")
		}
		t.Skip("redis-cli is not installed")
	}
	var nodes []*server
	var addrs []string
	for range 3 {
		s := startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		nodes, addrs = append(nodes, s), append(addrs, s.addr())
	}
	create := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command("redis-cli", append(create, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range nodes {
		eventually(t, func() bool {
			return strings.Contains(s.client().ClusterInfo(context.Background()).Val(), "cluster_state:ok")
		})
	}
	f := newFleet(t, nodes[0])
	// The instances of this service have two secrets. So an introspection response can be in Redis
	// under either of two names, one for each secret. In a cluster, the two names may be on two
	// nodes.
	f.secrets = append(f.secrets, newSecret())
	one, two := f.instanceThrough(redis.UniversalOptions{Addrs: addrs}), f.instanceThrough(redis.UniversalOptions{Addrs: addrs})
	f.startFollowing(two)
	var tokens []string
	for i := range 50 {
		token := f.issuer.Opaque(subject(fmt.Sprint(i)))
		f.wants(one, token, "")
		f.wants(one, fmt.Sprintf("nobody-issued-this-%d", i), xenaauth.ReasonInactive)
		tokens = append(tokens, token)
	}
	count := func() (all []int64) {
		for _, s := range nodes {
			all = append(all, s.client().DBSize(context.Background()).Val())
		}
		return all
	}
	eventually(t, func() bool { n := count(); return n[0]+n[1]+n[2] >= 100 })
	if slices.Min(count()) == 0 {
		t.Errorf("the nodes hold %v", count())
	}
	for i, token := range tokens {
		f.wants(two, token, "")
		f.wants(two, fmt.Sprintf("nobody-issued-this-%d", i), xenaauth.ReasonInactive)
	}
	f.asked(100)
	eventually(t, func() bool {
		n := int64(0)
		for _, s := range nodes {
			n += s.client().PubSubNumSub(context.Background(), channelName).Val()[channelName]
		}
		return n == 1
	})
	for i, token := range tokens {
		f.revoke(one, xenaauth.Revocation{Subject: fmt.Sprint(i)})
		eventually(t, func() bool { return refusalReason(two, token) == xenaauth.ReasonRevoked })
	}
	late := f.instanceThrough(redis.UniversalOptions{Addrs: addrs})
	f.startFollowing(late)
	for _, token := range tokens {
		eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
	}
	uses := []replay.Store{f.cacheThrough(redis.UniversalOptions{Addrs: addrs}), f.cacheThrough(redis.UniversalOptions{Addrs: addrs})}
	for i := range 50 {
		if n := raceFor(t, fmt.Sprint("value ", i), 4, uses...); n != 1 {
			t.Errorf("%d uses were the first, want 1", n)
		}
	}
	// One of the three Redis nodes fails. Requests with new tokens are accepted nevertheless.
	nodes[1].kill()
	for range 50 {
		f.wants(one, f.issuer.Opaque(xenaauthtest.Token{}), "")
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	master := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1 "+master.port)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := "sentinel monitor fleet 127.0.0.1 " + master.port + " 1\nsentinel down-after-milliseconds fleet 500\n" +
		"sentinel failover-timeout fleet 5000\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := &server{t: t, port: freePort(t), sentinel: conf}
	sentinel.start()
	t.Cleanup(sentinel.kill)
	eventually(t, func() bool {
		return strings.Contains(master.client().Info(context.Background(), "replication").Val(), "state=online") &&
			strings.Contains(sentinel.client().Info(context.Background(), "sentinel").Val(), "slaves=1")
	})
	f := newFleet(t, master)
	f.timeout = 500 * time.Millisecond
	options := redis.UniversalOptions{Addrs: []string{sentinel.addr()}, MasterName: "fleet"}
	one, two := f.instanceThrough(options), f.instanceThrough(options)
	f.startFollowing(one)
	f.startFollowing(two)
	waitForSubscribers(t, master.client(), 2)
	if !f.shareResponses(one, two) {
		t.Fatal("nothing is shared")
	}
	uses := []replay.Store{f.cacheThrough(options), f.cacheThrough(options)}
	requireUse(t, uses[0], "key", "before", true)
	requireUse(t, uses[1], "key", "before", false)
	before := f.issuer.Opaque(subject("before"))
	f.revoke(one, xenaauth.Revocation{Subject: "before"})
	eventually(t, func() bool { return refusalReason(two, before) == xenaauth.ReasonRevoked })
	// A master responds before its replica has a value. So the test waits until the replica has as
	// many keys as the master. If the master failed earlier, some values could be lost.
	eventually(t, func() bool {
		have := master.client().DBSize(context.Background()).Val()
		return have > 0 && replica.client().DBSize(context.Background()).Val() == have
	})

	master.kill()
	f.wants(one, f.issuer.Opaque(xenaauthtest.Token{}), "")
	// Sentinel, a program of Redis, makes the replica the new master. The test waits until both
	// instances of the service have subscribed to the revocations there.
	waitForSubscribers(t, replica.client(), 2)
	eventually(t, func() bool { return f.shareResponses(one, two) })
	// This Redis was the replica. The master sent its values to this Redis before the master
	// failed.
	requireUse(t, f.cacheThrough(options), "key", "before", false)
	for i, s := range uses {
		waitUntilUseWorks(t, s)
		requireUse(t, s, "key", "after", i == 0)
	}
	late := f.instanceThrough(options)
	f.startFollowing(late)
	eventually(t, func() bool { return refusalReason(late, before) == xenaauth.ReasonRevoked })
	after := f.issuer.Opaque(subject("after"))
	f.revoke(two, xenaauth.Revocation{Subject: "after"})
	eventually(t, func() bool { return refusalReason(one, after) == xenaauth.ReasonRevoked })
}

// The permissions in docs/fleet.md are sufficient: Redis refuses no command of an instance of the
// service. Redis refuses other commands, keys and channels. The other tests use these permissions
// too, except the tests with a cluster, a sentinel or another prefix.
func TestACL(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	admin, ctx := s.client(), context.Background()
	f := newFleet(t, s)
	one, two := f.instance(), f.instance()
	f.startFollowing(one)
	f.startFollowing(two)
	waitForSubscribers(t, admin, 2)
	if !f.shareResponses(one, two) {
		t.Error("nothing is shared")
	}
	requireUse(t, f.cache(nil), "key", "jti", true)
	token := f.issuer.Opaque(subject("U1"))
	f.revoke(one, xenaauth.Revocation{Subject: "U1"})
	addJunk(t, admin, 10)
	admin.Del(ctx, setName)
	admin.Set(ctx, countName, "x", 0)
	f.issuer.Down()
	// The introspection call fails, so the instance of the service also releases its lease in
	// Redis. The permissions in docs/fleet.md must allow this.
	f.wants(one, f.issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	f.issuer.Heal()
	late := f.instance()
	f.startFollowing(late)
	eventually(t, func() bool { return refusalReason(late, token) == xenaauth.ReasonRevoked })
	// The counter of published messages in Redis is not a number, so the instance of the service
	// replaces it. The permissions in docs/fleet.md must allow this.
	f.revoke(one, xenaauth.Revocation{Subject: "U2"})
	if refused := admin.Do(ctx, "ACL", "LOG").Val(); len(refused.([]any)) > 0 {
		t.Errorf("%v", refused)
	}
	// Redis refuses commands that docs/fleet.md does not allow, for example CLIENT KILL, which
	// closes the connections of other clients. It also refuses keys and channels whose names do not
	// begin with the default prefix.
	client := f.client()
	for _, command := range [][]any{
		{"CLIENT", "KILL", "TYPE", "pubsub"}, {"CLIENT", "PAUSE", "1000"}, {"CLIENT", "LIST"}, {"GET", "other"},
		{"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"PUBLISH", "other", "x"}, {"SUBSCRIBE", "other"},
		{"ACL", "LIST"}, {"MONITOR"}, {"SHUTDOWN"}, {"SCRIPT", "FLUSH"},
	} {
		if err := client.Do(ctx, command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%v: %v", command, err)
		}
	}
}
