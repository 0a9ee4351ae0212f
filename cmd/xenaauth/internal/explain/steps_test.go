package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/console"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/service"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// answerText returns the output of the command "explain" as a person reads it, without --json.
func answerText(t *testing.T, a *Answer) string {
	t.Helper()
	var out strings.Builder
	if err := console.New(nil, &out, &out, console.Options{}).Print(a); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// wantNoToken fails the test if the output of the command "explain" contains the token or a long
// part of it.
func wantNoToken(t *testing.T, a *Answer, token string) {
	t.Helper()
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{answerText(t, a), string(raw)} {
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 20 && strings.Contains(output, part) {
				t.Errorf("the output contains a part of the token: %s", output)
			}
		}
	}
}

// stopStep returns the step at which the check of the token stopped. It requires that all earlier
// steps passed, and that no later step was reached.
func stopStep(t *testing.T, a *Answer) string {
	t.Helper()
	at := ""
	for _, s := range a.Steps {
		switch {
		case s.State == tokencheck.Held && at == "", s.State == tokencheck.NotReached && at != "":
		case (s.State == tokencheck.Failed || s.State == tokencheck.Unknown) && at == "":
			at = s.Name
			if s.Why == "" || s.Fix == "" {
				t.Errorf("%s: why %q, fix %q", s.Name, s.Why, s.Fix)
			}
		default:
			t.Errorf("step %s is %s after %q", s.Name, s.State, at)
		}
	}
	return at
}

type (
	claimSet = map[string]any
	Issuer   = xenaauthtest.Issuer
	Token    = xenaauthtest.Token
)

