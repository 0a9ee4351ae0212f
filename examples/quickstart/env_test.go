package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestEnvironment starts the API while its issuer is down, and brings that up later.
func TestEnvironment(t *testing.T) {
	issuer := xenaauthtest.StartIssuer(nil)
	defer issuer.Close()
	setenv(t, map[string]string{
		"XENA_ISSUER":                      issuer.URL(),
		"XENA_AUDIENCE":                    issuer.API(),
		"XENA_INTROSPECTION_CLIENT_ID":     issuer.API(),
		"XENA_INTROSPECTION_CLIENT_SECRET": issuer.APISecret(),
	})
	jwt := issuer.JWT(xenaauthtest.Token{Subject: demoUser})
	opaque := issuer.Opaque(xenaauthtest.Token{Subject: demoUser})
	narrow := issuer.JWT(xenaauthtest.Token{Scopes: []string{"otherapi"}})

	issuer.Down()
	p := start(t)
	expect := func(path, token string, status int, challenge string) *http.Response {
		t.Helper()
		response, body := get(t, p.base+path, token)
		if response.StatusCode != status || abridged(response.Header.Get("WWW-Authenticate")) != challenge {
			t.Errorf("GET %s: %s, %v\n%s", path, response.Status, response.Header, body)
		}
		return response
	}
	expect("/healthz", "", 200, "")
	expect("/Api/User/FiscalSetup", "", 401, `Bearer scope="testapi"`)
	expect("/Api/User/FiscalSetup", jwt, 503, "")
	expect("/Api/User/FiscalSetup", opaque, 503, "")
	waited := expect("/readyz", "", 503, "").Header.Get("Retry-After")

	issuer.Heal()
	seconds, err := strconv.Atoi(waited)
	if err != nil || seconds < 1 || seconds > 5 {
		t.Fatalf("Retry-After %q", waited)
	}
	<-time.After(time.Duration(seconds) * time.Second) // as the server asks
	expect("/readyz", "", 200, "")
	expect("/Api/User/FiscalSetup", jwt, 200, "")
	expect("/Api/User/FiscalSetup", opaque, 200, "")
	expect("/Api/User/FiscalSetup", narrow, 403, `Bearer error="insufficient_scope", scope="testapi"`)
	expect("/Api/User/XenaUserMembership", narrow, 200, "")
	expect("/Api/Fiscal/"+demoCompany+"/Order", jwt, 403, `Bearer error="insufficient_scope"`)

	if got := p.stop(); got != exitOK {
		t.Errorf("status %d", got)
	}
	for _, text := range []string{issuer.URL(), "GET /Api/User/Profile", "testapi and profile", "profile or email"} {
		if !strings.Contains(p.stdout.String(), text) {
			t.Errorf("no %q in\n%s", text, p.stdout)
		}
	}
	for _, text := range []string{"msg=allowed", `msg="xenaauth: request refused"`, "insufficient_scope", "connection"} {
		if !strings.Contains(p.stderr.String(), text) {
			t.Errorf("no %q in\n%s", text, p.stderr)
		}
	}
	for _, secret := range []string{jwt, opaque, narrow, issuer.APISecret(), strings.Split(jwt, ".")[2]} {
		if strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
			t.Errorf("%q is told in\n%s\n%s", secret, p.stdout, p.stderr)
		}
	}
}

// TestReady follows an issuer that goes and comes, in a bubble: its clock is not ours, and nothing waits.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := xenaauthtest.NewIssuer(nil)
		cfg := issuer.Config()
		cfg.MaxKeyAge = time.Hour
		cfg.Logger = slog.New(slog.DiscardHandler)
		v, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		handler := newHandler(v, xenaauth.NewMiddleware(v, nil), nil)
		expect := func(when string, status int, retryAfter string) {
			t.Helper()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			if w.Code != status || w.Header().Get("Retry-After") != retryAfter {
				t.Errorf("%s: %d, %v", when, w.Code, w.Header())
			}
		}
		issuer.Down()
		expect("down at first", 503, "1")
		expect("asked again at once", 503, "1")
		issuer.Heal()
		time.Sleep(time.Second)
		expect("up", 200, "")
		issuer.Down()
		expect("down, but its keys are known", 200, "")
		time.Sleep(cfg.MaxKeyAge)
		expect("down for too long", 503, "1")
		issuer.Heal()
		time.Sleep(time.Second)
		expect("back", 200, "")
		issuer.Slow(time.Minute)
		time.Sleep(cfg.MaxKeyAge)
		expect("slow", 503, "1")
		time.Sleep(time.Minute) // the fetch goes on behind an answer that didn't wait for it
	})
}
