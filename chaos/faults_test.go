package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A fault is one way in which the issuer fails.
type fault struct {
	name string
	// newLab makes the test environment for the tests of the fault; if newLab is nil, the function
	// newLabOf makes it
	newLab func(testing.TB, protocol) *lab
	// beginFault starts the fault, and stopFault ends it; if stopFault is nil, the function
	// endFault ends the fault
	beginFault, stopFault func(*lab)
	// retryAfter is the number of seconds in the header field Retry-After of the issuer's
	// responses; 0 means that the responses do not have this field
	retryAfter int
	// introspectionWorks means that the introspection endpoint of the issuer works during the fault
	introspectionWorks bool
	// newConnectionsWork means that the API can open new connections to the issuer and use them
	// during the fault: only the connections that were open before fail
	newConnectionsWork bool
}

// recoveryLimit is the longest time that may pass between the end of a fault and the first request
// that the API accepts again.
const recoveryLimit = 2 * time.Second

// localLimit is a time limit for requests that need no call to the issuer. These requests take less
// time even with the race detector on two busy cores. So a request that takes longer has waited for
// the issuer.
const localLimit = time.Second

func endFault(l *lab) {
	l.issuer.Heal()
	l.issuer.SetJWKS(nil)
	l.issuer.SetMetadata(l.metadata())
	l.faultProxy.open()
}

// While the issuer fails, tokens that can be checked without the issuer get the same responses as
// before. All other tokens get 503 and never 401, unless the part of the issuer that they need
// still works. When the issuer works again, these other tokens can be checked without a restart of
// the API.
func TestFaults(t *testing.T) {
	faults := allFaults()
	rows := make([][]string, len(faults))
	t.Run("fault", func(t *testing.T) {
		for n, f := range faults {
			rows[n] = make([]string, 6)
			var both [2][]string
			for i, p := range []protocol{http1, http2} {
				t.Run(f.name+"/"+p.String(), func(t *testing.T) {
					t.Parallel()
					both[i] = f.run(t, p)
				})
			}
			t.Cleanup(func() { rows[n] = mergeResults(both[0], both[1]) })
		}
	})
	checkTable(t, "faults", []string{
		"the issuer's fault", "JWT, keys known", "JWT, no keys known", "opaque token, response cached",
		"opaque token, new", "recovery",
	}, rows)
}

func allFaults() (all []fault) {
	all = append(all, networkFaults()...)
	all = append(all, deadFaults()...)
	all = append(all, tlsFaults()...)
	all = append(all, answerFaults()...)
	return append(all, keySetFaults()...)
}

// mergeResults returns the row for one fault in the table of docs/reliability.md. The row contains
// the results over HTTP/1.1 and over HTTP/2. If one of the protocols was not tested, mergeResults
// returns nil.
func mergeResults(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	row := slices.Clone(a)
	for i := range row {
		if a[i] != b[i] {
			row[i] = a[i] + " (HTTP/2: " + b[i] + ")"
		}
	}
	return row
}

func (f fault) run(t *testing.T, p protocol) []string {
	make := f.newLab
	if make == nil {
		make = newLabOf
	}
	l := make(t, p)
	known, fresh := l.api(), l.api()
	seen, cached := l.jwt("seen"), l.opaque("cached")
	known.expect(seen, "200")
	known.expect(cached, "200")
	if l.relay != nil {
		l.openManyConnections(known)
	}

	f.beginFault(l)
	over := new(atomic.Bool)
	var crowd, victims sync.WaitGroup
	crowd.Go(func() { keepAsking(known, over, "opaque token, cached", func() string { return cached }) })
	crowd.Go(func() { keepAsking(known, over, "JWT, seen", func() string { return seen }) })
	crowd.Go(func() { keepAsking(known, over, "JWT, not seen", func() string { return l.jwt("unseen") }) })

	outage, most, back := "503, Retry-After: 1", recoveryLimit, fmt.Sprintf("within %v", recoveryLimit)
	if f.retryAfter > 0 {
		outage = unavailableUpTo(f.retryAfter)
		most += time.Duration(f.retryAfter) * time.Second
		back += " after that"
	}
	first, uncached := l.jwt("first"), l.opaque("uncached")
	opaque := outage
	if f.introspectionWorks {
		opaque = "200"
	}
	if f.newConnectionsWork {
		outage, opaque = "200", "200"
	}
	allowed, began := allow(recoveryLimit), time.Now()
	victims.Go(func() { fresh.expect(first, outage); fresh.expect(first, outage) })
	victims.Go(func() { known.expect(uncached, opaque); known.expect(l.opaque("uncached, too"), opaque) })
	if !f.newConnectionsWork {
		// This API already has the keys of the issuer. But the token names an unknown key, so the
		// API tries to fetch the key set again.
		victims.Go(func() { known.expect(l.jwtOfUnknownKey("nobody's"), outage) })
	}
	victims.Wait()
	if took := time.Since(began); f.newConnectionsWork && allowed.exceeded(took) {
		t.Errorf("it took %v, want %v", took, recoveryLimit)
	}

	if f.stopFault == nil {
		f.stopFault = endFault
	}
	f.stopFault(l)
	var jwt, asked time.Duration
	victims.Go(func() { jwt = fresh.waitUntilAccepted("JWT", first, most) })
	victims.Go(func() { asked = known.waitUntilAccepted("opaque token", uncached, most) })
	victims.Wait()
	over.Store(true)
	crowd.Wait()
	key := known.waitUntilAccepted("JWT of a new key", rotateKey(l), most)
	t.Logf("well again after: JWT %v, opaque token %v; new key after %v", jwt, asked, key)
	if t.Failed() {
		back = "no"
	}
	return []string{f.name, "200", outage, "200", opaque, back}
}

// keepAsking sends requests with valid tokens to the API until stop is true. All requests must get
// 200, and none may take longer than localLimit.
func keepAsking(a *api, stop *atomic.Bool, who string, token func() string) {
	var longest time.Duration
	allowed, n := allow(localLimit), 0
	for ; !stop.Load(); n++ {
		got := a.get(context.Background(), token())
		longest = max(longest, got.took)
		if got.status != 200 {
			a.t.Errorf("%s: request %d: %v", who, n, got)
			return
		}
		// The pause between two requests keeps the load of the machine low, so that the test
		// measures how long requests wait for the issuer and not how busy the machine is.
		time.Sleep(5 * time.Millisecond)
	}
	a.t.Logf("%s: %d requests, all 200, the slowest %v", who, n, longest)
	if allowed.exceeded(longest) {
		a.t.Errorf("%s: one request took %v", who, longest)
	}
}

// rotateKey makes the issuer publish a new key, and returns a token that was signed with the new
// key.
func rotateKey(l *lab) string {
	l.issuer.Rotate()
	return l.issuer.JWT(xenaauthtest.Token{Subject: "rotated"})
}
