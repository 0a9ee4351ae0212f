package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The table of routes changes while requests arrive: by SIGHUP, and because the gateway notices
// that the file has changed. No request is lost. Each request is decided by the old table or the
// new one. After a request by the new table, no request is decided by the old one.
func TestReloadUnderLoad(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	table := func(scope string) string {
		return "rules:\n  - {route: GET /a, scopes: [" + scope + "]}\n  - {route: GET /b, access: public}\n"
	}
	p := startGateway(t, `listen: 127.0.0.1:0
tokens: {issuer: "`+issuer.URL()+`", audiences: [testapi]}
upstreams: [{name: api, url: "`+service.URL+`"}]
admin: {listen: 127.0.0.1:0}
routes_file: routes.yaml
routes_interval: 20ms
`, map[string]string{"routes.yaml": table("testapi")})
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	ask := func(path string) int {
		r, _ := http.NewRequest("GET", p.url("proxy", path), nil)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	var counts [600]atomic.Int64
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				counts[ask("/a")].Add(1)
				if status := ask("/b"); status != 200 {
					t.Errorf("what both tables allow: %d", status)
				}
			}
		})
	}
	want := 200
	for i := range 10 {
		scope := "admin"
		if want == 403 {
			scope = "testapi"
		}
		want = 603 - want
		p.write("routes.yaml", table(scope))
		if i%2 == 0 {
			p.signal(syscall.SIGHUP)
		}
		eventually(t, fmt.Sprintf("%d for /a", want), func() bool { return ask("/a") == want })
		for range 5 {
			if status := ask("/a"); status != want {
				t.Fatalf("the table before is back: %d", status)
			}
		}
	}
	// If a new table of routes has a mistake, the mistake is logged, and the old table stays in
	// force.
	p.write("routes.yaml", "rules:\n  - {route: GET /a, acces: public}\n")
	p.signal(syscall.SIGHUP)
	p.waitForLog("routes not taken", "routes.yaml:2", "acces")
	if status := ask("/a"); status != want {
		t.Errorf("a table with a mistake changed something: %d", status)
	}
	stop.Store(true)
	wg.Wait()
	if counts[200].Load() == 0 || counts[403].Load() == 0 {
		t.Error("there was no load")
	}
	for status := range counts {
		if n := counts[status].Load(); n > 0 && status != 200 && status != 403 {
			t.Errorf("%d requests were answered %d", n, status)
		}
	}
	m := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body
	if !strings.Contains(m, `xenagate_reload_success{what="routes"} 0`) ||
		!strings.Contains(m, `xenagate_reloads_total{result="taken",what="routes"} 10`) {
		t.Error("the reloads aren't counted")
	}
}

// If the configuration file contains the table of routes itself, the routes in it can change
// without a restart. If other keys of the file change, the log says that a restart is necessary.
func TestReloadOfTheConfiguration(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	config := commonConfig(issuer, service)
	p := startGateway(t, config, nil)
	if a := sendRequest(t, "GET", p.url("proxy", "/new"), ""); a.status != 403 {
		t.Fatal(a.status)
	}
	config += "    - {route: /new, access: public}\n"
	p.write("xenagate.yaml", config)
	p.signal(syscall.SIGHUP)
	eventually(t, "the new route", func() bool { return sendRequest(t, "GET", p.url("proxy", "/new"), "").status == 200 })
	if p.lines("needs a restart") > 0 {
		t.Error("nothing else has changed")
	}
	p.write("xenagate.yaml", "authorization: forward\n"+config)
	p.signal(syscall.SIGHUP)
	p.waitForLog("needs a restart")
	p.write("xenagate.yaml", "rules")
	p.signal(syscall.SIGHUP)
	p.waitForLog("routes not taken")
	if a := sendRequest(t, "GET", p.url("proxy", "/new"), ""); a.status != 200 {
		t.Error(a.status)
	}
}

// During the drain (the orderly end of the gateway), requests that have begun are finished, and
// /readyz responds with 503.
func TestShutdownDrains(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {drain_delay: 100ms}\n"+commonConfig(issuer, service), nil)
	reached, release := make(chan struct{}), make(chan struct{})
	service.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open/slow" {
			close(reached)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "done")
	})
	if a := sendRequest(t, "GET", p.url("admin", "/readyz"), ""); a.status != 200 {
		t.Fatal(a.status)
	}
	answered := make(chan answer, 1)
	go func() { answered <- sendRequest(t, "GET", p.url("proxy", "/open/slow"), "") }()
	<-reached
	p.signal(syscall.SIGTERM)
	p.waitForLog("draining")
	if a := sendRequest(t, "GET", p.url("admin", "/readyz"), ""); a.status != 503 || !strings.Contains(a.body, "draining") {
		t.Errorf("%d %s", a.status, a.body)
	}
	eventually(t, "no more connections", func() bool {
		_, err := http.Get(p.url("proxy", "/open/x"))
		return err != nil
	})
	if a := sendRequest(t, "GET", p.url("admin", "/healthz"), ""); a.status != 200 {
		t.Errorf("it is alive still: %d", a.status)
	}
	close(release)
	if a := <-answered; a.status != 200 || a.body != "done" {
		t.Errorf("%d %s", a.status, a.body)
	}
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestShutdownHasAnEnd(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	for name, c := range map[string]struct {
		drain  string
		second bool
	}{"timeout": {"200ms", false}, "second signal": {"5m", true}} {
		t.Run(name, func(t *testing.T) {
			p := startGateway(t, "timeouts: {drain: "+c.drain+"}\n"+commonConfig(issuer, service), nil)
			reached, gone := make(chan struct{}), make(chan struct{})
			service.answers(func(_ http.ResponseWriter, r *http.Request) {
				close(reached)
				<-r.Context().Done()
				close(gone)
			})
			go func() {
				if res, err := client.Get(p.url("proxy", "/open/x")); err == nil {
					_ = res.Body.Close()
				}
			}()
			<-reached
			p.signal(syscall.SIGINT)
			p.waitForLog("draining")
			if c.second {
				p.signal(syscall.SIGINT)
			}
			select {
			case <-p.exited:
			case <-time.After(maxWait):
				t.Fatal("it doesn't end")
			}
			<-gone
			if code := p.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// A gateway that starts while the issuer is down is not ready. The gateway becomes ready when the
// issuer is back.
func TestReadinessFollowsTheIssuer(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	issuer.Down()
	p := startGateway(t, commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 503, "/status": 503, "/revoke": 404, "/debug/pprof/": 404,
	} {
		if a := sendRequest(t, "GET", p.url("admin", path), ""); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	a := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token)
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/open/x"), ""); a.status != 200 {
		t.Errorf("a public route needs no issuer: %d", a.status)
	}
	issuer.Heal()
	eventually(t, "ready", func() bool { return sendRequest(t, "GET", p.url("admin", "/readyz"), "").status == 200 })
	if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), token); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := sendRequest(t, "GET", p.url("admin", "/status"), ""); a.status != 200 || !strings.Contains(a.body, `"ready":true`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	issuer.Down() // by now, the gateway has fetched the keys of the issuer
	if a := sendRequest(t, "GET", p.url("admin", "/readyz"), ""); a.status != 200 {
		t.Errorf("ready no more: %d", a.status)
	}
	issuer.Heal()
}
