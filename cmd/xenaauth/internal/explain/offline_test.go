package explain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestOffline reads the key set of the issuer from a file. The command does not call the issuer.
func TestOffline(t *testing.T) {
	issuer, other := xenaauthtest.NewIssuer(nil), xenaauthtest.NewIssuer(nil)
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, issuer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	jwt := issuer.JWT(xenaauthtest.Token{})
	for _, c := range []struct {
		name, token string
		config      func(*xenaauth.Config)
		outcome     string
		step        string
	}{
		{name: "good", token: jwt, outcome: "allowed"},
		{name: "another key", token: other.JWT(xenaauthtest.Token{}), outcome: "refused", step: tokencheck.StepKeys},
		{name: "opaque", token: issuer.Opaque(xenaauthtest.Token{}), outcome: "unavailable", step: tokencheck.StepIntrospection},
		{
			name: "introspected too", token: jwt, outcome: "unavailable", step: tokencheck.StepIntrospection,
			config: func(c *xenaauth.Config) { c.RequireActive = true },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := issuer.HybridConfig()
			if c.config != nil {
				c.config(&cfg)
			}
			cfg, err := withKeySetFile(cfg, file)
			if err != nil {
				t.Fatal(err)
			}
			a, err := explainToken(t.Context(), new(service.Service), cfg, c.token, nil, true)
			if err != nil {
				t.Fatal(err)
			}
			if step := stopStep(t, a); a.Outcome != c.outcome || step != c.step {
				t.Errorf("%s at step %q, want %s "+
					"at %q\n%s", a.Outcome, step, c.outcome, c.step, answerText(t, a))
			}
			if c.outcome == "unavailable" && !strings.Contains(answerText(t, a), "without --offline") {
				t.Errorf("the fix is missing:\n%s", answerText(t, a))
			}
			if n := issuer.Calls(xenaauthtest.All); n > 0 {
				t.Errorf("%d calls of the issuer", n)
			}
		})
	}
}

// TestClaimsShowNoTokens explains tokens whose claims contain other tokens, or characters that
// control a terminal. Neither may be in the output.
func TestClaimsShowNoTokens(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(nil)
	inner := issuer.JWT(xenaauthtest.Token{Subject: "inner"})
	token := issuer.JWT(xenaauthtest.Token{Claims: claimSet{
		"id_token": inner, "list": []string{"x " + inner}, "color": "\x1b[31mred",
	}})
	a, err := explainToken(t.Context(), new(service.Service), issuer.Config(), token, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	wantNoToken(t, a, token)
	wantNoToken(t, a, inner)
	shown := answerText(t, a)
	if !strings.Contains(shown, `"[a JWT]"`) || strings.Contains(shown, "\x1b") {
		t.Errorf("claims:\n%q", shown)
	}
}
