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
	// The field lab is a function that makes the test environment in which the fault is tried; nil
	// means the function newLabOf
	lab func(testing.TB, protocol) *lab
	// begin starts the fault and end ends it; if end is nil, the function heal ends the fault
	begin, end func(*lab)
	// retry is the number of seconds in the header field Retry-After of the issuer's responses; 0
	// means that the responses do not have this field
	retry  int
	spares bool // spares means that introspection works during the fault
	// works means that only connections that were opened before the fault fail: a call to the
	// issuer on a new connection succeeds
	works bool
}

// recovery is the longest time that may pass between the end of a fault and the first request that
// the API accepts again.
const recovery = 2 * time.Second

// waitless is a time limit for requests that need no call to the issuer. These requests take less
// time even with the race detector on two busy cores. So a request that takes longer has waited for
// the issuer.
const waitless = time.Second

func heal(l *lab) {
	l.issuer.Heal()
	l.issuer.SetJWKS(nil)
	l.issuer.SetMetadata(l.metadata())
	l.gate.open()
}

// While the issuer fails, tokens that can be checked without the issuer get the same responses as
// before. All other tokens get 503 and never 401. When the issuer works again, these other tokens
// can be checked without a restart of the API.
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
			t.Cleanup(func() { rows[n] = merge(both[0], both[1]) })
		}
	})
	table(t, "faults", []string{
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

// The function merge returns the row for one fault in the table of docs/reliability.md. It merges
// the results over HTTP/1.1 and over HTTP/2. It returns nil if one of the protocols was not tested.
func merge(a, b []string) []string {
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
	make := f.lab
	if make == nil {
		make = newLabOf
	}
	l := make(t, p)
	known, fresh := l.api(), l.api()
	seen, cached := l.jwt("seen"), l.opaque("cached")
	known.is(seen, "200")
	known.is(cached, "200")
	if l.relay != nil {
		l.fill(known)
	}

	f.begin(l)
	over := new(atomic.Bool)
	var crowd, victims sync.WaitGroup
	crowd.Go(func() { keepAsking(known, over, "opaque token, cached", func() string { return cached }) })
	crowd.Go(func() { keepAsking(known, over, "JWT, seen", func() string { return seen }) })
	crowd.Go(func() { keepAsking(known, over, "JWT, not seen", func() string { return l.jwt("unseen") }) })

	outage, most, back := "503, Retry-After: 1", recovery, fmt.Sprintf("within %v", recovery)
	if f.retry > 0 {
		outage = upTo(f.retry)
		most += time.Duration(f.retry) * time.Second
		back += " after that"
	}
	first, uncached := l.jwt("first"), l.opaque("uncached")
	opaque := outage
	if f.spares {
		opaque = "200"
	}
	if f.works {
		outage, opaque = "200", "200"
	}
	allowed, began := allow(recovery), time.Now()
	victims.Go(func() { fresh.is(first, outage); fresh.is(first, outage) })
	victims.Go(func() { known.is(uncached, opaque); known.is(l.opaque("uncached, too"), opaque) })
	if !f.works {
		// The API in the variable known already has the keys of the issuer. But this token names an
		// unknown key, so the API tries to fetch the key set again.
		victims.Go(func() { known.is(l.stranger("nobody's"), outage) })
	}
	victims.Wait()
	if took := time.Since(began); f.works && allowed.exceeded(took) {
		t.Errorf("it took %v, want %v", took, recovery)
	}

	if f.end == nil {
		f.end = heal
	}
	f.end(l)
	var jwt, asked time.Duration
	victims.Go(func() { jwt = fresh.until("JWT", first, most) })
	victims.Go(func() { asked = known.until("opaque token", uncached, most) })
	victims.Wait()
	over.Store(true)
	crowd.Wait()
	key := known.until("JWT of a new key", rotated(l), most)
	t.Logf("well again after: JWT %v, opaque token %v; new key after %v", jwt, asked, key)
	if t.Failed() {
		back = "no"
	}
	return []string{f.name, "200", outage, "200", opaque, back}
}

// keepAsking sends requests with valid tokens to the API until the function over returns true. All
// requests must get 200.
func keepAsking(a *api, over *atomic.Bool, who string, token func() string) {
	var longest time.Duration
	allowed, n := allow(waitless), 0
	for ; !over.Load(); n++ {
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

// The function rotated makes the issuer publish a new key, and returns a token that was signed with
// the new key.
func rotated(l *lab) string {
	l.issuer.Rotate()
	return l.issuer.JWT(xenaauthtest.Token{Subject: "rotated"})
}
