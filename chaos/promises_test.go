package chaos

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// An issuer that is down does not make the API slow. After a few failed calls to the issuer,
// requests get 503 without a call to the issuer. Once a second, one call tests whether the issuer
// works again.
func TestBreaker(t *testing.T) {
	l := newLab(t)
	a := l.api()
	a.expect(l.jwt("warm"), "200")
	l.issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 503})
	for n := 0; a.validator.Status().Introspection == "closed"; n++ {
		if n == 5 {
			t.Fatal("the breaker doesn't open")
		}
		a.expect(l.opaque("any"), "503, Retry-After: 1")
	}
	l.issuer.ResetCalls()
	const asked = 200
	start := time.Now()
	for range asked {
		a.expect(l.opaque("any"), "503, Retry-After: 1")
	}
	seconds := int(time.Since(start)/time.Second) + 1
	if calls := l.issuer.Calls(xenaauthtest.Introspection); calls > seconds {
		t.Errorf("%d of %d questions went to the dead issuer in %d s", calls, asked, seconds)
	}
	l.issuer.Heal()
	took := a.waitUntilAccepted("opaque token", l.opaque("after"), recoveryLimit)
	t.Logf("recovered after %v", took)
	if s := a.validator.Status().Introspection; s != "closed" {
		t.Errorf("the breaker is %s", s)
	}
}

// If the issuer sends the header field Retry-After, the API's responses to clients have this field
// too. The test covers the issuer's responses to introspection calls and to fetches of the
// metadata.
func TestRetryAfterIsPassedOn(t *testing.T) {
	for _, c := range []struct {
		says string
		told int
	}{
		{"7", 7}, {"0", 1}, {"-3", 1}, {"soon", 1}, {"86400", 60},
		{time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), 1},
	} {
		t.Run(c.says, func(t *testing.T) {
			l := newLab(t)
			fresh, known := l.api(), l.api()
			known.expect(l.jwt("warm"), "200")
			l.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 429, Header: map[string][]string{"Retry-After": {c.says}}})
			want := unavailableUpTo(c.told)
			fresh.expect(l.jwt("first"), want)
			// This API remembers that its fetch of the metadata failed, so the next request causes
			// no second fetch.
			fresh.expect(l.jwt("second"), want)
			known.expect(l.opaque("first"), want)
		})
	}
}

// The issuer takes 5 s for each response. Requests that need no call to the issuer do not wait,
// even while the test forces the API to fetch the key set again and again.
func TestSlowIssuer(t *testing.T) {
	l := newLab(t)
	a := l.api()
	seen, cached := l.jwt("seen"), l.opaque("cached")
	a.expect(seen, "200")
	a.expect(cached, "200")
	unseen := make([]string, 200)
	for n := range unseen {
		unseen[n] = l.jwt(fmt.Sprint(n))
	}
	l.issuer.Slow(5 * time.Second)
	over := new(atomic.Bool)
	var waiting sync.WaitGroup
	for n := range 8 {
		waiting.Go(func() {
			for k := 0; !over.Load(); k++ {
				a.get(t.Context(), l.jwtOfUnknownKey(fmt.Sprint(n, k)))
			}
		})
	}
	var slowest time.Duration
	for _, token := range unseen {
		for _, token := range []string{token, seen, cached} {
			got := a.get(t.Context(), token)
			slowest = max(slowest, got.took)
			if got.status != 200 {
				t.Fatal(got)
			}
		}
	}
	over.Store(true)
	endFault(l)
	waiting.Wait()
	t.Logf("%d requests, the slowest took %v", 3*len(unseen), slowest)
	if slowest > localLimit/2 {
		t.Errorf("a request took %v", slowest)
	}
}

// When the issuer fails or recovers, the API writes one log record for each change, whatever the
// number of requests.
func TestChangesAreLoggedOnce(t *testing.T) {
	l := newLab(t)
	lines := new(logLines)
	logged := func(c *xenaauth.Config) { c.Logger = slog.New(slog.NewTextHandler(lines, nil)) }
	a := l.api(logged)
	a.expect(l.jwt("warm"), "200")
	for round := 1; round <= 2; round++ {
		l.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503})
		var crowd sync.WaitGroup
		for n := range 16 {
			crowd.Go(func() {
				for range 10 {
					a.expect(l.opaque("any"), "503, Retry-After: 1")
				}
				a.expect(l.jwtOfUnknownKey(fmt.Sprint(n)), "503, Retry-After: 1")
			})
		}
		crowd.Wait()
		l.issuer.Heal()
		a.waitUntilAccepted("opaque token", l.opaque("after"), recoveryLimit)
		a.waitUntilAccepted("JWT of a new key", rotateKey(l), recoveryLimit)
		for _, what := range []string{"what=introspection", `what="key set"`} {
			if n := lines.has(what); n != 2*round {
				t.Errorf("round %d: %d lines with %s, want two a round: %q", round, n, what, lines.lines)
			}
		}
	}
	// Only some of the fetches of the key set also fetch the metadata of the issuer. So there are
	// few log records about the metadata.
	if n := lines.has("what=metadata"); n > 4 {
		t.Errorf("%d lines about the metadata: %q", n, lines.lines)
	}
	// The issuer's name is a URL. A log record may contain it, because every token contains it too.
	// A record must not contain any other URL or address.
	for _, line := range lines.lines {
		if strings.Contains(strings.ReplaceAll(line, " issuer="+l.issuer.URL(), ""), l.faultProxy.addr) {
			t.Errorf("the record contains an address: %s", line)
		}
	}
}
