package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestBoundToken explains a token that is bound to a key. A service that checks no proofs of
// possession refuses the token. A service with DPoP accepts the token together with a proof. The
// commands assume that the client sends this proof, and say so. If the service or the route
// requires a bound token, a token that is not bound is refused. If a token is refused, the commands
// say nothing about a proof: no proof would change that.
func TestBoundToken(t *testing.T) {
	s := newService(t)
	bound := s.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	}})
	// This second token is bound to the same key as the first token. It lacks the scope that the
	// rules require.
	other := s.issuer.JWT(xenaauthtest.Token{Scopes: []string{"other"}, Claims: map[string]any{
		"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	}})
	plain := s.issuer.JWT(xenaauthtest.Token{})
	table := filepath.Join(t.TempDir(), "routes.yaml")
	rules := "rules:\n  - {route: GET /pay, scopes: [testapi], bound: true}\n  - {route: GET /read, scopes: [testapi]}\n"
	if err := os.WriteFile(table, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, dpop, token string
		args              []string
		status            int
		want              []string
	}{
		{"explain, no proofs", "", bound, []string{"explain"}, 1, []string{
			"✗ binding", "→ The token is bound to a key of the client (cnf)", "XENA_DPOP=accepted", "refused: confirmation",
		}},
		{"explain", "accepted", bound, []string{"explain"}, 0, []string{
			"✓ binding      cnf binds the token to a key: each request needs a proof of possession", "✓ signature",
			"✓ allowed", "each request needs a proof of possession, which this command can't check",
		}},
		{"explain as JSON", "accepted", bound, []string{"explain", "--json"}, 0, []string{`"proof_required": true`}},
		{"explain, not bound", "required", plain, []string{"explain"}, 1, []string{
			"✓ signature", "✗ route", "the token has no cnf", "→ The client must get a token that is bound to a key",
			"WWW-Authenticate: DPoP ",
		}},
		{"can, no proofs", "", bound, []string{"can", "GET", "/read", "-t", table}, 1, []string{"refused: 401 confirmation"}},
		{"can", "accepted", bound, []string{"can", "GET", "/pay", "-t", table}, 0, []string{
			"requires  bound token and testapi", "proof     the token is bound to a key",
		}},
		{"can, another scope", "accepted", other, []string{"can", "GET", "/pay", "-t", table}, 1, []string{"403 insufficient_scope"}},
		{"can as JSON, another scope", "accepted", other, []string{"can", "--json", "GET", "/pay", "-t", table}, 1, []string{
			`"reason": "insufficient_scope"`,
		}},
		{"can as JSON", "accepted", bound, []string{"can", "--json", "GET", "/pay", "-t", table}, 0, []string{`"proof_required": true`}},
		{"can, not bound", "accepted", plain, []string{"can", "GET", "/pay", "-t", table}, 1, []string{
			"401 confirmation", "response  WWW-Authenticate: DPoP ",
		}},
		{"can, a route for all", "accepted", plain, []string{"can", "GET", "/read", "-t", table}, 0, []string{"passes"}},
		{"can, no origin", "required", "", []string{"can", "GET", "/pay", "-t", table}, 2, []string{"XENA_PUBLIC_ORIGINS"}},
		{"doctor, no origin", "required", "", []string{"doctor"}, 1, []string{"✗ configuration  XENA_PUBLIC_ORIGINS is missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XENA_DPOP", tt.dpop)
			t.Setenv("XENA_PUBLIC_ORIGINS", "")
			if !strings.HasSuffix(tt.name, "no origin") {
				t.Setenv("XENA_PUBLIC_ORIGINS", "https://api.example")
			}
			text, status := s.ask(tt.token, tt.args...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			saysProof := strings.Contains(text, "proof_required") || strings.Contains(text, "must prove possession")
			if saysProof && (tt.token == plain || status != 0) {
				t.Errorf("a proof would make no difference:\n%s", text)
			}
		})
	}
}

// TestPossessionInTheFile uses configuration files of the gateway. The file says whether the
// gateway accepts tokens that are bound to a key, and the commands must answer accordingly.
func TestPossessionInTheFile(t *testing.T) {
	s := newService(t)
	bound := s.issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	}})
	plain := s.issuer.JWT(xenaauthtest.Token{})
	for possession, want := range map[string]struct {
		bound, plain, doctor int
	}{
		"": {1, 0, 0},
		"possession: {dpop: {use: accepted, public_origins: [\"https://api.example\"]}}\n":                {0, 0, 0},
		"possession: {dpop: {use: required, public_origins: [\"https://api.example\"]}}\n":                {0, 1, 0},
		"possession: {dpop: {use: required}}\n":                                                           {2, 2, 1},
		"possession: {client_certificate: {use: required, form: rfc9440, trusted_peers: [10.0.0.0/8]}}\n": {1, 1, 0},
	} {
		path := filepath.Join(t.TempDir(), "gate.yaml")
		text := "listen: 127.0.0.1:0\nupstreams: [{name: a, url: \"http://127.0.0.1:1\"}]\n" +
			"routes: {rules: [{route: GET /read, scopes: [testapi]}]}\n" + possession
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for token, status := range map[string]int{bound: want.bound, plain: want.plain} {
			for _, args := range [][]string{{"can", "GET", "/read", "-c", path}, {"explain", "-c", path}} {
				if text, got := s.ask(token, args...); got != status {
					t.Errorf("%s, %s: exit status %d, want %d\n%s", possession, args[0], got, status, text)
				}
			}
		}
		if text, got := s.ask("", "doctor", "-c", path); got != want.doctor {
			t.Errorf("%s: doctor: exit status %d, want %d\n%s", possession, got, want.doctor, text)
		}
	}
}
