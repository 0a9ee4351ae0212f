package introspection_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestSharedCacheIntrospectsOnce(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		fleet := newFleet(t, issuer, store, 5, nil)
		good, bad := issuer.Opaque(xenaauthtest.Token{Subject: "U1"}), "nobody-issued-this"
		for _, v := range fleet {
			require.Equal(t, "U1", harness.UserOf(t, v, good).Subject())
			require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, bad))
			// The library calls Cache.Set after it has responded to the client.
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, issuer.Calls(xenaauthtest.Introspection))
		require.Len(t, store.waitForValues(t, 2), 2)
		gets, _, _, _ := store.counts()
		for _, v := range fleet {
			// each instance also has a local cache, so it does not call Cache.Get again
			require.Empty(t, harness.ReasonOf(t, v, good))
		}
		again, _, _, _ := store.counts()
		require.Equal(t, gets, again)
		require.Equal(t, xenaauth.CacheStatus{Misses: 2}, fleet[0].Status().Shared)
		require.Equal(t, xenaauth.CacheStatus{Hits: 2, HitRatio: 1}, fleet[4].Status().Shared)
	})
}

// The age of an introspection response in the shared cache counts from the introspection call. So
// an instance that reads the response from there uses it no longer than the instance that made the
// call.
func TestSharedCacheAges(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		store.returnsExpired = true // the shared cache now also returns values that have expired
		fleet := newFleet(t, issuer, store, 2, nil)
		token, bad := issuer.Opaque(xenaauthtest.Token{}), "nobody-issued-this"
		require.Empty(t, harness.ReasonOf(t, fleet[0], token))
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, fleet[0], bad))
		issuer.Revoke(token)
		calls := issuer.Calls(xenaauthtest.Introspection)

		time.Sleep(10*time.Second - 1)
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, fleet[1], bad))
		require.Equal(t, calls, issuer.Calls(xenaauthtest.Introspection))
		time.Sleep(time.Nanosecond)
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, fleet[1], bad))
		require.Equal(t, calls+1, issuer.Calls(xenaauthtest.Introspection))

		time.Sleep(50*time.Second - 1)
		require.Empty(t, harness.ReasonOf(t, fleet[1], token))
		require.Equal(t, calls+1, issuer.Calls(xenaauthtest.Introspection))
		time.Sleep(time.Nanosecond)
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, fleet[1], token), "the local copy lasted longer than the shared one")
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, newFleet(t, issuer, store, 1, nil)[0], token), "a replay")
	})
}

func TestSharedCacheTTL(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		for _, c := range []struct {
			lifetime, cacheTTL, negativeTTL, want time.Duration
			bad                                   bool
		}{
			{time.Hour, 0, 0, time.Minute, false},
			{time.Hour, 2 * time.Minute, 0, 2 * time.Minute, false},
			{20 * time.Second, 0, 0, 20 * time.Second, false},
			{time.Hour, 0, 0, 10 * time.Second, true},
			{time.Hour, 0, 3 * time.Second, 3 * time.Second, true},
			{time.Hour, 0, -1, 0, true},
		} {
			store := newStore()
			v := newFleet(t, issuer, store, 1, func(cfg *xenaauth.Config) {
				cfg.Introspection.CacheTTL, cfg.Introspection.NegativeTTL = c.cacheTTL, c.negativeTTL
			})[0]
			token := issuer.Opaque(xenaauthtest.Token{Lifetime: c.lifetime})
			if c.bad {
				token = "nobody-issued-this"
			}
			now := time.Now()
			_ = harness.ReasonOf(t, v, token)
			time.Sleep(time.Millisecond)
			_, sets, values, asking := store.counts()
			require.Equal(t, []int{1, 0}, []int{sets, asking}, "%+v", c)
			if c.want == 0 {
				require.Zero(t, values, "%+v", c)
				continue
			}
			got := store.waitForValues(t, 1)[0].until.Sub(now)
			require.LessOrEqual(t, got, c.want, "%+v", c)
			// exp is a whole number of seconds, so the result may be less than c.want by up to a
			// second
			require.Greater(t, got, c.want-time.Second, "%+v", c)
		}
	})
}

