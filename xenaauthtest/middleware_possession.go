package xenaauthtest

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// keyProof is a proof of possession for tests. The header field X-Test-Key contains the key itself,
// and not a signature.
type keyProof struct{}

func (keyProof) Scheme() string            { return "TestKey" }
func (keyProof) Member() string            { return "test_key" }
func (keyProof) Params() map[string]string { return map[string]string{"algs": "none"} }

func (keyProof) Confirm(r *http.Request, _, value string) error {
	switch r.Header.Get("X-Test-Key") {
	case value:
		return nil
	case "outage":
		return errors.New("the store of 10.0.0.7 is away")
	}
	return &xenaauth.Error{
		Reason: xenaauth.ReasonConfirmation,
		Params: map[string]string{"error": "invalid_test_key", "error_description": "The key is another."},
	}
}

func (keyProof) Respond(h http.Header, r *http.Request, err error) {
	outcome := "passes"
	if err != nil {
		outcome = "refused"
	}
	h.Set("X-Test-Nonce", outcome+" "+r.URL.Path)
}

// testPossession tests the responses of a middleware with a proof of possession. The proof sets
// header fields in all responses, also if the request passes. A refusal has one challenge for each
// authentication scheme.
func (s *middlewareSuite) testPossession(t *testing.T) {
	a := []xenaauth.Requirement{xenaauth.AllScopes("a")}
	m := s.start(t, xenaauth.Options{Proofs: []xenaauth.Proof{keyProof{}}}, []Guarded{
		{Method: http.MethodGet, Path: "/", Require: a, Serve: greet},
		{Method: http.MethodGet, Path: "/nested", Group: a, Require: a, Serve: greet},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greet},
	})
	bound := s.issuer.JWT(Token{
		Subject: "ann", Scopes: []string{"a"},
		Claims: map[string]any{"aud": s.issuer.API(), "cnf": map[string]any{"test_key": "k1", "unknown": true}},
	})
	unbound := s.token("a")
	const refused = `error="invalid_token", error_description="The access token is bound to a key that was not shown."`
	challenges := func(ofBearer, ofKey string) []string {
		join := func(parts ...string) string {
			out := parts[0]
			for _, p := range parts[1:] {
				if p != "" {
					out += ", " + p
				}
			}
			return out
		}
		return []string{
			join(`Bearer realm="xena"`, ofBearer, `scope="a"`),
			join(`TestKey realm="xena"`, ofKey, `scope="a"`, `algs="none"`),
		}
	}
	for _, c := range []struct {
		name, path, authorization, key string
		status                         int
		challenges                     []string
		nonce                          string
	}{
		{"bound, with the key", "/", "TestKey " + bound, "k1", 200, nil, "passes /"},
		{"bound, another case of the scheme", "/", "tESTkEY " + bound, "k1", 200, nil, "passes /"},
		{"bound, nested", "/nested", "TestKey " + bound, "k1", 200, nil, "passes /nested"},
		{"bound, Optional", "/optional", "TestKey " + bound, "k1", 200, nil, "passes /optional"},
		{"not bound", "/", "Bearer " + unbound, "", 200, nil, ""},
		{"no token", "/", "", "", 401, challenges("", ""), "refused /"},
		{
			"bound, another key", "/", "TestKey " + bound, "k2", 401,
			challenges("", `error="invalid_test_key", error_description="The key is another."`), "refused /",
		},
		{"bound, as Bearer", "/", "Bearer " + bound, "k1", 401, challenges(refused, ""), "refused /"},
		{"not bound, as TestKey", "/", "TestKey " + unbound, "k1", 401, challenges("", refused), "refused /"},
		{"outage of the proof", "/", "TestKey " + bound, "outage", 503, nil, "refused /"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.during(t)
			m.reset()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.authorization != "" {
				req.Header.Set("Authorization", c.authorization)
			}
			req.Header.Set("X-Test-Key", c.key)
			resp, err := m.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			served, events, _ := m.reset()
			if resp.StatusCode != c.status || (served == 1) != (c.status == 200) || len(events) != 1 {
				t.Errorf("status %d, the handler ran %d times, %d events, want %d", resp.StatusCode, served, len(events), c.status)
			}
			if got := resp.Header.Values("WWW-Authenticate"); !slices.Equal(got, c.challenges) {
				t.Errorf("WWW-Authenticate %q\nwant %q", got, c.challenges)
			}
			wantField(t, resp.Header, "X-Test-Nonce", c.nonce)
		})
	}
}
