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

// TestEnvironment starts the API while its issuer is down, and starts the issuer later.
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
	p := startProgram(t)
	expect := func(path, token string, status int, challenge string) *http.Response {
		t.Helper()
		response, body := sendGet(t, p.base+path, token)
		if response.StatusCode != status || shortenChallenge(response.Header["Www-Authenticate"]) != challenge {
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
	// the header field Retry-After says how long the client should wait
	<-time.After(time.Duration(seconds) * time.Second)
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
			t.Errorf("the output contains %q:\n%s\n%s", secret, p.stdout, p.stderr)
		}
	}
}

// TestReady requests /readyz while the issuer is down and while it is up. It runs in a bubble of
// testing/synctest, in which time is simulated, so that waiting takes no real time.
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
		expect("again at once", 503, "1")
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
		// the fetch of the keys continues after the response to /readyz was sent
		time.Sleep(time.Minute)
	})
}

// TestEnvironmentOfAnotherIssuer starts the API for tokens in the form of Okta. Only environment
// variables configure it.
func TestEnvironmentOfAnotherIssuer(t *testing.T) {
	issuer := xenaauthtest.StartIssuer(nil)
	defer issuer.Close()
	setenv(t, map[string]string{
		"XENA_ISSUER":                           issuer.URL(),
		"XENA_AUDIENCE":                         "api://default",
		"XENA_CLIENT_CLAIMS":                    "cid",
		"XENA_ALGORITHMS":                       "RS256",
		"XENA_CLOCK_SKEW":                       "10s",
		"XENA_MAX_TOKEN_LIFETIME":               "2h",
		"XENA_INTROSPECTION_CLIENT_ID":          issuer.API(),
		"XENA_INTROSPECTION_CLIENT_SECRET":      issuer.APISecret(),
		"XENA_INTROSPECTION_AUTH":               "post",
		"XENA_REQUIRE_ACTIVE":                   "true",
		"XENA_INTROSPECTION_CACHE_TTL":          "-1s",
		"XENA_INTROSPECTION_TIMEOUT":            "2s",
		"XENA_INTROSPECTION_MAX_CONCURRENT":     "4",
		"XENA_CACHE_SIZE":                       "100",
		"XENA_INTROSPECTION_CACHE_SIZE":         "100",
		"XENA_INTROSPECTION_NEGATIVE_TTL":       "1s",
		"XENA_MAX_KEY_AGE":                      "1h",
		"XENA_INTROSPECTION_CLIENT_SECRET_FILE": "",
	})
	okta := func(claims map[string]any) string {
		all := map[string]any{"client_id": nil, "cid": "0oa1", "aud": "api://default", "scope": nil, "scp": []string{"testapi"}}
		for name, value := range claims {
			all[name] = value
		}
		return issuer.JWT(xenaauthtest.Token{Subject: demoUser, Lifetime: 90 * time.Minute, Claims: all})
	}
	token := okta(nil)
	p := startProgram(t)
	status := func(token string) int {
		t.Helper()
		response, _ := sendGet(t, p.base+"/Api/User/FiscalSetup", token)
		return response.StatusCode
	}
	// The introspection endpoint of the test kit would take the scopes from the claim scope, but
	// these tokens have the claim scp instead. So the test sets the introspection response.
	active := `{"active":true,"sub":"` + demoUser + `","cid":"0oa1","scope":"testapi"}`
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: active})
	for text, want := range map[string]int{
		token: 200, okta(map[string]any{"cid": nil, "client_id": "0oa1"}): 401, okta(map[string]any{"aud": issuer.API()}): 401,
	} {
		if got := status(text); got != want {
			t.Errorf("%d, want %d\n%s", got, want, p.stderr)
		}
	}
	_, form := issuer.LastIntrospection()
	if form.Get("client_secret") != issuer.APISecret() {
		t.Error("the credentials are not in the form")
	}
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: `{"active":false}`})
	if got := status(token); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	if got := p.stop(); got != exitOK {
		t.Errorf("status %d", got)
	}
}

// TestEnvironmentRequiresDPoP starts the API with environment variables that make it accept only
// tokens that are bound to a key of the client.
func TestEnvironmentRequiresDPoP(t *testing.T) {
	issuer := xenaauthtest.StartIssuer(nil)
	defer issuer.Close()
	setenv(t, map[string]string{
		"XENA_ISSUER":         issuer.URL(),
		"XENA_AUDIENCE":       issuer.API(),
		"XENA_DPOP":           "required",
		"XENA_PUBLIC_ORIGINS": "https://api.example, http://api.example",
	})
	p := startProgram(t)
	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = issuer.JWT(xenaauthtest.Token{Subject: demoUser, BoundTo: client})
	for name, c := range map[string]struct {
		authorization string
		status        int
	}{
		"with a proof":    {"", 200},
		"not bound":       {"Bearer " + issuer.JWT(xenaauthtest.Token{Subject: demoUser}), 401},
		"stolen":          {"Bearer " + client.Token, 401},
		"without a token": {"Bearer", 400},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/Api/User/FiscalSetup", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "api.example"
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		response, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		challenges := response.Header["Www-Authenticate"]
		if response.StatusCode != c.status || c.status != 200 && (len(challenges) != 1 || !strings.HasPrefix(challenges[0], "DPoP ")) {
			t.Errorf("%s: %s, %q, want %d", name, response.Status, challenges, c.status)
		}
	}
	if got := p.stop(); got != exitOK || !strings.Contains(p.stdout.String(), "accepts DPoP proofs for [https://api.example http://api.example]") {
		t.Errorf("status %d\n%s", got, p.stdout)
	}
}

// TestEnvironmentIsWrong sets wrong environment variables. The error must list each mistake in a
// variable, and each mistake in the configuration that the variables result in.
func TestEnvironmentIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		variables map[string]string
		want      []string
	}{
		"values":          {map[string]string{"XENA_CACHE_SIZE": "many", "XENA_PROFILE": "hunter2"}, []string{"XENA_CACHE_SIZE", "XENA_PROFILE", "Config.Audiences"}},
		"any audience":    {map[string]string{"XENA_ALLOW_ANY_AUDIENCE": "true"}, []string{"XENA_ALLOW_ANY_AUDIENCE"}},
		"no origins":      {map[string]string{"XENA_AUDIENCE": "a", "XENA_DPOP": "required"}, []string{"XENA_PUBLIC_ORIGINS"}},
		"an unknown word": {map[string]string{"XENA_AUDIENCE": "a", "XENA_DPOP": "hunter2"}, []string{"XENA_DPOP"}},
		"no secret":       {map[string]string{"XENA_AUDIENCE": "a", "XENA_INTROSPECTION_CLIENT_ID": "a"}, []string{"ClientSecret"}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.variables)
			t.Setenv("XENA_ISSUER", "https://login.example")
			var stdout, stderr strings.Builder
			if got := runProgram(t.Context(), nil, &stdout, &stderr); got != exitFailed {
				t.Errorf("status %d", got)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("no %q in %s", want, stderr.String())
				}
			}
			if strings.Contains(stderr.String(), "hunter2") {
				t.Error(stderr.String())
			}
		})
	}
}
