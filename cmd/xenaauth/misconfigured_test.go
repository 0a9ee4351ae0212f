package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A testService is a test issuer, and the configuration of a service that accepts tokens of this
// issuer. The configuration is in the environment variables of the test.
type testService struct {
	t      *testing.T
	issuer *xenaauthtest.Issuer
}

func newService(t *testing.T) *testService {
	for _, one := range os.Environ() {
		if name, _, _ := strings.Cut(one, "="); strings.HasPrefix(name, "XENA_") {
			t.Setenv(name, "")
		}
	}
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{
		URL: "https://login.example", APISecret: "the-secret-of-the-api",
	})
	t.Cleanup(issuer.Close)
	s := &testService{t, issuer}
	s.set("ISSUER", issuer.URL())
	s.set("METADATA_URL", issuer.Addr()+"/.well-known/openid-configuration")
	s.set("AUDIENCE", issuer.API())
	s.set("INTROSPECTION_CLIENT_ID", issuer.API())
	s.set("INTROSPECTION_CLIENT_SECRET", issuer.APISecret())
	return s
}

func (s *testService) set(name, value string) { s.t.Setenv("XENA_"+name, value) }

// testService.ask runs a command of xenaauth with a token on standard input. It returns the output
// and the exit status. It fails the test if the output contains a secret.
func (s *testService) ask(token string, args ...string) (string, int) {
	s.t.Helper()
	var out, errOut bytes.Buffer
	status := run(s.t.Context(), args, strings.NewReader(token), &out, &errOut)
	text := out.String() + errOut.String()
	for _, secret := range s.secrets(token) {
		if strings.Contains(text, secret) {
			s.t.Errorf("the output contains %q:\n%s", secret, text)
		}
	}
	return text, status
}

// testService.secrets returns the texts that no output may contain: the token, its parts, the
// client secrets, and the address of the issuer, which is not public in these tests.
func (s *testService) secrets(token string) (all []string) {
	all = append(all, "the-secret-of-the-api", "another-secret", strings.TrimPrefix(s.issuer.Addr(), "http://"))
	if token != "" {
		all = append(all, token)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 20 {
			all = append(all, part)
		}
	}
	return all
}

// testService.guardLog sends a request with a token to the guard of a table of routes, and returns
// what the guard logs about the request.
func (s *testService) guardLog(token, path string) string {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		s.t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /orders", Access: routes.Require(xenaauth.AllScopes("testapi"))},
	}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	guard := routes.NewGuard(xenaauth.NewMiddleware(v, nil), table.Find)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	guard.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	return log.String()
}

