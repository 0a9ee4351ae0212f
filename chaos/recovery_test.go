package chaos

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// An outage of the issuer may be of any length, and may end at any time between two retries. Two
// seconds after its end, the API must be able to check tokens. This is also true for an API that
// never had keys, and for opaque tokens.
func TestRecoveryAtAnyMoment(t *testing.T) {
	const outages = 20
	jwts, opaques := make([]time.Duration, outages), make([]time.Duration, outages)
	var all sync.WaitGroup
	for n := range outages {
		all.Go(func() {
			l := newLab(t)
			fresh, known := l.api(), l.api()
			known.expect(l.jwt("seen"), "200")
			jwt, opaque := l.jwt("first"), l.opaque("first")
			l.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503})
			// During the outage, clients keep sending requests. The requests cause the API's
			// retries, and keep the circuit breaker in the state in which it allows no calls.
			for end := time.Now().Add(time.Duration(n) * 100 * time.Millisecond); ; {
				fresh.expect(jwt, "503, Retry-After: 1")
				known.expect(opaque, "503, Retry-After: 1")
				if time.Now().After(end) {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			l.issuer.Heal()
			var both sync.WaitGroup
			both.Go(func() { jwts[n] = fresh.waitUntilAccepted("JWT", jwt, recoveryLimit) })
			both.Go(func() { opaques[n] = known.waitUntilAccepted("opaque token", opaque, recoveryLimit) })
			both.Wait()
		})
	}
	all.Wait()
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"JWTs", jwts}, {"opaque tokens", opaques}} {
		slices.Sort(of.times)
		t.Logf("%s pass again after %v at the least, %v in the middle, %v at the most",
			of.name, of.times[0], of.times[outages/2], of.times[outages-1])
	}
}

// A connection to the issuer may die while the API gets no requests. The API must not send its next
// call on this connection. The library's HTTP client pings HTTP/2 connections to find dead ones.
func TestAnIdleConnectionIsLookedAfter(t *testing.T) {
	l := newRelayLab(t, http2)
	if l.client != nil {
		t.Skip("the library's own client can't be told here what to trust")
	}
	a := l.api()
	a.expect(l.opaque("first"), "200")
	if l.relay.countOpenConnections() == 0 {
		t.Fatal("no connection is kept")
	}
	l.relay.killConnections(false)
	for start, allowed := time.Now(), allow(6*time.Second); l.relay.countOpenConnections() > 0; time.Sleep(20 * time.Millisecond) {
		if took := time.Since(start); allowed.exceeded(took) {
			t.Fatalf("a dead connection is kept for %v", took)
		}
	}
	allowed := allow(800 * time.Millisecond)
	if got := a.get(t.Context(), l.opaque("second")); got.status != 200 || allowed.exceeded(got.took) {
		t.Errorf("%v after %v", got, got.took)
	}
}
