package rediscache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// addMessages adds encrypted messages to the set of revocations in Redis, as an instance with
// another release of this package would do.
func addMessages(t testing.TB, admin redis.UniversalClient, sealed ...string) {
	t.Helper()
	for _, member := range sealed {
		z := redis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: member}
		if err := admin.ZAdd(t.Context(), setName, z).Err(); err != nil {
			t.Fatal(err)
		}
		if err := admin.IncrBy(t.Context(), countName, 1).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Messages of version 1 do not contain an issuer. An instance of the service applies a message of
// version 1 that it reads from the set of revocations, and one that it receives. When the instance
// puts such a message back into Redis, the text of the message is unchanged.
func TestMessagesOfVersion1(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	admin, until := f.server.client(), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	old := func(subject string) string { return `{"sub":"` + subject + `","until":"` + until + `"}` }
	c := f.cache(nil)
	kept, published := c.SealText(old("kept")), c.SealText(old("published"))
	addMessages(t, admin, kept)
	v := f.instance()
	f.startFollowing(v)
	eventually(t, func() bool { return v.Status().Revocations == 1 })
	admin.Publish(t.Context(), channelName, published)
	eventually(t, func() bool { return v.Status().Revocations == 2 })
	for _, name := range []string{"kept", "published"} {
		f.wants(v, f.issuer.Opaque(subject(name)), xenaauth.ReasonRevoked)
	}
	admin.Del(t.Context(), setName)
	eventually(t, func() bool { return admin.ZScore(context.Background(), setName, kept).Err() == nil })
}

// A message about a revocation may have a later version, whose meaning is unknown. An instance of
// the service neither applies nor removes this message, and logs once that it exists.
func TestMessagesOfLaterVersions(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	admin, until := f.server.client(), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	c := f.cache(nil)
	newer := []string{
		c.SealText(`{"v":3,"sub":"newer","until":"` + until + `"}`),
		c.SealText(`{"v":4,"sub":["newer"],"until":1}`),
	}
	addMessages(t, admin, newer...)
	junk := c.SealText(`{"v":2,"sub":["newer"]}`)
	addMessages(t, admin, junk)
	v := f.instance()
	f.startFollowing(v)
	waitForSubscribers(t, admin, 1)
	for range 3 {
		admin.Publish(t.Context(), channelName, newer[0])
	}
	f.revoke(f.instance(), xenaauth.Revocation{Subject: "U1"})
	eventually(t, func() bool {
		gone := admin.ZScore(context.Background(), setName, junk).Err() == redis.Nil
		return gone && v.Status().Revocations == 1
	})
	f.wants(v, f.issuer.Opaque(subject("newer")), "")
	for _, member := range newer {
		if err := admin.ZScore(t.Context(), setName, member).Err(); err != nil {
			t.Errorf("it was removed: %v", err)
		}
	}
	if n := strings.Count(f.log.String(), "later version"); n != 1 {
		t.Errorf("the log says it %d times\n%s", n, f.log)
	}
}

// Services of two issuers may use the same prefix in Redis. If the two issuers have users with the
// same subject, these are two different users.
func TestTwoIssuersUnderOnePrefix(t *testing.T) {
	t.Parallel()
	one := newFleet(t, startRedis(t))
	other := newFleet(t, one.server)
	other.secrets, other.log = one.secrets, one.log
	other.issuer = xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "https://other.example"})
	a, b := one.instance(), other.instance()
	one.startFollowing(a)
	other.startFollowing(b)
	waitForSubscribers(t, one.server.client(), 2)
	one.revoke(a, xenaauth.Revocation{Subject: "U1"})
	other.revoke(b, xenaauth.Revocation{Subject: "U2"})
	late := other.instance()
	other.startFollowing(late)
	eventually(t, func() bool { return late.Status().Revocations == 1 })
	for name, want := range map[string][2]xenaauth.Reason{
		"U1": {xenaauth.ReasonRevoked, ""}, "U2": {"", xenaauth.ReasonRevoked},
	} {
		one.wants(a, one.issuer.Opaque(subject(name)), want[0])
		other.wants(b, other.issuer.Opaque(subject(name)), want[1])
		other.wants(late, other.issuer.Opaque(subject(name)), want[1])
	}
}
