package possession_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// fieldProof is a proof of possession for tests. A member of the claim cnf of a token contains a
// value. fieldProof confirms the token if a header field of the request contains the same value. It
// accepts each value only once.
type fieldProof struct {
	scheme, member, field string
	params                map[string]string
	err                   error // if err is set, each call of Confirm returns it
	used                  map[string]bool
	calls                 []string // the tokens that the calls of Confirm received
}

func newKeyProof() *fieldProof {
	return &fieldProof{scheme: "Key", member: "key", field: "Proof", used: make(map[string]bool)}
}

func newCertProof() *fieldProof {
	return &fieldProof{scheme: "Bearer", member: "x5t#S256", field: "Cert", used: make(map[string]bool)}
}

func (p *fieldProof) Scheme() string            { return p.scheme }
func (p *fieldProof) Member() string            { return p.member }
func (p *fieldProof) Params() map[string]string { return p.params }

func (p *fieldProof) Confirm(r *http.Request, token, value string) error {
	p.calls = append(p.calls, token)
	if p.err != nil {
		return p.err
	}
	if r.Header.Get(p.field) != value || p.used[value] {
		return &xenaauth.Error{Reason: xenaauth.ReasonConfirmation, Params: map[string]string{"error": "bad_" + p.member}}
	}
	p.used[value] = true
	return nil
}

func (p *fieldProof) Respond(h http.Header, _ *http.Request, err error) {
	if err == nil {
		h.Add("Confirmed", p.member)
	}
}

// A testService is an issuer, a validator, and a middleware that checks proofs of possession.
type testService struct {
	issuer    *xenaauthtest.Issuer
	validator *xenaauth.Validator
	m         *xenaauth.Middleware
}

func start(t *testing.T, change func(*xenaauth.Config), proofs ...xenaauth.Proof) *testService {
	t.Helper()
	s := &testService{issuer: harness.NewIssuer()}
	cfg := s.issuer.HybridConfig()
	if change != nil {
		change(&cfg)
	}
	s.validator = harness.NewValidator(t, cfg)
	s.m = middleware(s.validator, proofs...)
	return s
}

func middleware(v xenaauth.TokenValidator, proofs ...xenaauth.Proof) *xenaauth.Middleware {
	return xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: proofs, Logger: slog.New(slog.DiscardHandler)})
}

// testService.token returns a JWT of the issuer. The claim cnf of the JWT has the value of the
// parameter cnf.
func (s *testService) token(cnf any) string {
	return s.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": cnf}})
}

// newRequest returns a GET request with the given Authorization field. The parameter fieldPairs
// contains its other header fields, as pairs of a name and a value.
func newRequest(authorization string, fieldPairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", authorization)
	for i := 0; i < len(fieldPairs); i += 2 {
		r.Header.Set(fieldPairs[i], fieldPairs[i+1])
	}
	return r
}

func send(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// testService.guardedHandler returns a handler behind a guard that requires a user.
func (s *testService) guardedHandler() http.Handler {
	return s.m.Require(xenaauth.AnyUser())(harness.Teapot)
}

// userCache is a TokenValidator that stores the user of each token. If the token comes again, from
// any middleware, it returns the stored user.
type userCache struct {
	xenaauth.TokenValidator
	users map[string]*xenaauth.User
}

func (c userCache) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	if u, ok := c.users[token]; ok {
		return u, nil
	}
	u, err := c.TokenValidator.Validate(ctx, token)
	if err == nil {
		c.users[token] = u
	}
	return u, err
}

func (c userCache) Unwrap() xenaauth.TokenValidator { return c.TokenValidator }

// responseRewriter is a RoundTripper that changes the responses of the introspection endpoint.
type responseRewriter struct {
	next   http.RoundTripper
	change func(map[string]any)
}

func (rt *responseRewriter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := rt.next.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost {
		return resp, err
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return nil, err
	}
	rt.change(body)
	text, err := json.Marshal(body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return resp, err
}