// TestMisconfigurations has a case for each usual mistake in a configuration or a token. It runs a
// command with a test issuer, or sends a request to a guard. The output of the command, or the log
// of the guard, must name the mistake and how to correct it.
func TestMisconfigurations(t *testing.T) {
	doctor := func(s *testService) (string, int) { return s.ask("", "doctor") }
	explain := func(token xenaauthtest.Token, args ...string) func(*testService) (string, int) {
		return func(s *testService) (string, int) {
			return s.ask(s.issuer.JWT(token), append([]string{"explain"}, args...)...)
		}
	}
	for _, c := range []struct {
		name   string
		spoil  func(*testService)
		ask    func(*testService) (string, int)
		status int
		// want contains texts that the output of the command, or the log of the guard, must
		// contain: first the mistake, then how to correct it.
		want []string
	}{
		{
			name:  "wrong issuer",
			spoil: func(s *testService) { s.set("ISSUER", "https://logintest.example") },
			ask:   doctor, status: 1,
			want: []string{
				`✗ issuer         the metadata say "https://login.example", XENA_ISSUER is "https://logintest.example"`,
				`→ Set XENA_ISSUER="https://login.example"`,
			},
		},
		{
			name:  "wrong issuer, by a token",
			spoil: func(s *testService) { s.set("ISSUER", "https://logintest.example") },
			ask:   explain(xenaauthtest.Token{}), status: 1,
			want: []string{
				`✗ issuer`, `iss is "https://login.example", XENA_ISSUER is "https://logintest.example"`,
				`set XENA_ISSUER="https://login.example"`,
			},
		},
		{
			name:  "trailing slash",
			spoil: func(s *testService) { s.set("ISSUER", "https://login.example/") },
			ask:   doctor, status: 1,
			want: []string{
				`✗ issuer`, `XENA_ISSUER is "https://login.example/": only the slash at the end differs`,
				`→ Set XENA_ISSUER="https://login.example"`,
			},
		},
		{
			name:  "trailing slash, by a token",
			spoil: func(s *testService) { s.set("ISSUER", "https://login.example/") },
			ask:   explain(xenaauthtest.Token{}), status: 1,
			want: []string{
				`✗ issuer`, `only the slash at the end differs`, `Set XENA_ISSUER to exactly what the issuer writes`,
			},
		},
		{
			name:  "http issuer",
			spoil: func(s *testService) { s.set("ISSUER", "http://login.example") },
			ask:   doctor, status: 1,
			want: []string{`✗ configuration  XENA_ISSUER is not an https URL`, `→ Use the https URL of the issuer.`},
		},
		{
			name:  "wrong audience",
			spoil: func(s *testService) { s.set("AUDIENCE", "invoices") },
			ask:   explain(xenaauthtest.Token{}), status: 1,
			want: []string{
				`✗ audience`, `aud is "testapi" "https://login.example/resources", XENA_AUDIENCE is "invoices"`,
				`add that to XENA_AUDIENCE`,
			},
		},
		{
			name:  "wrong introspection secret",
			spoil: func(s *testService) { s.set("INTROSPECTION_CLIENT_SECRET", "another-secret") },
			ask:   doctor, status: 1,
			want: []string{
				`✗ introspection  the issuer refuses the credentials of this API`,
				`→ Check XENA_INTROSPECTION_CLIENT_ID and XENA_INTROSPECTION_CLIENT_SECRET`,
			},
		},
		{
			name:  "unreachable issuer",
			spoil: func(s *testService) { s.issuer.Close() },
			ask:   doctor, status: 3,
			want: []string{`✗ metadata       connection refused`, `→ Check that the issuer runs, and that this host reaches it`},
		},
		{
			name: "HTML at discovery",
			spoil: func(s *testService) {
				s.issuer.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{
					Body: "<!doctype html><title>Log in</title>", ContentType: "text/html; charset=utf-8",
				})
			},
			ask: doctor, status: 1,
			want: []string{
				`✗ metadata       the response is an HTML page (status 200), not JSON`, `→ A login page or a proxy answers`,
			},
		},
		{
			name: "clock off by ten minutes",
			spoil: func(s *testService) {
				date := time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
				s.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Header: http.Header{"Date": {date}}})
			},
			ask: doctor, status: 1,
			want: []string{
				`✗ clock`, `the issuer's clock is `, ` ahead of the clock here`, `not_yet_valid`,
				`→ Find out which clock is wrong`,
			},
		},
		{
			name: "clock off by ten minutes, by a token",
			ask: explain(xenaauthtest.Token{Claims: map[string]any{
				"nbf": time.Now().Add(10 * time.Minute).Unix(),
				"exp": time.Now().Add(70 * time.Minute).Unix(),
			}}),
			status: 1,
			want:   []string{`✗ times`, `after the time here`, `→ The issuer's clock is ahead of the clock here`},
		},
		{
			name: "scope typo",
			ask:  explain(xenaauthtest.Token{}, "--scope", "tetsapi"), status: 1,
			want: []string{
				`✗ route`, `the route requires "tetsapi"`,
				`→ The token has "testapi", the route requires "tetsapi": one of them is probably a typing error.`,
			},
		},
		{
			name: "forgotten guard",
			ask: func(s *testService) (string, int) {
				return s.guardLog(s.issuer.JWT(xenaauthtest.Token{}), "/invoices"), 0
			},
			want: []string{`reason=no_rule`, `no rule matches the request: add a rule for its method and path`},
		},
		{
			name: "lifetime above the limit",
			ask:  explain(xenaauthtest.Token{Lifetime: 10 * time.Hour}), status: 1,
			want: []string{
				`✗ times`, `exp is 10h0m0s after nbf, XENA_MAX_TOKEN_LIFETIME is 1h0m0s`,
				`set XENA_MAX_TOKEN_LIFETIME=10h0m0s`,
			},
		},
		{
			name: "client token without a user",
			ask:  explain(xenaauthtest.Token{Machine: true}), status: 1,
			want: []string{
				`✗ user`, `sub is missing`, `XENA_ALLOW_CLIENT_TOKENS=true`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			if c.spoil != nil {
				c.spoil(s)
			}
			text, status := c.ask(s)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing", want)
				}
			}
			if t.Failed() || testing.Verbose() {
				t.Logf("output:\n%s", text)
			}
		})
	}
}

// TestGoodConfiguration runs "doctor" and "explain" with a configuration that has no mistake.
func TestGoodConfiguration(t *testing.T) {
	s := newService(t)
	for _, args := range [][]string{{"doctor"}, {"explain", "--scope", "testapi"}} {
		for _, token := range []string{
			s.issuer.JWT(xenaauthtest.Token{}), s.issuer.Opaque(xenaauthtest.Token{}),
		} {
			text, status := s.ask(token, args...)
			if status != 0 || strings.Contains(text, "✗") {
				t.Errorf("%v: exit status %d:\n%s", args, status, text)
			}
			if testing.Verbose() {
				t.Log("\n" + text)
			}
		}
	}
}