// When an instance reads an introspection response from the shared cache, it checks the response
// against its own configuration and its own revocations.
func TestSharedCacheMeetsThePolicy(t *testing.T) {
	t.Parallel()
	issuer, store := harness.NewIssuer(), newStore()
	token := issuer.Opaque(xenaauthtest.Token{Subject: "U1"})
	first := newFleet(t, issuer, store, 1, nil)[0]
	require.Empty(t, harness.ReasonOf(t, first, token))
	store.waitForValues(t, 1)
	other := newFleet(t, issuer, store, 1, func(c *xenaauth.Config) { c.Audiences = []string{"another"} })[0]
	require.Equal(t, xenaauth.ReasonAudience, harness.ReasonOf(t, other, token))
	third := newFleet(t, issuer, store, 1, nil)[0]
	harness.Revoke(t, third, xenaauth.Revocation{Subject: "U1"})
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, third, token))
	anybody := newFleet(t, issuer, store, 1, func(c *xenaauth.Config) {
		c.Audiences, c.AllowAnyAudience = nil, true
	})[0]
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
	// With AllowAnyAudience, each route must require a scope. This rule also applies to responses
	// from the shared cache.
	open := harness.Guard(harness.ValidatorFunc(anybody.Validate), xenaauth.AnyUser())
	require.Equal(t, 403, open.Get(t, token).Status)
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
}

// Introspection endpoints may send different responses for one token, and an endpoint may send
// different responses to different APIs. So two validators with different endpoints, or with a
// different Introspection.ClientID, share no responses.
func TestSharedCacheKeepsClientsApart(t *testing.T) {
	t.Parallel()
	issuer, store := harness.NewIssuer(), newStore()
	token := issuer.Opaque(xenaauthtest.Token{})
	require.Empty(t, harness.ReasonOf(t, newFleet(t, issuer, store, 1, nil)[0], token))
	store.waitForValues(t, 1)
	for name, change := range map[string]func(*xenaauth.Config){
		"client":   func(c *xenaauth.Config) { c.Introspection.ClientID = "another" },
		"endpoint": func(c *xenaauth.Config) { c.Introspection.Endpoint = "https://elsewhere.example/introspect" },
	} {
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, newFleet(t, issuer, store, 1, change)[0], token), name)
	}
}

