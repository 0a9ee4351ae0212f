package rediscache_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
)

// countingBytes returns 32 bytes, each of them one more than the byte before. The parameter first
// is the first byte.
func countingBytes(first byte) []byte {
	all := make([]byte, 32)
	for i := range all {
		all[i] = first + byte(i)
	}
	return all
}

// These tests compare names and values in Redis with fixed texts. Another program has computed the
// texts, from the formats that the comments of this package describe. If a release changed a
// format, it could not use the values of an earlier release. This would have an effect while an
// operator updates the instances of a service one after another. The comment of each test names the
// effect.

// An instance of the service records a used value in Redis, under one name for each secret that the
// instance has. If a release changed these names, or the order in which an instance stores them,
// then a value could be used twice: once at an instance of each release.
func TestFormatOfUsedValues(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	client := f.server.client()
	const (
		name      = "xenaauth:used:Gmd_QvM_aS6oRYjWNM_trw" // with the secret countingBytes(0)
		otherName = "xenaauth:used:cDaQG3b3Z6gmgisTHbXC6Q" // with the secret countingBytes(1)
	)
	requireNames := func(want ...string) {
		t.Helper()
		got, err := client.Keys(t.Context(), "*").Result()
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		client.FlushAll(t.Context())
	}
	one := func(secrets ...[]byte) *rediscache.Cache { f.secrets = secrets; return f.cache(nil) }
	requireUse(t, one(countingBytes(0)), "key", "id", true)
	requireNames(name)
	requireUse(t, one(countingBytes(1)), "key", "id", true)
	requireNames(otherName)
	client.Set(t.Context(), name, "x", time.Minute)
	requireUse(t, one(countingBytes(0)), "key", "id", false)
	requireNames(name)
	for _, secrets := range [][][]byte{
		{countingBytes(0), countingBytes(1)}, {countingBytes(1), countingBytes(0)},
	} {
		requireUse(t, one(secrets...), "key", "id", true)
		requireNames(name, otherName)
		// An instance of the service that has two secrets records a used value under two names. It
		// stores the names in a fixed order, which does not depend on the order of its secrets.
		client.Set(t.Context(), name, "x", time.Minute)
		requireUse(t, one(secrets...), "key", "id", false)
		requireNames(name)
		client.Set(t.Context(), otherName, "x", time.Minute)
		requireUse(t, one(secrets...), "key", "id", false)
		requireNames(name, otherName)
	}
}

// If a release changed the nonce of a revocation, Redis would keep the revocation twice.
func TestFormatOfRevocations(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	f.secrets = [][]byte{countingBytes(0)}
	r := xenaauth.Revocation{
		Issuer: "https://issuer.example", Subject: "U1",
		Until: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if err := f.cache(nil).Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	kept := f.server.client().ZRange(t.Context(), setName, 0, -1).Val()
	if len(kept) != 1 {
		t.Fatalf("%d are kept, want 1", len(kept))
	}
	if got := hex.EncodeToString([]byte(kept[0][:13])); got != "01"+"f5db57d13dec4e07d404eb16" {
		t.Errorf("the mark and the nonce are %s", got)
	}
	sum := sha256.Sum256([]byte(kept[0]))
	if got := hex.EncodeToString(sum[:]); got !=
		"4631accbbf08711ca8df36166b8261124bf002f296e080e9b4d497d2afb39a0c" {
		t.Errorf("the SHA-256 of the sealed revocation is %s", got)
	}
}

// An instance of the service that introspects a token stores a lease in Redis, and other instances
// wait for its response. If a release changed the first byte of a lease, an instance of another
// release would not recognize the lease, and would not wait. If an instance can't store a response,
// it replaces the lease by a mark, so that the others stop waiting. If a release changed this mark,
// an instance of another release might take it for something else, and wait for nothing.
func TestFormatOfLeases(t *testing.T) {
	t.Parallel()
	f := newFleet(t, startRedis(t))
	f.secrets = [][]byte{countingBytes(0)}
	client, key := f.server.client(), sha256.Sum256([]byte("a token"))
	const name = "xenaauth:TyQXlXE8qhfXVNOeFEqp8g"
	c := f.cacheWithWait(time.Hour)
	requireNothing := func() {
		t.Helper()
		requireReturn(t, func() {
			if v, err := c.Get(t.Context(), key); v != nil || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	requireNothing() // Redis has no response for the token, so Get takes the lease
	if got := client.Get(t.Context(), name).Val(); len(got) < 20 || got[0] != '?' {
		t.Errorf("the lease is %q", got)
	}
	if err := c.Set(t.Context(), key, nil, 0); err != nil {
		t.Fatal(err)
	}
	if got := client.Get(t.Context(), name).Val(); got != "-" {
		t.Errorf("the lease was replaced by %q", got)
	}
	requireNothing()
	// Another instance has the lease, and stores no response before this lease ends.
	client.Set(t.Context(), name, "?somebody", 200*time.Millisecond)
	requireNothing()
	if got := client.Get(t.Context(), name).Val(); len(got) < 20 || got[0] != '?' {
		t.Errorf("it did not wait until the lease ended: Redis has %q", got)
	}
}
