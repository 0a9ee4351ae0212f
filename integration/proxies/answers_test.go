package proxies

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestAllowed sends requests through each proxy. The proxy must let these requests pass. The test
// checks how they arrive at the service behind the proxy.
func TestAllowed(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		token := bearer(e.issuer.JWT(xenaauthtest.Token{
			Subject: "Åse, 1", ClientID: "shop", Scopes: []string{"testapi", "b"},
		}))
		got := e.get(t, "/api/Thing?q=%2f..//&x=%41", token).readArrivedRequest(t)
		if got.User != "%C3%85se%2C%201" || got.Client != "shop" || got.Scopes != "testapi b" || got.Issuer != e.issuer.URL() {
			t.Errorf("user %q, client %q, scopes %q", got.User, got.Client, got.Scopes)
		}
		if got.URI != "/api/Thing?q=%2f..//&x=%41" || got.Host != "api.example" || got.Method != "GET" {
			t.Errorf("%s %s %s", got.Method, got.Host, got.URI)
		}
		if got := e.get(t, "/api/b", bearer(e.issuer.Opaque(xenaauthtest.Token{}))).readArrivedRequest(t); got.User != "104711" {
			t.Errorf("an opaque token: %q", got.User)
		}
		public := e.get(t, "/open/x", bearer("nonsense")).readArrivedRequest(t)
		if public.User+public.Client+public.Scopes+public.Issuer != "" {
			t.Errorf("a public route: %+v", public)
		}
		if got := e.get(t, "/maybe").readArrivedRequest(t); got.User+got.Client+got.Scopes+got.Issuer != "" {
			t.Errorf("an optional route without a token: %+v", got)
		}
		if got := e.get(t, "/maybe", token).readArrivedRequest(t); got.Client != "shop" {
			t.Errorf("an optional route with a token: %+v", got)
		}

		body := strings.Repeat("0123456789abcdef", 20<<10) // the body has 320 KiB
		sum := sha256.Sum256([]byte(body))
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			got := e.send(t, method, "/api/b", body, token, "Content-Type: text/plain").readArrivedRequest(t)
			if got.Method != method || got.Length != int64(len(body)) || got.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: %s with %d bytes, %s", method, got.Method, got.Length, got.SHA256)
			}
		}
		chunked, err := e.sendRaw("POST", "POST /api/c HTTP/1.1\r\nHost: api.example\r\n"+token+
			"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := chunked.readArrivedRequest(t); got.Length != 11 {
			t.Errorf("chunked: %d bytes", got.Length)
		}
		if a := e.send(t, "HEAD", "/read/x", "", token); a.Status != 200 || a.Body != "" {
			t.Errorf("HEAD: %d %q", a.Status, a.Body)
		}
		if n := e.asked.bodies.Load(); n > 0 {
			t.Errorf("xenagate got %d bodies", n)
		}
	})
}

