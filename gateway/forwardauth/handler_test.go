package forwardauth_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var dialects = []forwardauth.Dialect{
	forwardauth.Nginx, forwardauth.Traefik, forwardauth.Caddy, forwardauth.Envoy, forwardauth.HAProxy,
}

// testHandler contains the handler under test, which answers the subrequests of one kind of proxy.
// It also contains the issuer whose tokens this handler accepts.
type testHandler struct {
	issuer  *xenaauthtest.Issuer
	dialect forwardauth.Dialect
	config  forwardauth.Config
	handler http.Handler
	// policyRequest is the request that the policy of the route /policy/{id} has received
	policyRequest *http.Request
}

// newTestHandler returns a testHandler for one kind of proxy. If change is not nil, newTestHandler
// calls it with the configuration of the handler, so that a test can change the configuration.
func newTestHandler(t testing.TB, dialect forwardauth.Dialect, opts *xenaauth.Options, change func(*forwardauth.Config)) *testHandler {
	t.Helper()
	s := &testHandler{issuer: xenaauthtest.NewIssuer(nil), dialect: dialect}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	testAPI := xenaauth.AllScopes("testapi")
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /orders/{id}", Access: routes.Require(testAPI)},
		{Pattern: "POST /orders/{id}", Access: routes.Require(xenaauth.AllScopes("testapi", "orders.write"))},
		{Pattern: "/public/", Access: routes.Public()},
		{Pattern: "/optional", Access: routes.Optional()},
		{Pattern: "/admin/", Access: routes.Deny()},
		{Pattern: "admin.example.com/", Access: routes.Deny()},
		{Pattern: "/policy/{id}", Access: routes.Require(xenaauth.WhereRequest("policy", func(r *http.Request, _ *xenaauth.User) error {
			s.policyRequest = r
			return nil
		}))},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(identity.Config{ClaimHeaders: map[string]string{"X-Auth-Session": "sid"}})
	if err != nil {
		t.Fatal(err)
	}
	s.config = forwardauth.Config{
		Middleware:   xenaauth.NewMiddleware(v, opts),
		Find:         table.Find,
		Dialect:      dialect,
		TrustedPeers: forwardauth.Loopback(),
		Identity:     id,
	}
	if change != nil {
		change(&s.config)
	}
	if s.handler, err = forwardauth.New(s.config); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *testHandler) token(scopes ...string) string {
	return "Bearer " + s.issuer.JWT(xenaauthtest.Token{Subject: "104711", ClientID: "app", Scopes: scopes,
		Claims: map[string]any{"sid": "0F3C"}})
}

// originalFieldNames returns the names of the fields in which a proxy of the dialect d sends the
// method, the host and the URI of the original request.
func originalFieldNames(d forwardauth.Dialect) [3]string {
	switch d {
	case forwardauth.Nginx, forwardauth.HAProxy:
		return [3]string{"X-Original-Method", "X-Original-Host", "X-Original-Uri"}
	default:
		return [3]string{"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"}
	}
}

// testHandler.subrequest returns the subrequest that a proxy sends for an original request.
func (s *testHandler) subrequest(method, host, uri string, header http.Header) *http.Request {
	r := httptest.NewRequest("GET", "http://gateway.internal/verify", nil)
	if s.dialect == forwardauth.Envoy {
		r.Method, r.Host, r.RequestURI = method, host, s.config.PathPrefix+uri
	} else {
		for k, value := range []string{method, host, uri} {
			r.Header[originalFieldNames(s.dialect)[k]] = []string{value}
		}
	}
	maps.Copy(r.Header, header)
	r.RemoteAddr = "127.0.0.1:40000"
	return r
}

func (s *testHandler) ask(method, host, uri string, header http.Header) *httptest.ResponseRecorder {
	return s.serve(s.subrequest(method, host, uri, header))
}

func (s *testHandler) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// testHandler.proxyStatus returns the status that the proxy gets if the handler refuses a request
// with the given status. Only nginx gets another status: 401 instead of 400.
func (s *testHandler) proxyStatus(status int) int {
	if s.dialect == forwardauth.Nginx && status == 400 {
		return 401
	}
	return status
}

var nobody = map[string]string{"X-Auth-User": "", "X-Auth-Client": "", "X-Auth-Scopes": "", "X-Auth-Issuer": "",
	"X-Auth-Session": ""}

