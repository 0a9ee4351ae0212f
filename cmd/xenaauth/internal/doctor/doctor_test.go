package doctor

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func text(t *testing.T, l *Checklist) string {
	t.Helper()
	var out strings.Builder
	if err := console.New(nil, &out, &out, console.Options{}).Print(l); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func examine(ctx context.Context, cfg xenaauth.Config) *Checklist {
	l, _ := fromEnvironment(cfg, nil).examine(ctx)
	return l
}

// findCheck looks in the checklist l for a check with the given name. It returns the last such
// check that was not skipped. If all of them were skipped, it returns the first one. It returns the
// zero Check if the checklist has no check with this name.
func findCheck(l *Checklist, name string) (found Check) {
	for _, c := range l.Checks {
		if c.Name == name && (c.State != Skipped || found.Name == "") {
			found = c
		}
	}
	return found
}

// serveWrongMetadata makes a test issuer serve metadata with one mistake: wrongValue is the value
// of the member whose name is memberName.
func serveWrongMetadata(i *xenaauthtest.Issuer, memberName string, wrongValue any) {
	document := map[string]any{
		"issuer":                 i.URL(),
		"jwks_uri":               i.URL() + "/.well-known/openid-configuration/jwks",
		"introspection_endpoint": i.URL() + "/connect/introspect",
	}
	document[memberName] = wrongValue
	raw, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	i.SetMetadata(raw)
}

type issuer = xenaauthtest.Issuer

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name   string
		config func(*xenaauth.Config)
		issuer func(*issuer)
		check  string
		state  State
		want   []string
	}{
		{name: "good", check: "introspection", state: Good},
		{
			name: "another case", check: "issuer", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "issuer", "https://Login.xena.biz") },
			want:   []string{"only upper and lower case differ", `XENA_ISSUER="https://Login.xena.biz"`},
		},
		{
			name: "http and https", check: "issuer", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "issuer", "http://login.xena.biz") },
			want:   []string{"only http and https differ", "X-Forwarded-Proto"},
		},
		{
			name: "an internal host", check: "issuer", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "issuer", "http://identity-7f.prod.svc.cluster.local:8080") },
			want:   []string{"the metadata name an internal host", "IssuerUri"},
		},
		{
			name: "an issuer that is no URL", check: "issuer", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "issuer", "xena") },
			want:   []string{`the metadata say "xena", which is not a URL`},
		},
		{
			name: "an http endpoint", check: "metadata", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "jwks_uri", "http://identity-7f.prod.svc/jwks") },
			want:   []string{"the URL of an endpoint is not https", "X-Forwarded-Proto"},
		},
		{
			name: "not found", check: "metadata", state: Bad,
			issuer: func(i *issuer) { i.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{Status: 404}) },
			want:   []string{"status 404", "Check XENA_ISSUER"},
		},
		{
			name: "a redirect", check: "metadata", state: Bad,
			issuer: func(i *issuer) {
				i.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{
					Status: 302, Header: http.Header{"Location": {"https://identity-7f.prod.svc/"}},
				})
			},
			want: []string{"redirects are not followed", "the URL to which the issuer redirects"},
		},
		{
			name: "an overloaded issuer", check: "metadata", state: Unknown,
			issuer: func(i *issuer) { i.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{Status: 503}) },
		},
		{
			name: "skipped keys", check: "key set", state: Warning,
			issuer: func(i *issuer) {
				good := strings.TrimSuffix(strings.TrimSpace(string(i.JWKS())), "]}")
				i.SetJWKS([]byte(good + `,{"kty":"oct","kid":"shared","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQ"},` +
					`{"kty":"RSA","use":"enc","kid":"enc","n":"AQAB","e":"AQAB"}]}`))
			},
			want: []string{
				"1 usable key", "2 keys skipped", `key 2, kid "shared": private or symmetric key`,
				`key 3, kid "enc": not for signatures`,
			},
		},
		{
			name: "no usable key", check: "key set", state: Bad,
			issuer: func(i *issuer) { i.SetJWKS([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"a"}]}`)) },
			want:   []string{"no usable key", `key 1, kid "a": member "x" is missing`},
		},
		{
			name: "a key set that is no JSON", check: "key set", state: Bad,
			issuer: func(i *issuer) { i.SetJWKS([]byte(`keys`)) },
			want:   []string{"Check the URL of the key set: jwks_uri in the metadata, or XENA_JWKS_URL"},
		},
		{
			name: "another algorithm", check: "algorithms", state: Bad,
			config: func(c *xenaauth.Config) { c.Algorithms = []string{"ES256"} },
			want:   []string{"the keys fit RS256, XENA_ALGORITHMS is ES256"},
		},
		{
			name: "a key set for a week", check: "caching", state: Warning,
			issuer: func(i *issuer) { i.SetCacheControl("max-age=604800") },
			want:   []string{"168h0m0s", "max-age of at most an hour"},
		},
		{
			name: "a key set for an hour", check: "caching", state: Good,
			issuer: func(i *issuer) { i.SetCacheControl("max-age=3600") },
			want:   []string{"after at most 1h0m0s"},
		},
		{
			name: "no introspection", check: "introspection", state: Skipped,
			config: func(c *xenaauth.Config) { c.Introspection = nil },
		},
		{
			name: "no endpoint", check: "introspection", state: Bad,
			issuer: func(i *issuer) { serveWrongMetadata(i, "introspection_endpoint", nil) },
			want: []string{"introspection_endpoint " +
				"is missing", "Set XENA_INTROSPECTION_ENDPOINT"},
		},
		{
			name: "an endpoint that accepts everything", check: "introspection", state: Bad,
			issuer: func(i *issuer) {
				i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: `{"active":true,"client_id":"c"}`})
			},
			want: []string{"says that a text is active which is no token"},
		},
		{
			name: "white space in the secret", check: "introspection", state: Bad,
			config: func(c *xenaauth.Config) { c.Introspection.ClientSecret += "\n" },
			want:   []string{"begins or ends with white space"},
		},
		{
			name: "every token is introspected", check: "issuer", state: Good,
			config: func(c *xenaauth.Config) { c.AlwaysIntrospect = true },
		},
		{
			name: "every token is introspected, wrong issuer", check: "issuer", state: Bad,
			config: func(c *xenaauth.Config) { c.AlwaysIntrospect = true },
			issuer: func(i *issuer) { serveWrongMetadata(i, "issuer", "https://x.example") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(nil)
			cfg := issuer.HybridConfig()
			if c.config != nil {
				c.config(&cfg)
			}
			if c.issuer != nil {
				c.issuer(issuer)
			}
			l := examine(t.Context(), cfg)
			got, shown := findCheck(l, c.check), text(t, l)
			if got.State != c.state {
				t.Errorf("%s is %q, want %q\n%s", c.check, got.State, c.state, shown)
			}
			if got.State == Bad && got.Fix == "" {
				t.Errorf("no fix:\n%s", shown)
			}
			for _, want := range c.want {
				if !strings.Contains(shown, want) {
					t.Errorf("%q is missing:\n%s", want, shown)
				}
			}
			for _, secret := range []string{issuer.APISecret(), "identity-7f", "prod.svc", "c2VjcmV0"} {
				if strings.Contains(shown, secret) {
					t.Errorf("the output contains %q:\n%s", secret, shown)
				}
			}
		})
	}
}

// postOnly is an HTTP transport that refuses requests whose credentials are in the header field
// Authorization (Basic).
type postOnly struct{ http.RoundTripper }

func (p postOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		w := httptest.NewRecorder()
		w.WriteHeader(http.StatusUnauthorized)
		return w.Result(), nil
	}
	return p.RoundTripper.RoundTrip(r)
}

// TestOtherAuthMethod uses an issuer that accepts the client secret only as a form parameter in the
// body of the request. The service sends the secret in the header field Authorization instead. The
// command "doctor" finds out that the issuer would accept the secret in the body.
func TestOtherAuthMethod(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	cfg := issuer.HybridConfig()
	cfg.HTTPClient.Transport = postOnly{cfg.HTTPClient.Transport}
	got := findCheck(examine(t.Context(), cfg), "introspection")
	if got.State != Bad || !strings.Contains(got.Fix, "XENA_INTROSPECTION_AUTH=post") {
		t.Errorf("%+v", got)
	}
}

// TestCertificate uses an issuer with TLS. In the first case, the HTTP client trusts the issuer's
// certificate. In the second case, it does not.
func TestCertificate(t *testing.T) {
	var issuer *xenaauthtest.Issuer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issuer.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	issuer = xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: server.URL})
	cfg := issuer.Config()
	cfg.HTTPClient = server.Client()
	l := examine(t.Context(), cfg)
	if got := findCheck(l, "certificate"); got.State != Good || !strings.Contains(got.Found, "days") {
		t.Errorf("%+v\n%s", got, text(t, l))
	}
	cfg.HTTPClient = nil
	l = examine(t.Context(), cfg)
	if got := findCheck(l, "metadata"); got.State != Bad || !strings.Contains(got.Found, "an authority that is not trusted here") {
		t.Errorf("%+v\n%s", got, text(t, l))
	}
}
