package proxies

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestBigHeaders sends requests with very long tokens, and with tokens of users who have many
// scopes, through each proxy.
func TestBigHeaders(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		// The claim named "filler" contains size bytes. A JWT contains its claims in base64, so the
		// token is a third longer than this claim.
		for _, size := range []int{5 << 10, 8 << 10, 11 << 10} {
			token := e.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"filler": strings.Repeat("x", size)}})
			if got := e.get(t, "/api/a", bearer(token)).readArrivedRequest(t); got.User != "104711" {
				t.Errorf("a token of %d bytes: user %q", len(token), got.User)
			}
		}
		long := e.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"filler": strings.Repeat("x", 13<<10)}})
		if a := e.get(t, "/api/a", bearer(long)); a.Status/100 != 4 {
			t.Errorf("a token of %d bytes: %d", len(long), a.Status)
		}
		// with 200 scopes, the header fields in which xenagate describes the user are longer than 3
		// KiB, so xenagate refuses the request
		for n, status := range map[int]int{120: 200, 200: 403} {
			scopes := []string{"testapi"}
			for i := range n {
				scopes = append(scopes, fmt.Sprintf("scope-number-%07d", i))
			}
			a := e.get(t, "/api/a", bearer(e.issuer.JWT(xenaauthtest.Token{Scopes: scopes})))
			if a.Status != status {
				t.Errorf("%d scopes: %d, want %d", n, a.Status, status)
			} else if status == 200 && a.readArrivedRequest(t).Scopes != strings.Join(scopes, " ") {
				t.Errorf("%d scopes: %s", n, a.readArrivedRequest(t).Scopes)
			}
		}
	})
}

// TestConcurrent sends 1000 requests at the same time through each proxy. They come from 20 users
// and from clients without a token.
func TestConcurrent(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		tokens := make([]string, 20)
		for i := range tokens {
			tokens[i] = bearer(e.issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprintf("user%d", i), Scopes: []string{"testapi"}}))
		}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 1000 {
			wg.Go(func() {
				<-start
				target, want, lines := fmt.Sprintf("/api/%d", i), 200, []string{tokens[i%20]}
				switch i % 10 {
				case 8:
					target, want = fmt.Sprintf("/admin/%d", i), 403
				case 9:
					want, lines = 401, nil
				}
				a, err := e.trySend("GET", target, "", lines...)
				if err != nil || a.Status != want {
					t.Errorf("%s: %d, %v, want %d", target, a.Status, err, want)
				} else if want == 200 && (!strings.Contains(a.Body, fmt.Sprintf(`"User":"user%d"`, i%20)) ||
					!strings.Contains(a.Body, `"URI":"`+target+`"`)) {
					t.Errorf("%s by user%d: %s", target, i%20, a.Body)
				}
			})
		}
		close(start)
		wg.Wait()
	})
}

// TestRestart stops xenagate and starts it again while requests arrive. While xenagate is stopped,
// no request may pass. When xenagate runs again, each new request with a token must pass. A request
// without a token may never pass.
func TestRestart(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		token := bearer(e.issuer.JWT(xenaauthtest.Token{}))
		// phase says what happens: in phase 0 xenagate runs, in phase 1 it is stopped and starts,
		// in phase 2 it runs again, and in phase 3 the test ends
		var phase, before, during, after atomic.Int64
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				for phase.Load() < 3 {
					begun := phase.Load()
					lines := []string{token}
					if i%4 == 0 {
						lines = nil
					}
					a, err := e.trySend("GET", "/api/a", "", lines...)
					passed := err == nil && a.Status == 200
					if passed && (lines == nil || begun == 1 && phase.Load() == 1) {
						t.Errorf("phase %d, %q: passed", begun, lines)
					}
					if !passed && lines != nil && begun == 2 {
						t.Errorf("phase 2, with a token: %d, %v", a.Status, err)
					}
					switch {
					case begun == 0 && passed:
						before.Add(1)
					case begun == 1 && !passed:
						during.Add(1)
					case begun == 2 && passed:
						after.Add(1)
					}
				}
			})
		}
		defer wg.Wait()
		defer phase.Store(3)
		waitUntil(t, "requests pass", func() bool { return before.Load() > 20 })
		e.gate.stop()
		phase.Store(1)
		waitUntil(t, "requests are refused", func() bool { return during.Load() > 20 })
		e.gate.start(t)
		phase.Store(2)
		waitUntil(t, "requests pass again", func() bool { return after.Load() > 20 })
	})
}

// TestSlowIssuer uses an issuer that responds late, shortly before the timeout of xenagate. The
// proxy must wait until xenagate responds.
func TestSlowIssuer(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		t.Parallel()
		// after this request, xenagate has the metadata of the issuer
		e.get(t, "/api/a", bearer(e.issuer.Opaque(xenaauthtest.Token{}))).readArrivedRequest(t)
		e.issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Delay: 4 * time.Second})
		defer e.issuer.Heal()
		e.get(t, "/api/a", bearer(e.issuer.Opaque(xenaauthtest.Token{}))).readArrivedRequest(t)
	})
}

// TestFrozen replaces xenagate by a server that accepts requests and never responds. After the
// timeout in its configuration, which is shorter in this test, the proxy must refuse the client's
// requests.
func TestFrozen(t *testing.T) {
	useShortTimeouts = true
	defer func() { useShortTimeouts = false }()
	eachProxy(t, func(t *testing.T, e *env) {
		if e.statusIfSilent == 0 {
			t.Skip("its timeout is its own")
		}
		t.Parallel()
		e.gate.stop()
		e.gate.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		e.gate.start(t)
		a := e.get(t, "/api/a", bearer(e.issuer.JWT(xenaauthtest.Token{})))
		if want := e.statusIfSilent; a.Status != want {
			t.Errorf("%d, want %d", a.Status, want)
		}
		if e.service.n.Load() > 0 {
			t.Error("it has reached the service")
		}
	})
}