// wantAllowed requires that the response w allows the original request, and that it has exactly the
// given identity fields.
func wantAllowed(t testing.TB, w *httptest.ResponseRecorder, identity map[string]string) {
	t.Helper()
	if w.Code != 200 || w.Body.Len() != 0 {
		t.Fatalf("status %d, body %q, want 200 and an empty body", w.Code, w.Body)
	}
	want := map[string]string{"Cache-Control": "no-store", "Vary": "Authorization", "Content-Length": "0"}
	maps.Copy(want, identity)
	for name, value := range want {
		if got := w.Header()[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if len(w.Header()) != len(want) {
		t.Errorf("fields %v, want %v", w.Header(), want)
	}
}

// wantRefused requires that the response w is a refusal with the given status, reason and
// challenge.
func wantRefused(t testing.TB, w *httptest.ResponseRecorder, status int, reason xenaauth.Reason, challenge string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), `"reason":"`+string(reason)+`"`) {
		t.Errorf("status %d, body %q, want %d for %s", w.Code, w.Body, status, reason)
	}
	if got := w.Header()["Www-Authenticate"]; challenge != "" && (len(got) != 1 || !strings.Contains(got[0], challenge)) {
		t.Errorf("challenges %q, want one with %s", got, challenge)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	for name := range nobody {
		if _, ok := w.Header()[name]; ok {
			t.Errorf("a refusal has %s", name)
		}
	}
}

func each(t *testing.T, test func(t *testing.T, s *testHandler)) {
	for _, d := range dialects {
		t.Run(string(d), func(t *testing.T) { test(t, newTestHandler(t, d, nil, nil)) })
	}
}

func TestAllow(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		full := map[string]string{
			"X-Auth-User": "104711", "X-Auth-Client": "app", "X-Auth-Scopes": "testapi", "X-Auth-Session": "0F3C",
			"X-Auth-Issuer": s.issuer.URL(),
		}
		token := http.Header{"Authorization": {s.token("testapi")}}
		spoofed := http.Header{"X-Auth-User": {"root"}, "X_auth_scopes": {"admin"}, "X-Auth-Session": {"1", "2"}}
		both := maps.Clone(spoofed)
		maps.Copy(both, token)

		wantAllowed(t, s.ask("GET", "api.example.com", "/orders/1?b=%2F,c", token), full)
		wantAllowed(t, s.ask("HEAD", "api.example.com:8443", "/orders/1", token), full)
		wantAllowed(t, s.ask("GET", "[::1]:8443", "/orders/1", both), full)
		wantAllowed(t, s.ask("GET", "api.example.com", "/optional", token), full)
		wantAllowed(t, s.ask("GET", "api.example.com", "/optional", spoofed), nobody)
		wantAllowed(t, s.ask("PROPFIND", "api.example.com", "/public/a", spoofed), nobody)
		// The route /public/a is public, so the handler does not read the token.
		wantAllowed(t, s.ask("GET", "api.example.com", "/public/a", both), nobody)
		wantAllowed(t, s.ask("GET", "api.example.com", "/public/a", http.Header{"Authorization": {"Bearer junk"}}), nobody)
	})
}

func TestRefuse(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		for _, test := range []struct {
			name        string
			method, uri string
			header      http.Header
			status      int
			reason      xenaauth.Reason
			challenge   string
		}{
			{"no token", "GET", "/orders/1", nil, 401, xenaauth.ReasonMissingToken, `Bearer realm="xena", scope="testapi"`},
			{"another scheme", "GET", "/orders/1", http.Header{"Authorization": {"Basic YTpi"}}, 401,
				xenaauth.ReasonMissingToken, `Bearer realm="xena", scope="testapi"`},
			{"no JWT", "GET", "/orders/1", http.Header{"Authorization": {"Bearer junk"}}, 401,
				xenaauth.ReasonMalformedToken, `error="invalid_token"`},
			{"expired", "GET", "/orders/1", http.Header{"Authorization": {
				"Bearer " + s.issuer.JWT(xenaauthtest.Token{Lifetime: -1e12})}}, 401,
				xenaauth.ReasonExpired, `error="invalid_token"`},
			{"two tokens", "GET", "/orders/1", http.Header{"Authorization": {s.token("testapi"), s.token("testapi")}}, 400,
				xenaauth.ReasonMalformedRequest, `error="invalid_request"`},
			{"in the query only", "GET", "/orders/1?access_token=x", nil, 401, xenaauth.ReasonMissingToken, ""},
			{"a scope too few", "POST", "/orders/1", http.Header{"Authorization": {s.token("testapi")}}, 403,
				xenaauth.ReasonInsufficientScope, `error="insufficient_scope"`},
			{"denied", "GET", "/admin/x", http.Header{"Authorization": {s.token("testapi")}}, 403, xenaauth.ReasonNoRule, ""},
			{"no rule", "GET", "/elsewhere", http.Header{"Authorization": {s.token("testapi")}}, 403, xenaauth.ReasonNoRule, ""},
			{"another method", "DELETE", "/orders/1", http.Header{"Authorization": {s.token("testapi")}}, 403,
				xenaauth.ReasonNoRule, ""},
			{"a bad token where none is needed", "GET", "/optional", http.Header{"Authorization": {"Bearer junk"}}, 401,
				xenaauth.ReasonMalformedToken, `error="invalid_token"`},
		} {
			t.Run(test.name, func(t *testing.T) {
				w := s.ask(test.method, "api.example.com", test.uri, test.header)
				wantRefused(t, w, s.proxyStatus(test.status), test.reason, test.challenge)
			})
		}
		t.Run("a host that is denied", func(t *testing.T) {
			header := http.Header{"Authorization": {s.token("testapi")}}
			for _, host := range []string{"admin.example.com", "ADMIN.example.com", "admin.example.com:443"} {
				wantRefused(t, s.ask("GET", host, "/orders/1", header), 403, xenaauth.ReasonNoRule, "")
			}
		})
	})
}