// TestRefused sends requests that must be refused. It compares the refusal that the client gets
// through a proxy with the refusal that xenaauth itself writes. The fields of the type [proxy] list
// the allowed differences.
func TestRefused(t *testing.T) {
	eachProxy(t, func(t *testing.T, e *env) {
		good := e.issuer.JWT(xenaauthtest.Token{})
		for _, c := range []struct {
			name, method, target string
			lines                []string
			status               int
		}{
			{"no token", "GET", "/api/a", nil, 401},
			{"another scheme", "GET", "/api/a", []string{"Authorization: Basic YTpi"}, 401},
			{"no token, with a body", "POST", "/api/a", nil, 401},
			{"HEAD", "HEAD", "/api/a", nil, 401},
			{"an expired token", "GET", "/api/a", []string{bearer(e.issuer.JWT(xenaauthtest.Token{Lifetime: -1e12}))}, 401},
			{"a token of another key", "GET", "/api/a", []string{bearer(good[:len(good)-20] + strings.Repeat("A", 20))}, 401},
			{"an ID token", "GET", "/api/a", []string{bearer(e.issuer.IDToken(xenaauthtest.Token{}))}, 401},
			{"insufficient scope", "GET", "/admin/a", []string{bearer(good)}, 403},
			{"insufficient scope, POST", "POST", "/admin/a", []string{bearer(good)}, 403},
			{"no rule", "GET", "/nowhere", []string{bearer(good)}, 403},
			{"no rule, nor token", "GET", "/nowhere", nil, 403},
			{"no rule for the method", "POST", "/read/a", []string{bearer(good)}, 403},
			{"denied", "GET", "/api/closed", []string{bearer(good)}, 403},
			{"a malformed field", "GET", "/api/a", []string{"Authorization: Bearer " + good + " x"}, 400},
			{"an ambiguous path", "GET", "/api/%2e%2e/admin", []string{bearer(good)}, 400},
			{"another method in a field", "GET", "/api/a", []string{bearer(good), "X-HTTP-Method-Override: DELETE"}, 400},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := e.service.n.Load()
				want := e.answerDirectly(t, c.method, c.target, c.lines...)
				if want.Status != c.status {
					t.Fatalf("xenaauth answers %d", want.Status)
				}
				body := ""
				if c.method == "POST" {
					body = "hello"
				}
				got := e.send(t, c.method, c.target, body, c.lines...)
				e.compareRefusals(t, got, want)
				if e.service.n.Load() != before {
					t.Error("it has reached the service")
				}
			})
		}
		t.Run("an outage of the issuer", func(t *testing.T) {
			e.issuer.Down()
			defer e.issuer.Heal()
			token := bearer(e.issuer.Opaque(xenaauthtest.Token{}))
			want := e.answerDirectly(t, "GET", "/api/a", token)
			if want.Status != 503 {
				t.Fatal(want)
			}
			e.compareRefusals(t, e.get(t, "/api/a", token), want)
		})
		t.Run("an outage of xenagate", func(t *testing.T) {
			e.gate.stop()
			defer e.gate.start(t)
			a := e.get(t, "/api/a", bearer(good))
			if a.Status != e.statusIfUnreachable {
				t.Errorf("%d, want %d", a.Status, e.statusIfUnreachable)
			}
			if a.Status == 503 && !e.removesRetryAfter && a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
		if n := e.asked.bodies.Load(); n > 0 {
			t.Errorf("xenagate got %d bodies", n)
		}
	})
}

// env.answerDirectly returns the response of xenaauth itself to a request, without a proxy.
func (e *env) answerDirectly(t *testing.T, method, target string, lines ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, target, http.NoBody)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	routes.NewGuard(e.auth, e.routes.Find).Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// env.compareRefusals fails the test if the proxy changed a refusal of xenaauth in a way that is
// not allowed. The parameter got is the refusal that the client got, and want is the refusal that
// xenaauth wrote.
func (e *env) compareRefusals(t *testing.T, got, want answer) {
	t.Helper()
	status := want.Status
	if status == http.StatusBadRequest && e.statusForMalformed != 0 {
		status = e.statusForMalformed
	}
	if got.Status != status {
		t.Errorf("status %d, want %d: %v", got.Status, status, got.Header)
	}
	challenge := strings.Join(want.Header["Www-Authenticate"], ", ")
	if lines := got.Header["Www-Authenticate"]; strings.Join(lines, ", ") != challenge || len(lines) > 1 {
		t.Errorf("challenge %q, want %q", lines, challenge)
	}
	if retry := want.Header.Get("Retry-After"); !e.removesRetryAfter && got.Header.Get("Retry-After") != retry {
		t.Errorf("Retry-After %q, want %q", got.Header["Retry-After"], retry)
	}
	if !e.replacesBody && got.Body != want.Body {
		t.Errorf("body %q, want %q", got.Body, want.Body)
	}
	if !e.removesCacheControl && got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", got.Header["Cache-Control"])
	}
	for name := range got.Header {
		if strings.HasPrefix(name, "X-Auth-") {
			t.Errorf("the client gets %s", name)
		}
	}
}
