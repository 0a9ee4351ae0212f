package outputs

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// tokenSubject is the sub of all tokens in these tests. It is personal data: only the log of
// refusals and the field User of an event may contain it.
const tokenSubject = "subject-of-the-tokens-5521"

func tokenOf() xenaauthtest.Token { return xenaauthtest.Token{Subject: tokenSubject} }

// newRequest returns a request with the given values of the header field Authorization.
func newRequest(target string, authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://api.example"+target, nil)
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	return r
}

// An attack is a request, usually a hostile one, together with the response that the test expects.
type attack struct {
	name   string
	status int
	reason xenaauth.Reason
	// makeRequest returns a hostile request, and the tokens in this request. For some attacks it
	// first causes an outage: the issuer fails, or the network between the API and the issuer
	// fails.
	makeRequest func(*service) (*http.Request, []string)
	// unlogged means that the library writes no log record of the refusal. This is so if a policy
	// panics: the library passes the panic on, and the HTTP server writes it to its own log.
	unlogged bool
	// editConfig edits the configuration of the API's Validator. If the field editConfig is nil,
	// the configuration stays as it is.
	editConfig func(*xenaauth.Config)
	// newProofs returns the proofs of possession that the API's middleware checks. If the field
	// newProofs is nil, the middleware checks no proofs.
	newProofs func(testing.TB) []xenaauth.Proof
}

// bearerRequest returns a value for attack.makeRequest: a function that makes a request to path
// with one token.
func bearerRequest(path string, token func(*service) string) func(*service) (*http.Request, []string) {
	return func(s *service) (*http.Request, []string) {
		text := token(s)
		return newRequest(path, "Bearer "+text), []string{text}
	}
}

// jwtWithClaims returns a function that makes a JWT with the given claims.
func jwtWithClaims(claims map[string]any) func(*service) string {
	return func(s *service) string {
		t := tokenOf()
		t.Claims = claims
		return s.issuer.JWT(t)
	}
}

func good(s *service) string   { return s.issuer.JWT(tokenOf()) }
func opaque(s *service) string { return s.issuer.Opaque(tokenOf()) }

// requestInFailure returns a value for attack.makeRequest: a function that makes the network
// between the API and the issuer fail, and then makes a request with a token.
func requestInFailure(f networkFailure, token func(*service) string) func(*service) (*http.Request, []string) {
	return func(s *service) (*http.Request, []string) {
		s.network.currentFailure.Store(int32(f))
		return bearerRequest("/invoices", token)(s)
	}
}

const wrongSecret = "wrong secret <&\"%+ 93b7"