// TestEachRefusalStopsAtItsStep has a token for each step of the check, except introspection. The
// token passes all earlier steps and fails this one, so the explanation must stop at this step.
func TestEachRefusalStopsAtItsStep(t *testing.T) {
	jwt := func(token Token) func(*Issuer) string {
		return func(i *Issuer) string { return i.JWT(token) }
	}
	with := func(c claimSet) func(*Issuer) string { return jwt(Token{Claims: c}) }
	header := func(h map[string]any) func(*Issuer) string {
		return jwt(Token{Header: h})
	}
	cut := func(n int) func(*Issuer) string {
		return func(i *Issuer) string {
			token := i.JWT(Token{})
			return token[:len(token)-n]
		}
	}
	strict := func(c *xenaauth.Config) { c.Profile = xenaauth.ProfileRFC9068 }
	client := "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"
	for _, c := range []struct {
		name   string
		token  func(*Issuer) string
		config func(*xenaauth.Config)
		issuer func(*Issuer)
		scopes []string
		reason string
		step   string
	}{
		{name: "good", token: jwt(Token{}), scopes: []string{"testapi"}},
		{
			name: "a space", token: func(*Issuer) string { return "ab cd" },
			reason: "malformed_request", step: tokencheck.StepToken,
		},
		{
			name: "opaque", token: func(i *Issuer) string { return i.Opaque(Token{}) },
			reason: "malformed_token", step: tokencheck.StepToken,
		},
		{
			name: "too long", token: jwt(Token{}),
			config: func(c *xenaauth.Config) { c.MaxTokenLength = 500 },
			reason: "malformed_token", step: tokencheck.StepToken,
		},
		{name: "alg none", token: header(claimSet{"alg": "none"}), reason: "algorithm", step: tokencheck.StepHeader},
		{name: "crit", token: header(claimSet{"crit": []string{"x"}}), reason: "algorithm", step: tokencheck.StepHeader},
		{
			name: "header not JSON", reason: "malformed_token", step: tokencheck.StepHeader,
			token: func(i *Issuer) string { return i.SignBytes([]byte("{x"), []byte("{}")) },
		},
		{
			name: "claims not JSON", reason: "malformed_token", step: tokencheck.StepClaims,
			token: func(i *Issuer) string { return i.SignBytes([]byte(`{"alg":"RS256"}`), []byte("{x")) },
		},
		{name: "exp a string", token: with(claimSet{"exp": "soon"}), reason: "claims", step: tokencheck.StepClaims},
		{name: "iss", token: with(claimSet{"iss": "https://x.example"}), reason: "issuer", step: tokencheck.StepIssuer},
		{name: "typ", token: header(claimSet{"typ": "logout+jwt"}), reason: "token_type", step: tokencheck.StepKind},
		{name: "nonce", token: with(claimSet{"nonce": "n"}), reason: "token_type", step: tokencheck.StepKind},
		{name: "token_use", token: with(claimSet{"token_use": "id"}), reason: "token_type", step: tokencheck.StepKind},
		{name: "no exp", token: with(claimSet{"exp": nil}), reason: "claims", step: tokencheck.StepTimes},
		{name: "expired", token: jwt(Token{Lifetime: -time.Hour}), reason: "expired", step: tokencheck.StepTimes},
		{
			name: "early", token: with(claimSet{"nbf": time.Now().Add(time.Hour).Unix()}),
			reason: "not_yet_valid", step: tokencheck.StepTimes,
		},
		{name: "long", token: jwt(Token{Lifetime: 2 * time.Hour}), reason: "lifetime", step: tokencheck.StepTimes},
		{name: "aud the client", token: with(claimSet{"aud": client}), reason: "token_type", step: tokencheck.StepAudience},
		{name: "aud", token: with(claimSet{"aud": "x"}), reason: "audience", step: tokencheck.StepAudience},
		{name: "no client", token: with(claimSet{"client_id": nil}), reason: "claims", step: tokencheck.StepParties},
		{name: "empty sub", token: with(claimSet{"sub": ""}), reason: "claims", step: tokencheck.StepParties},
		{
			name: "bound", token: with(claimSet{"cnf": claimSet{"jkt": "x"}}),
			reason: "confirmation", step: tokencheck.StepBinding,
		},
		{
			name: "strict, no jti", token: with(claimSet{"jti": nil, "scope": "testapi"}), config: strict,
			reason: "claims", step: tokencheck.StepProfile,
		},
		{name: "strict, scope a list", token: with(nil), config: strict, reason: "claims", step: tokencheck.StepProfile},
		{
			name: "no scope", token: jwt(Token{Claims: claimSet{"scope": nil}, Header: claimSet{"typ": "JWT"}}),
			reason: "token_type", step: tokencheck.StepScopeClaim,
		},
		{name: "kid", token: header(claimSet{"kid": "x", "x5t": "y"}), reason: "unknown_key", step: tokencheck.StepKeys},
		{name: "alg without key", token: header(claimSet{"alg": "ES256"}), reason: "algorithm", step: tokencheck.StepKeys},
		{
			name: "issuer down", token: jwt(Token{}), issuer: (*Issuer).Down,
			reason: "unavailable", step: tokencheck.StepKeys,
		},
		{name: "cut signature", token: cut(42), reason: "signature", step: tokencheck.StepSignature},
		{
			name: "signature not base64", reason: "malformed_token", step: tokencheck.StepSignature,
			token: func(i *Issuer) string { return i.JWT(Token{}) + "~" },
		},
		{name: "client", token: jwt(Token{Machine: true}), reason: "subject", step: tokencheck.StepUser},
		{
			name: "scope", token: jwt(Token{}), scopes: []string{"orders"},
			reason: "insufficient_scope", step: tokencheck.StepRoute,
		},
		{
			name: "any audience and no scope", token: jwt(Token{}),
			config: func(c *xenaauth.Config) { c.Audiences, c.AllowAnyAudience = nil, true },
			reason: "forbidden", step: tokencheck.StepRoute,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(nil)
			cfg, token := issuer.Config(), c.token(issuer)
			if c.config != nil {
				c.config(&cfg)
			}
			if c.issuer != nil {
				c.issuer(issuer)
			}
			a, err := explainToken(t.Context(), new(service.Service), cfg, token, c.scopes, false)
			if err != nil {
				t.Fatal(err)
			}
			if step := stopStep(t, a); a.Reason != c.reason || step != c.step {
				t.Errorf("reason %q at step %q, want %q "+
					"at %q\n%s", a.Reason, step, c.reason, c.step, answerText(t, a))
			}
			wantNoToken(t, a, token)
		})
	}
}

