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

// The type reloading is a gateway in a bubble of [synctest]. The gateway reads its table of routes
// from a file that the test changes.
type reloading struct {
	*reloader
	t    *testing.T
	file string
	out  *sink
}

// The function watched runs a test with a gateway that reads the file with its table of routes
// again whenever the time interval has passed.
func watched(t *testing.T, interval time.Duration, test func(r *reloading)) {
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
	r := &reloading{t: t, file: filepath.Join(dir, "routes.yaml"), out: new(sink)}
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

func (r *reloading) write(content string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reloading.pass lets the time d of the bubble pass, and waits until the gateway has reacted.
func (r *reloading) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// reloading.is requires that the current table of routes has a public rule for path if public is
// true, and no public rule for path otherwise.
func (r *reloading) is(public bool, path string) {
	r.t.Helper()
	rule, err := r.tables.current.Load().Table.Find(httptest.NewRequest(http.MethodGet, path, nil))
	if got := err == nil && rule.Access.IsPublic(); got != public {
		r.t.Errorf("%s: public %v", path, got)
	}
}

func (r *reloading) logged(words string) int {
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
	watched(t, interval, func(r *reloading) {
		for i := range 30 {
			r.write("rules:\n  - {route: /ne")
			r.pass(interval)
			r.write(half + strings.Repeat("#", i))
			r.pass(interval)
			r.is(true, "/old")
			r.is(false, "/new/x")
		}
		if n := r.logged("routes not taken"); n > 0 {
			t.Errorf("%d half files were read", n)
		}
		r.write(whole)
		r.pass(interval)
		// The gateway has read the new file with the routes once. Before it uses the file, a second
		// read must return the same content.
		r.is(true, "/old")
		r.pass(interval)
		r.is(true, "/new/x")
		r.is(false, "/new/closed")
		r.is(false, "/old")
	})
}

// SIGHUP makes the gateway read the file with the table of routes again. Even then, the gateway
// does not use a file that is being written.
func TestHalfWrittenRoutesAndSIGHUP(t *testing.T) {
	watched(t, time.Hour, func(r *reloading) {
		r.write(half)
		reloaded := make(chan struct{})
		go func() { defer close(reloaded); r.reload() }()
		synctest.Wait() // by now, the gateway has read the file with the routes once
		r.write(whole)
		<-reloaded
		r.pass(logDelay)
		if n := r.logged("routes not taken yet"); n != 1 {
			t.Errorf("it is told %d times that they are being written", n)
		}
		r.is(true, "/old")
		r.is(false, "/new/x")
		r.reload()
		r.is(true, "/new/x")
		r.is(false, "/new/closed")
	})
}

// If possession is off, a rule that requires a bound token refuses every request. The log says so
// when the table is put in force.
func TestReloadedRouteThatNeedsAProof(t *testing.T) {
	watched(t, time.Second, func(r *reloading) {
		r.write("rules:\n  - {route: /new, access: public}\n  - {route: /pay, access: user, bound: true}\n")
		r.pass(2 * time.Second)
		r.pass(logDelay)
		r.is(true, "/new")
		if n := r.logged("routes.yaml:3: rule 2 (/pay): requires a bound token, and possession is off"); n != 1 {
			t.Errorf("it is told %d times", n)
		}
	})
}

// A mistake in the file is logged once. It is logged again only if the file has changed and still
// has a mistake.
func TestRoutesThatCanNotBeUsed(t *testing.T) {
	const interval = time.Second
	watched(t, interval, func(r *reloading) {
		for i, content := range []string{"rules: [", "rules: [{route: /x}]"} {
			r.write(content)
			r.pass(10 * interval)
			if n := r.logged("routes not taken, the ones before stay in force"); n != i+1 {
				t.Errorf("it is told %d times, want %d", n, i+1)
			}
			r.is(true, "/old")
		}
	})
}