func attacks() []attack {
	plain := func(name string, status int, reason xenaauth.Reason, token func(*service) string) attack {
		return attack{name: name, status: status, reason: reason, makeRequest: bearerRequest("/invoices", token)}
	}
	all := []attack{
		plain("good token", 200, "", good),
		plain("good opaque token", 200, "", opaque),
		plain("garbage", 401, "", func(*service) string { return strings.Repeat("Zx9Qw7", 20) }),
		plain("token that is too long", 400, "", func(s *service) string {
			return good(s) + strings.Repeat("kJ8d", 5000)
		}),
		plain("control characters", 400, "", func(s *service) string { return good(s) + "\x00\x1b[31m\r\n" }),
		plain("token without signature", 401, "", func(s *service) string {
			t := good(s)
			return t[:strings.LastIndex(t, ".")+1]
		}),
		plain("header that is no JSON", 401, "", func(s *service) string {
			return s.issuer.SignBytes([]byte("this is no JSON: "+internalURL), []byte(`{}`))
		}),
		plain("payload that is no JSON", 401, "", func(s *service) string {
			return s.issuer.SignBytes([]byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte("{\"sub\":\""+tokenSubject))
		}),
		plain("forged signature", 401, xenaauth.ReasonSignature, func(s *service) string {
			t := good(s)
			i := strings.LastIndex(t, ".") + 20
			return t[:i] + string(rune('A'+(t[i]-'A'+1)%4)) + t[i+1:]
		}),
		plain("token of another issuer", 401, "", func(*service) string {
			other := &xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: "https://login.other.example"}
			return xenaauthtest.NewIssuer(other).JWT(tokenOf())
		}),
		plain("token that another key signed", 401, "", func(*service) string {
			return xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).JWT(tokenOf())
		}),
		plain("expired token", 401, xenaauth.ReasonExpired, func(s *service) string {
			return s.issuer.JWT(xenaauthtest.Token{Subject: tokenSubject, Lifetime: -time.Hour})
		}),
		plain("bound token", 401, "", jwtWithClaims(map[string]any{
			"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		})),
		plain("token of another audience", 401, "", jwtWithClaims(map[string]any{"aud": "another"})),
		plain("token with a claim of another type", 401, "", jwtWithClaims(map[string]any{"scope": 7})),
		plain("ID token", 401, "", func(s *service) string { return s.issuer.IDToken(tokenOf()) }),
		plain("logout token", 401, "", func(s *service) string { return s.issuer.LogoutToken(tokenOf()) }),
		plain("token of a revoked session", 401, xenaauth.ReasonRevoked, func(s *service) string {
			t := good(s)
			fatal(s.t, s.validator.Revoke(s.t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(t)}))
			return t
		}),
		plain("opaque token that is revoked", 401, "", func(s *service) string {
			t := opaque(s)
			s.issuer.Revoke(t)
			return t
		}),
		{
			name: "token without the scope", status: 403, reason: xenaauth.ReasonInsufficientScope,
			makeRequest: bearerRequest("/admin", good),
		},
		{
			name: "policy whose error has the token", status: 403, reason: xenaauth.ReasonForbidden,
			makeRequest: bearerRequest("/policy", good),
		},
		{
			name: "policy that panics with the token", status: 503, reason: xenaauth.ReasonUnavailable,
			makeRequest: bearerRequest("/panic", good), unlogged: true,
		},
		{name: "several fields", status: 400, makeRequest: func(s *service) (*http.Request, []string) {
			a, b := good(s), opaque(s)
			return newRequest("/invoices", "Bearer "+a, "Bearer "+b), []string{a, b}
		}},
		{name: "two tokens in one field", status: 400, makeRequest: func(s *service) (*http.Request, []string) {
			a, b := good(s), opaque(s)
			return newRequest("/invoices", "Bearer "+a+", Bearer "+b), []string{a, b}
		}},
		{name: "token as the scheme", status: 401, makeRequest: func(s *service) (*http.Request, []string) {
			t := good(s)
			return newRequest("/invoices", t+" Bearer"), []string{t}
		}},
		{name: "token in the query", status: 401, makeRequest: func(s *service) (*http.Request, []string) {
			t := good(s)
			return newRequest("/invoices?access_token=" + url.QueryEscape(t)), []string{t}
		}},
		{name: "token in the query of an optional route", status: 200, makeRequest: func(s *service) (*http.Request, []string) {
			t := good(s)
			return newRequest("/news?access_token=" + url.QueryEscape(t)), []string{t}
		}},
		{name: "wrong secret of the API", status: 503, makeRequest: bearerRequest("/invoices", opaque),
			editConfig: func(c *xenaauth.Config) { c.Introspection.ClientSecret = wrongSecret }},
	}
	for name, f := range map[string]networkFailure{
		"error": failError, "status 500": failStatus500, "no JSON": failNotJSON, "redirect": failRedirect, "status 401": failStatus401,
	} {
		all = append(all,
			attack{name: "introspection fails: " + name, status: 503, makeRequest: requestInFailure(f, opaque)},
			attack{name: "key set fails: " + name, status: 503, makeRequest: requestInFailure(f, good)},
			attack{name: "metadata fail: " + name, status: 503, makeRequest: requestInFailure(f, good),
				editConfig: func(c *xenaauth.Config) { c.JWKSURL = "" }},
		)
	}
	return all
}

// TestOutputsOfAttacks starts a new API for each hostile request and sends the request three times.
// Then it looks for tokens, secrets and internal addresses in all outputs of the API.
func TestOutputsOfAttacks(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	for _, a := range append(attacks(), proofAttacks()...) {
		t.Run(a.name, func(t *testing.T) {
			var proofs []xenaauth.Proof
			if a.newProofs != nil {
				proofs = a.newProofs(t)
			}
			s := newService(t, a.editConfig, proofs...)
			slog.SetDefault(s.logger) // code that has no logger of its own uses this default logger
			r, tokens := a.makeRequest(s)
			for range 3 {
				if status := s.send(r); status != a.status {
					t.Fatalf("status %d, want %d:\n%s", status, a.status, s.text.String())
				}
			}
			if s.last == nil || (a.status == 200) != (s.last.Err == nil) ||
				a.reason != "" && s.last.Err.Reason != a.reason {
				t.Fatalf("the event is %+v, want reason %q", s.last, a.reason)
			}
			f := s.newForbidden(s.issuer.APISecret())
			f.tokens = tokens
			f.texts["wrong secret"] = wrongSecret
			for name, output := range s.outputs() {
				if want, ok := proofOfLife[name]; ok && !strings.Contains(output, want) {
					t.Errorf("%s: the output lacks %q:\n%s", name, want, output)
				}
				if found := f.find(output); found != "" {
					t.Errorf("%s contains the %s:\n%s", name, found, output)
				}
				log := strings.HasPrefix(name, "log")
				if log && a.status != 200 && strings.Contains(output, "xenaauth: ") == a.unlogged {
					t.Errorf("%s: a record of the refusal is there: %v", name, a.unlogged)
				}
				if !log && name != "events" && strings.Contains(output, tokenSubject) {
					t.Errorf("%s contains the subject:\n%s", name, output)
				}
			}
		})
	}
}

// proofOfLife contains a text for each output of the API, for example the audit log. The map key is
// the name of the output. The output must contain the text, so that the test notices an output that
// is turned off.
var proofOfLife = map[string]string{
	"audit log": `"outcome":`, "events": "\n", "responses": "HTTP/1.1 ", "status": `"issuer":`,
	"Prometheus": "xenaauth_decisions_total{", "OpenTelemetry metrics": "xenaauth.authenticate.duration",
	"OpenTelemetry spans": "xenaauth.authenticate",
}