// TestIntrospection explains tokens that are introspected: opaque tokens, and JWTs if the Config
// has AlwaysIntrospect or RequireActive.
func TestIntrospection(t *testing.T) {
	opaque := func(token Token) func(*Issuer) string {
		return func(i *Issuer) string { return i.Opaque(token) }
	}
	jwt := func(i *Issuer) string { return i.JWT(Token{}) }
	always := func(c *xenaauth.Config) { c.AlwaysIntrospect = true }
	active := func(c *xenaauth.Config) { c.RequireActive = true }
	body := func(text string) func(*Issuer, string) {
		return func(i *Issuer, _ string) {
			i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: text})
		}
	}
	for _, c := range []struct {
		name     string
		token    func(*Issuer) string
		config   func(*xenaauth.Config)
		issuer   func(i *Issuer, token string)
		reason   string
		step     string
		verified bool
	}{
		{name: "good", token: opaque(Token{}), verified: true},
		{name: "always", token: jwt, config: always, verified: true},
		{name: "active", token: jwt, config: active, verified: true},
		{
			name: "revoked", token: opaque(Token{}), issuer: (*Issuer).Revoke,
			reason: "inactive", step: tokencheck.StepIntrospection,
		},
		{
			name: "revoked JWT", token: jwt, config: active, issuer: (*Issuer).Revoke,
			reason: "inactive", step: tokencheck.StepIntrospection, verified: true,
		},
		{
			name: "another user", token: jwt, config: active,
			issuer: body(`{"active":true,"sub":"x","client_id":"9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"}`),
			reason: "claims", step: tokencheck.StepIntrospection, verified: true,
		},
		{
			name: "another audience in the response", token: jwt, config: active,
			issuer: body(`{"active":true,"aud":"x","sub":"104711","client_id":"c"}`),
			reason: "audience", step: tokencheck.StepIntrospection, verified: true,
		},
		{
			name: "audience", token: opaque(Token{}), issuer: body(`{"active":true,"aud":"x","client_id":"c"}`),
			reason: "audience", step: tokencheck.StepAudience, verified: true,
		},
		{
			name: "no client", token: opaque(Token{}), issuer: body(`{"active":true,"sub":"x"}`),
			reason: "claims", step: tokencheck.StepParties, verified: true,
		},
		{
			name: "client token", token: opaque(Token{Machine: true}),
			reason: "subject", step: tokencheck.StepUser, verified: true,
		},
		{
			name: "down", token: opaque(Token{}),
			issuer: func(i *Issuer, _ string) { i.Down() },
			reason: "unavailable", step: tokencheck.StepIntrospection,
		},
		{
			name: "secret", token: opaque(Token{}),
			config: func(c *xenaauth.Config) { c.Introspection.ClientSecret = "wrong" },
			reason: "unavailable", step: tokencheck.StepIntrospection,
		},
		{
			name: "endpoint down after the JWT", token: jwt, config: active,
			issuer: func(i *Issuer, _ string) {
				i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
			},
			reason: "unavailable", step: tokencheck.StepIntrospection, verified: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(nil)
			cfg, token := issuer.HybridConfig(), c.token(issuer)
			if c.config != nil {
				c.config(&cfg)
			}
			if c.issuer != nil {
				c.issuer(issuer, token)
			}
			a, err := explainToken(t.Context(), new(service.Service), cfg, token, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if step := stopStep(t, a); a.Reason != c.reason || step != c.step || a.Verified != c.verified {
				t.Errorf("reason %q at step %q, verified %t: want %q at %q, %t\n%s",
					a.Reason, step, a.Verified, c.reason, c.step, c.verified, answerText(t, a))
			}
			wantNoToken(t, a, token)
		})
	}
}
