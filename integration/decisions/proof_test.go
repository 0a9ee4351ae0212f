package decisions

import (
	"errors"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// keyProof is a proof of possession for tests. It requires that the header field X-Test-Key of a
// request contains the key to which the token is bound.
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
	h.Set("X-Test-Nonce", outcome+" "+r.Method+" "+r.URL.Path)
}

// TestProof uses a middleware that checks the client's proof of possession with a keyProof. It sends
// requests through each protocol that the library supports, for example net/http, gRPC and ext_authz.
// The keyProof must get the header fields of the client's request. The client must get the header
// fields that the keyProof adds to the response.
func TestProof(t *testing.T) {
	for _, c := range []struct {
		name, path, scheme string
		tokenBound         bool // whether the token is bound to the key k1
		key                string
		status             int
		reason             xenaauth.Reason
		challenges         string
		nonce              string
	}{
		{"bound, with the key", "/t.T/Any", "TestKey", true, "k1", 200, "", "", "passes POST /t.T/Any"},
		{"bound, on an optional route", "/t.T/Optional", "TestKey", true, "k1", 200, "", "", "passes POST /t.T/Optional"},
		{"not bound", "/t.T/Any", "Bearer", false, "", 200, "", "", ""},
		{"no token", "/t.T/Any", "", false, "", 401, xenaauth.ReasonMissingToken,
			`Bearer realm="xena", TestKey realm="xena", algs="none"`, "refused POST /t.T/Any"},
		{"bound, another key", "/t.T/Any", "TestKey", true, "k2", 401, xenaauth.ReasonConfirmation,
			`Bearer realm="xena", TestKey realm="xena", error="invalid_test_key", error_description="The key is another.", algs="none"`,
			"refused POST /t.T/Any"},
		{"bound, without the key", "/t.T/Any", "TestKey", true, "", 401, xenaauth.ReasonConfirmation,
			`Bearer realm="xena", TestKey realm="xena", error="invalid_test_key", error_description="The key is another.", algs="none"`,
			"refused POST /t.T/Any"},
		{"bound, as Bearer", "/t.T/Any", "Bearer", true, "k1", 401, xenaauth.ReasonConfirmation, "", "refused POST /t.T/Any"},
		{"not bound, as TestKey", "/t.T/Any", "TestKey", false, "k1", 401, xenaauth.ReasonConfirmation, "", "refused POST /t.T/Any"},
		{"the proof fails", "/t.T/Any", "TestKey", true, "outage", 503, xenaauth.ReasonUnavailable, "", "refused POST /t.T/Any"},
		{"no rule", "/t.T/Unknown", "TestKey", true, "k1", 403, xenaauth.ReasonNoRule, "", "refused POST /t.T/Unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, protocol := range protocols {
				s := newSite(t, []routes.Rule{
					{Pattern: "/t.T/Any", Access: routes.Require(xenaauth.AnyUser())},
					{Pattern: "/t.T/Optional", Access: routes.Optional()},
				}, xenaauth.Options{Proofs: []xenaauth.Proof{keyProof{}}})
				claims := map[string]any{"aud": s.issuer.API()}
				if c.tokenBound {
					claims["cnf"] = map[string]any{"test_key": "k1"}
				}
				header := make(http.Header)
				if c.scheme != "" {
					header.Set("Authorization", c.scheme+" "+s.issuer.JWT(xenaauthtest.Token{Subject: "ann", Claims: claims}))
				}
				if c.key != "" {
					header.Set("X-Test-Key", c.key)
				}
				got := protocol(t, s)(t, request{path: c.path, header: header})
				if got.allowed != (c.status == 200) || got.code != codeOf(c.status) || got.reason != string(c.reason) ||
					got.status != 0 && got.status != c.status || c.challenges != "" && got.challenges != c.challenges {
					t.Errorf("%s: status %d, %+v", name, got.status, got.decision)
				}
				if nonce := got.header.Get("X-Test-Nonce"); nonce != c.nonce {
					t.Errorf("%s: nonce %q, want %q", name, nonce, c.nonce)
				}
				if n := len(s.takeEvents()); n != 1 {
					t.Errorf("%s: %d events", name, n)
				}
			}
		})
	}
}