func TestSharedCacheInvalidValues(t *testing.T) {
	t.Parallel()
	replaceTime := func(b []byte, when time.Time) []byte {
		binary.BigEndian.PutUint64(b[2:], uint64(when.UnixMilli()))
		return b
	}
	// replaceClaims replaces the claims in a value of the shared cache. The claims are the last
	// part of the value, after the issuer.
	replaceClaims := func(b []byte, text string) []byte {
		return append(b[:12+int(binary.BigEndian.Uint16(b[10:]))], text...)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":              func([]byte) []byte { return []byte{} },
		"a byte":             func([]byte) []byte { return []byte{2} },
		"random":             func([]byte) []byte { return bytes.Repeat([]byte{0xa5}, 300) },
		"header only":        func(b []byte) []byte { return b[:12] },
		"shorter header":     func(b []byte) []byte { return b[:11] },
		"no claims":          func(b []byte) []byte { return replaceClaims(b, "") },
		"truncated":          func(b []byte) []byte { return b[:len(b)-1] },
		"more at the end":    func(b []byte) []byte { return append(b, '}') },
		"older version":      func(b []byte) []byte { b[0] = 1; return b },
		"version 1":          func(b []byte) []byte { return append(append([]byte{1}, b[1:10]...), b[12+int(b[11]):]...) },
		"newer version":      func(b []byte) []byte { b[0] = 3; return b },
		"no issuer":          func(b []byte) []byte { return append(b[:10:10], append([]byte{0, 0}, b[12+int(b[11]):]...)...) },
		"another issuer":     func(b []byte) []byte { b[12]++; return b },
		"neither nor":        func(b []byte) []byte { b[1] = 2; return b },
		"neither, no text":   func(b []byte) []byte { b[1] = 2; return replaceClaims(b, "") },
		"inactive with text": func(b []byte) []byte { b[1] = 0; return b },
		"active without":     func(b []byte) []byte { return replaceClaims(b, `{"active":false,"sub":"U9"}`) },
		"active as a word":   func(b []byte) []byte { return replaceClaims(b, `{"active":"true","sub":"U9"}`) },
		"sub twice":          func(b []byte) []byte { return replaceClaims(b, `{"active":true,"sub":"U9","sub":"U1"}`) },
		"huge":               func(b []byte) []byte { return append(b, bytes.Repeat([]byte{' '}, 256<<10)...) },
		"replayed":           func(b []byte) []byte { return replaceTime(b, time.Now().Add(-time.Minute)) },
		"from the future":    func(b []byte) []byte { return replaceTime(b, time.Now().Add(31*time.Second)) },
		"from never":         func(b []byte) []byte { return replaceTime(b, time.Unix(-1<<40, 0)) },
		"from the end":       func(b []byte) []byte { return replaceTime(b, time.UnixMilli(1<<63-1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, store := harness.NewIssuer(), newStore()
			token := issuer.Opaque(xenaauthtest.Token{Subject: "U1"})
			require.Empty(t, harness.ReasonOf(t, newFleet(t, issuer, store, 1, nil)[0], token))
			store.waitForValues(t, 1)
			store.replaceValues(spoil)
			require.Equal(t, "U1", harness.UserOf(t, newFleet(t, issuer, store, 1, nil)[0], token).Subject())
			require.Equal(t, 2, issuer.Calls(xenaauthtest.Introspection))
		})
	}
}

// A value in the shared cache has a version of its format. Version 1 contains no issuer. Instances
// that write version 1 use other cache keys than instances that write the present version. So
// during an update of the service, no instance reads or replaces a value of the other version.
func TestSharedCacheOfOlderInstances(t *testing.T) {
	t.Parallel()
	issuer, store := harness.NewIssuer(), newStore()
	token := issuer.Opaque(xenaauthtest.Token{Subject: "U1"})
	var parts []byte
	for _, part := range []string{
		"shared introspection", issuer.URL(), issuer.URL() + "/connect/introspect",
		issuer.HybridConfig().Introspection.ClientID, token,
	} {
		parts = binary.BigEndian.AppendUint64(parts, uint64(len(part)))
		parts = append(parts, part...)
	}
	old := sha256.Sum256(parts)
	value := append([]byte{1, 1}, binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli()))...)
	value = append(value, `{"active":true,"sub":"U9","client_id":"app","aud":"testapi","scope":"testapi"}`...)
	store.values[old] = storedValue{value, time.Now().Add(time.Minute)}
	v := newFleet(t, issuer, store, 1, nil)[0]
	require.Equal(t, "U1", harness.UserOf(t, v, token).Subject())
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
	store.waitForValues(t, 2)
	require.Equal(t, value, store.values[old].value)
}

// If the clock of an instance is ahead, this instance writes introspection responses with a time in
// the future into the shared cache. The other instances still use these responses only for the
// usual time.
func TestSharedCacheClockAhead(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		store.returnsExpired = true
		token := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, newFleet(t, issuer, store, 1, nil)[0], token))
		store.waitForValues(t, 1)
		store.replaceValues(func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[2:], uint64(time.Now().Add(20*time.Second).UnixMilli()))
			return b
		})
		v := newFleet(t, issuer, store, 1, nil)[0]
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
		issuer.Revoke(token)
		store.replaceValues(func([]byte) []byte { return nil })
		time.Sleep(time.Minute)
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, token))
	})
}

func TestSharedCacheNeedsTTL(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*xenaauth.Config){
		"negative":         func(c *xenaauth.Config) { c.Introspection.CacheTTL = -1 },
		"AlwaysIntrospect": func(c *xenaauth.Config) { c.AlwaysIntrospect = true },
	} {
		cfg := harness.NewIssuer().HybridConfig()
		cfg.Introspection.Cache = newStore()
		require.NoError(t, cfg.Validate())
		change(&cfg)
		require.ErrorContains(t, cfg.Validate(), "Introspection.Cache", name)
	}
}
