package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// A reloadTest is a gateway in a bubble of [synctest], where time passes only while all goroutines
// wait. The gateway reads its table of routes from a file that the test changes.
type reloadTest struct {
	*reloader
	t    *testing.T
	file string
	out  *logSink
}

// runReloadTest runs a test with a gateway that reads the file with its table of routes again and
// again. The parameter interval is the time between two reads.
func runReloadTest(t *testing.T, interval time.Duration, test func(r *reloadTest)) {
	dir := t.TempDir()
	path := filepath.Join(dir, "xenagate.yaml")
	content := `listen: 127.0.0.1:0
tokens: {audiences: [testapi]}
upstreams: [{name: api, url: "http://127.0.0.1:1"}]
routes_file: routes.yaml
routes_interval: ` + interval.String() + "\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &reloadTest{t: t, file: filepath.Join(dir, "routes.yaml"), out: new(logSink)}
	r.write("rules: [{route: /old, access: public}]\n")
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		cfg, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		output := newLogBuffer(r.out)
		g, err := newGateway(cfg, output)
		if err != nil {
			t.Fatal(err)
		}
		r.reloader = g.reloader
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); r.watchRoutes(ctx) }()
		test(r)
		cancel()
		<-ended
		output.close(time.Hour)
	})
}

func (r *reloadTest) write(content string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reloadTest.letPass lets the time d pass in the bubble of the test, and waits until the gateway
// has reacted.
func (r *reloadTest) letPass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// reloadTest.wantPublic requires that the current table of routes has a public rule for path if
// public is true, and no public rule for path otherwise.
func (r *reloadTest) wantPublic(public bool, path string) {
	r.t.Helper()
	rule, err := r.tables.current.Load().Table.Find(httptest.NewRequest(http.MethodGet, path, nil))
	if got := err == nil && rule.Access.IsPublic(); got != public {
		r.t.Errorf("%s: public %v", path, got)
	}
}

func (r *reloadTest) logged(words string) int {
	r.out.mu.Lock()
	defer r.out.mu.Unlock()
	return strings.Count(r.out.text.String(), words)
}

const (
	half  = "rules:\n  - {route: /new/, access: public}\n"
	whole = half + "  - {route: /new/closed, access: deny}\n"
)

// A program may be writing the file with the table of routes while the gateway reads it, and half a
// table can be valid. The gateway does not use a file that is only half written.
func TestHalfWrittenRoutes(t *testing.T) {
	const interval = time.Second
	runReloadTest(t, interval, func(r *reloadTest) {
		for i := range 30 {
			r.write("rules:\n  - {route: /ne")
			r.letPass(interval)
			r.write(half + strings.Repeat("#", i))
			r.letPass(interval)
			r.wantPublic(true, "/old")
			r.wantPublic(false, "/new/x")
		}
		if n := r.logged("routes not taken"); n > 0 {
			t.Errorf("%d half files were read", n)
		}
		r.write(whole)
		r.letPass(interval)
		// The gateway has read the new file with the routes once. Before it uses the file, a second
		// read must return the same content.
		r.wantPublic(true, "/old")
		r.letPass(interval)
		r.wantPublic(true, "/new/x")
		r.wantPublic(false, "/new/closed")
		r.wantPublic(false, "/old")
	})
}

// SIGHUP makes the gateway read the file with the table of routes again. Even then, the gateway
// does not use a file that is being written.
func TestHalfWrittenRoutesAndSIGHUP(t *testing.T) {
	runReloadTest(t, time.Hour, func(r *reloadTest) {
		r.write(half)
		reloaded := make(chan struct{})
		go func() { defer close(reloaded); r.reload() }()
		synctest.Wait() // by now, the gateway has read the file with the routes once
		r.write(whole)
		<-reloaded
		r.letPass(logDelay)
		if n := r.logged("routes not taken yet"); n != 1 {
			t.Errorf("it is told %d times that they are being written", n)
		}
		r.wantPublic(true, "/old")
		r.wantPublic(false, "/new/x")
		r.reload()
		r.wantPublic(true, "/new/x")
		r.wantPublic(false, "/new/closed")
	})
}

// A rule can require a bound token although the configuration turns off DPoP and client
// certificates. Then no client can prove that it has the key of its token, so the rule refuses
// every request. The log says so when the table of routes is put in force.
func TestReloadedRouteThatNeedsAProof(t *testing.T) {
	runReloadTest(t, time.Second, func(r *reloadTest) {
		r.write("rules:\n  - {route: /new, access: public}\n  - {route: /pay, access: user, bound: true}\n")
		r.letPass(2 * time.Second)
		r.letPass(logDelay)
		r.wantPublic(true, "/new")
		if n := r.logged("routes.yaml:3: rule 2 (/pay): requires a bound token, and possession is off"); n != 1 {
			t.Errorf("it is told %d times", n)
		}
	})
}

// A mistake in the table of routes is logged once. The gateway logs again only if the file with the
// table has changed and still has a mistake.
func TestRoutesThatCanNotBeUsed(t *testing.T) {
	const interval = time.Second
	runReloadTest(t, interval, func(r *reloadTest) {
		for i, content := range []string{"rules: [", "rules: [{route: /x}]"} {
			r.write(content)
			r.letPass(10 * interval)
			if n := r.logged("routes not taken, the ones before stay in force"); n != i+1 {
				t.Errorf("it is told %d times, want %d", n, i+1)
			}
			r.wantPublic(true, "/old")
		}
	})
}