func TestIssuerIsDown(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		token := s.token("testapi")
		s.issuer.Down()
		w := s.ask("GET", "api.example.com", "/orders/1", http.Header{"Authorization": {token}})
		wantRefused(t, w, 503, xenaauth.ReasonUnavailable, "")
		if w.Header().Get("Retry-After") == "" || len(w.Header()["Www-Authenticate"]) != 0 {
			t.Errorf("fields %v", w.Header())
		}
	})
}

func TestTrustedPeers(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		s = newTestHandler(t, s.dialect, nil, func(c *forwardauth.Config) {
			c.TrustedPeers = []netip.Prefix{
				netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::ffff:192.0.2.0/120"),
				netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("2001:db8::1/128"),
			}
		})
		for peer, trusted := range map[string]bool{
			"10.1.2.3:4": true, "[::ffff:10.1.2.3]:4": true, "192.0.2.9:4": true, "[::ffff:192.0.2.9]:4": true,
			"[fe80::1%eth0]:4": true, "[2001:db8::1]:4": true,
			"10.2.0.1:4": false, "192.0.3.1:4": false, "127.0.0.1:4": false, "[::1]:4": false, "[2001:db8::2]:4": false,
			"10.1.2.3": false, "": false, "@": false, "/run/gateway.sock": false, "localhost:4": false,
		} {
			r := s.subrequest("GET", "api.example.com", "/public/a", http.Header{"X-Forwarded-For": {"10.1.2.3"}})
			r.RemoteAddr = peer
			w := s.serve(r)
			if trusted {
				wantAllowed(t, w, nobody)
				continue
			}
			if w.Code != 403 || w.Body.Len() > 0 || len(w.Header()) != 1 || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%q: status %d, %v, body %q", peer, w.Code, w.Header(), w.Body)
			}
		}
	})
}

// The handler does not read the token of a peer that is not trusted, so the token causes no call to
// the issuer.
func TestUntrustedPeersTokenIsNotRead(t *testing.T) {
	s := newTestHandler(t, forwardauth.Nginx, nil, nil)
	r := s.subrequest("GET", "api.example.com", "/orders/1", http.Header{"Authorization": {s.token("testapi")}})
	r.RemoteAddr = "192.0.2.1:4"
	if w := s.serve(r); w.Code != 403 {
		t.Errorf("status %d", w.Code)
	}
	if n := s.issuer.Calls(xenaauthtest.All); n != 0 {
		t.Errorf("%d calls of the issuer", n)
	}
}

func TestNewListsMistakes(t *testing.T) {
	_, err := forwardauth.New(forwardauth.Config{})
	for _, part := range []string{"Middleware", "Find", "Dialect", "TrustedPeers", "Identity"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+part) {
			t.Errorf("the error does not name %s: %v", part, err)
		}
	}
	good := newTestHandler(t, forwardauth.Envoy, nil, nil).config
	for name, change := range map[string]func(*forwardauth.Config){
		"everybody":         func(c *forwardauth.Config) { c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"everybody, v6":     func(c *forwardauth.Config) { c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("::/0")} },
		"everybody, mapped": func(c *forwardauth.Config) { c.TrustedPeers = []netip.Prefix{netip.MustParsePrefix("::ffff:0:0/96")} },
		"no network":        func(c *forwardauth.Config) { c.TrustedPeers = []netip.Prefix{{}} },
		"dialect":           func(c *forwardauth.Config) { c.Dialect = "Envoy" },
		"prefix":            func(c *forwardauth.Config) { c.PathPrefix = "auth" },
		"prefix, slash":     func(c *forwardauth.Config) { c.PathPrefix = "/auth/" },
		"prefix, query":     func(c *forwardauth.Config) { c.PathPrefix = "/auth?" },
		"prefix of another": func(c *forwardauth.Config) { c.PathPrefix, c.Dialect = "/auth", forwardauth.Caddy },
	} {
		cfg := good
		change(&cfg)
		if h, err := forwardauth.New(cfg); err == nil || h != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// If Config.Find returns an error that is not a refusal, the response is 503 with the reason
// unavailable. The body does not contain the text of the error.
func TestFindFails(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		s = newTestHandler(t, s.dialect, nil, func(c *forwardauth.Config) {
			c.Find = func(*http.Request) (routes.Rule, error) { return routes.Rule{}, errors.New("secret") }
		})
		w := s.ask("GET", "api.example.com", "/public/a", nil)
		wantRefused(t, w, 503, xenaauth.ReasonUnavailable, "")
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("body %q", w.Body)
		}
	})
}
