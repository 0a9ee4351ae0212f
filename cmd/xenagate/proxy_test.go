package main_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestProxyAllowsAndRefuses(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	good := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	expired := p.neverShow(issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}))
	foreign := p.neverShow(issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": "other"}}))
	forged := good[:len(good)-6] + "AAAAAA"
	for _, c := range []struct {
		method, path, token string
		status              int
		reason              string
	}{
		{"GET", "/Api/Read?a=1&b=%2F..", good, 200, ""},
		{"HEAD", "/Api/Read", good, 200, ""},
		{"POST", "/Api/Write", good, 200, ""},
		{"GET", "/me", good, 200, ""},
		{"GET", "/news", good, 200, ""},
		{"GET", "/news", "", 200, ""},
		{"GET", "/open/x", "", 200, ""},
		{"GET", "/open/x", forged, 200, ""},
		{"GET", "/Api/Read", "", 401, "missing_token"},
		{"GET", "/Api/Read", expired, 401, "expired"},
		{"GET", "/Api/Read", forged, 401, "signature"},
		{"GET", "/Api/Read", foreign, 401, "audience"},
		{"GET", "/Api/Read", issuer.IDToken(xenaauthtest.Token{}), 401, "token_type"},
		{"GET", "/Api/Read", "a b", 400, "malformed_request"},
		{"GET", "/news", expired, 401, "expired"},
		{"GET", "/Api/Admin", good, 403, "insufficient_scope"},
		{"POST", "/Api/Read", good, 403, "no_rule"},
		{"GET", "/nothing", good, 403, "no_rule"},
		{"GET", "/open/closed", good, 403, "no_rule"},
		{"GET", "/Api/../open/x", good, 400, "ambiguous_target"},
		{"TRACE", "/open/x", "", 405, "method"},
	} {
		before := service.n.Load()
		a := sendRequest(t, c.method, p.url("proxy", c.path), c.token)
		reached := service.n.Load() > before
		if a.status != c.status || c.method != "HEAD" && a.reason() != c.reason || reached != (c.status == 200) {
			t.Errorf("%s %s: %d %s, reached %v, want %d %s: %s",
				c.method, c.path, a.status, a.reason(), reached, c.status, c.reason, a.body)
		}
		if c.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="xena"`) {
			t.Errorf("%s %s: no challenge", c.method, c.path)
		}
		if c.reason != "" {
			p.waitForLog(`"reason":"`+c.reason+`"`, `"method":"`+c.method+`"`)
		}
	}
	if v := sendRequest(t, "GET", p.url("proxy", "/news"), "").header["Vary"]; !slices.Contains(v, "Authorization") {
		t.Errorf("an answer that depends on the token says Vary: %q", v)
	}
	if seen := sendRequest(t, "GET", p.url("proxy", "/Api/Read?a=1&b=%2F.."), good).seen(t); seen.URI != "/Api/Read?a=1&b=%2F.." {
		t.Errorf("the service was asked for %s", seen.URI)
	}
	metrics := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body
	for _, want := range []string{
		`xenagate_requests_total{code="4xx",door="proxy",method="GET",outcome="refused",reason="expired"} 2`,
		`xenagate_requests_total{code="4xx",door="proxy",method="other",outcome="refused",reason="method"} 1`,
		`xenagate_request_duration_seconds_count{door="proxy",outcome="refused"}`,
		`xenaauth_cache_hits_total{cache="tokens"}`, `xenaauth_decisions_total{outcome="refused",reason="expired",source=`,
		`xenaauth_issuer_calls_total{document="jwks",status="200"}`,
		"xenaauth_issuer_ready 1", "xenagate_log_lines_dropped_total 0",
		`xenagate_route_requests_total{code="2xx",route="GET /Api/Read",upstream="api"} 3`,
		`xenagate_route_requests_total{code="2xx",route="/open/",upstream="api"} 2`,
		`xenagate_route_requests_total{code="4xx",route="GET /Api/Admin",upstream=""} 1`,
		`xenagate_route_requests_total{code="4xx",route="",upstream=""}`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for _, never := range append([]string{"/Api/..", "104711", "/open/x", "/nothing", service.URL}, p.secrets...) {
		if strings.Contains(metrics, never) {
			t.Errorf("metrics hold %s", never)
		}
	}
}

// The gateway chooses an upstream by the path and the host of the request. The upstream gets
// exactly this path and host.
func TestUpstreamsByHostAndPath(t *testing.T) {
	issuer, api, host, rest := newIssuer(t), newService(t), newService(t), newService(t)
	p := startGateway(t, `listen: 127.0.0.1:0
tokens: {issuer: "`+issuer.URL()+`", audiences: [testapi]}
upstreams:
  - {name: rest, url: "`+rest.URL+`"}
  - {name: api, url: "`+api.URL+`", path: /Api/}
  - {name: host, url: "`+host.URL+`", host: b.example}
  - {name: only, url: "`+api.URL+`", host: c.example, path: /only}
routes:
  ignore_case: true
  rules:
    - {route: /, access: public}
`, nil)
	for _, c := range []struct {
		host, path string
		want       *service
	}{
		{"a.example", "/Api/x", api},
		{"a.example", "/Api", api},
		{"a.example", "/aPI/x", api},
		{"a.example", "/Apix", rest},
		{"a.example", "/x%20y", rest},
		{"a.example", "/%78", rest},
		{"B.example:80", "/Api/x", host},
		{"c.example", "/only/x", api},
		{"c.example", "/on", rest},
	} {
		before := c.want.n.Load()
		a := sendRequest(t, "GET", p.url("proxy", c.path), "", "Host: "+c.host).seen(t)
		if c.want.n.Load() != before+1 || a.URI != c.path || a.Host != c.host {
			t.Errorf("%s%s went elsewhere, or as %s%s", c.host, c.path, a.Host, a.URI)
		}
	}
}

func TestUpstreamTrouble(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	config := strings.Replace(commonConfig(issuer, service), "upstreams:\n", `timeouts: {response_header: 1500ms}
upstreams:
  - {name: down, url: "http://127.0.0.1:1", path: /open/down}
`, 1)
	p := startGateway(t, config, nil)
	service.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for path, want := range map[string]struct {
		status int
		reason string
	}{
		"/open/down": {502, "upstream_failed"},
		"/open/slow": {504, "upstream_timeout"},
	} {
		a := sendRequest(t, "GET", p.url("proxy", path), "")
		if a.status != want.status || a.reason() != want.reason ||
			a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("%s: the answer holds an address: %s", path, a.body)
		}
	}
	p.waitForLog(`"cause":"refused"`, `"upstream":"down"`)
	if n := p.lines("127.0.0.1:1\""); n > 0 {
		t.Error("the log holds an upstream's address")
	}
	metrics := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body
	if !strings.Contains(metrics, `xenagate_upstream_failures_total{cause="refused",upstream="down"} 1`) {
		t.Error("the failure isn't counted")
	}
	// If the response of the upstream breaks off, the response to the client breaks off too, so
	// that the client notices.
	service.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	res, err := client.Get(p.url("proxy", "/open/half"))
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer was taken for a whole one")
	}
	p.waitForLog(`"reason":"aborted"`)
}

func TestThousandAtOnce(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	tokens := make([]string, 10)
	for i := range tokens {
		tokens[i] = p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("user-", i)}))
	}
	var wg sync.WaitGroup
	room := make(chan struct{}, 200)
	for i := range 1000 {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			token, path, want := tokens[i%10], "/Api/Read", 200
			if i%5 == 4 {
				path, want = "/Api/Admin", 403
			}
			r, _ := http.NewRequest("GET", p.url("proxy", path), nil)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("X-Auth-User", "root")
			res, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%d, want %d", res.StatusCode, want)
			}
			if user := fmt.Sprintf(`"X-Auth-User":["user-%d"]`, i%10); want == 200 && !strings.Contains(string(body), user) {
				t.Errorf("another user: %s", body)
			}
		})
	}
	wg.Wait()
	if n := issuer.Calls(xenaauthtest.JWKS); n != 1 {
		t.Errorf("the key set was fetched %d times", n)
	}
}
