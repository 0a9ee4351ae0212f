package revocation_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// mergeClaims returns a copy of the claims m with the claims in changedClaims. The copy keeps
// claims with the value nil: xenaauthtest makes a token without these claims.
func mergeClaims(m, changedClaims map[string]any) map[string]any {
	m = maps.Clone(m)
	maps.Copy(m, changedClaims)
	return m
}

// tokenForms lists the kinds of tokens in these tests: JWT or opaque, and whether the token is in
// the cache of the validator before it is revoked.
var tokenForms = []struct {
	name   string
	mint   func(*xenaauthtest.Issuer, xenaauthtest.Token) string
	cached bool
}{
	{"JWT, cached", (*xenaauthtest.Issuer).JWT, true},
	{"JWT, new", (*xenaauthtest.Issuer).JWT, false},
	{"opaque, cached", (*xenaauthtest.Issuer).Opaque, true},
	{"opaque, new", (*xenaauthtest.Issuer).Opaque, false},
}

func TestRevokeMatches(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	made := time.Now().Truncate(time.Second)
	// These are the claims of a token that a client got by a refresh. iat is still the time of the
	// first token, because IdentityServer4 does not change iat at a refresh.
	all := map[string]any{"jti": "J1", "sid": "S1", "sub": "U1", "client_id": "C1",
		"nbf": made.Unix(), "iat": made.Add(-20 * time.Minute).Unix()}
	noNbf := map[string]any{"nbf": nil}
	undated := map[string]any{"nbf": nil, "iat": nil}
	type rev = xenaauth.Revocation
	later, stale := made.Add(time.Second), made.Add(-10*time.Minute)
	for _, c := range []struct {
		name    string
		changes map[string]any
		of      func(token string) rev
		refused bool
	}{
		{"token", nil, func(s string) rev { return rev{TokenHash: xenaauth.HashToken(s)} }, true},
		{"another token", nil, func(s string) rev { return rev{TokenHash: xenaauth.HashToken("x" + s)} }, false},
		{"jti", nil, func(string) rev { return rev{TokenID: "J1"} }, true},
		{"another jti", nil, func(string) rev { return rev{TokenID: "j1"} }, false},
		{"sid", nil, func(string) rev { return rev{SessionID: "S1"} }, true},
		{"another sid", nil, func(string) rev { return rev{SessionID: "S2"} }, false},
		{"sub", nil, func(string) rev { return rev{Subject: "U1"} }, true},
		{"another sub", nil, func(string) rev { return rev{Subject: "U"} }, false},
		{"client", nil, func(string) rev { return rev{ClientID: "C1"} }, true},
		{"another client", nil, func(string) rev { return rev{ClientID: "C"} }, false},
		{"client as azp", map[string]any{"client_id": nil, "azp": "C9"}, func(string) rev { return rev{ClientID: "C9"} }, true},
		{"a value in another field", nil, func(string) rev { return rev{TokenID: "S1"} }, false},
		{"sub before", nil, func(string) rev { return rev{Subject: "U1", IssuedBefore: later} }, true},
		{"sub not before", nil, func(string) rev { return rev{Subject: "U1", IssuedBefore: made} }, false},
		{"nbf and not a stale iat", nil, func(string) rev { return rev{Subject: "U1", IssuedBefore: stale} }, false},
		{"everything before", nil, func(string) rev { return rev{IssuedBefore: later} }, true},
		{"everything not before", nil, func(string) rev { return rev{IssuedBefore: made} }, false},
		{"iat without nbf", noNbf, func(string) rev { return rev{Subject: "U1", IssuedBefore: stale} }, true},
		{"iat without nbf, not before", noNbf, func(string) rev { return rev{Subject: "U1", IssuedBefore: made.Add(-20 * time.Minute)} }, false},
		{"no time at all", undated, func(string) rev { return rev{Subject: "U1", IssuedBefore: stale} }, true},
		{"no time at all, everything", undated, func(string) rev { return rev{IssuedBefore: stale} }, true},
		{"sub and client", nil, func(string) rev { return rev{Subject: "U1", ClientID: "C1"} }, true},
		{"sub and another client", nil, func(string) rev { return rev{Subject: "U1", ClientID: "C2"} }, false},
		{"sid and another sub", nil, func(string) rev { return rev{SessionID: "S1", Subject: "U2"} }, false},
		{"jti and another sid", nil, func(string) rev { return rev{TokenID: "J1", SessionID: "S2"} }, false},
		{"token and another jti", nil, func(s string) rev { return rev{TokenHash: xenaauth.HashToken(s), TokenID: "J2"} }, false},
		{"sid of a token without", map[string]any{"sid": nil}, func(string) rev { return rev{Subject: "U1", SessionID: "S1"} }, false},
		{"jti of a token without", map[string]any{"jti": nil}, func(string) rev { return rev{Subject: "U1", TokenID: "J1"} }, false},
		{"all of it", nil, func(s string) rev {
			return rev{Issuer: issuer.URL(), TokenHash: xenaauth.HashToken(s), TokenID: "J1", SessionID: "S1", Subject: "U1",
				ClientID: "C1", IssuedBefore: later, Until: made.Add(time.Hour)}
		}, true},
		{"all of it, not before", nil, func(s string) rev {
			return rev{Issuer: issuer.URL(), TokenHash: xenaauth.HashToken(s), TokenID: "J1", SessionID: "S1", Subject: "U1",
				ClientID: "C1", IssuedBefore: made, Until: made.Add(time.Hour)}
		}, false},
	} {
		for _, form := range tokenForms {
			t.Run(c.name+"/"+form.name, func(t *testing.T) {
				t.Parallel()
				cfg := issuer.HybridConfig()
				// if AllowAnyLifetime is not set, a token without iat and nbf is refused
				cfg.AllowAnyLifetime = true
				v := harness.NewValidator(t, cfg)
				token := form.mint(issuer, xenaauthtest.Token{Claims: mergeClaims(all, c.changes), Lifetime: 30 * time.Minute})
				// otherToken differs from token in all claims that a revocation can name. Its nbf
				// is one second after that of token.
				otherToken := form.mint(issuer, xenaauthtest.Token{Subject: "U2", ClientID: "C3",
					Claims: map[string]any{"jti": "J2", "sid": "S3", "nbf": made.Unix() + 1}})
				if form.cached {
					require.Empty(t, harness.ReasonOf(t, v, token))
					require.Empty(t, harness.ReasonOf(t, v, otherToken))
				}
				harness.Revoke(t, v, c.of(token))
				want := xenaauth.Reason("")
				if c.refused {
					want = xenaauth.ReasonRevoked
				}
				for range 2 {
					require.Equal(t, want, harness.ReasonOf(t, v, token))
					require.Empty(t, harness.ReasonOf(t, v, otherToken))
				}
				require.Equal(t, 1, v.Status().Revocations)
			})
		}
	}
}

func TestRevokeInEveryConfiguration(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for name, change := range map[string]func(*xenaauth.Config){
		"AlwaysIntrospect": func(c *xenaauth.Config) { c.AlwaysIntrospect = true },
		"AlwaysIntrospect, cached": func(c *xenaauth.Config) {
			c.AlwaysIntrospect, c.Introspection.CacheTTL = true, time.Minute
		},
		"RequireActive": func(c *xenaauth.Config) { c.RequireActive = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := issuer.HybridConfig()
			change(&cfg)
			v := harness.NewValidator(t, cfg)
			token := issuer.JWT(xenaauthtest.Token{})
			require.Empty(t, harness.ReasonOf(t, v, token))
			harness.Revoke(t, v, xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)})
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
		})
	}
}

// A caller of Revoke may write a token hash in upper case. If Revoke reports no error, the token
// with this hash must be revoked. Otherwise the caller would believe that a stolen token is
// revoked.
func TestRevokeAcceptedHashWorks(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	if v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: strings.ToUpper(xenaauth.HashToken(token))}) == nil {
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
	}
}

func TestRevokeRefusesInvalidRevocations(t *testing.T) {
	t.Parallel()
	v := harness.NewValidator(t, harness.NewIssuer().Config())
	hash := xenaauth.HashToken("x")
	for name, r := range map[string]xenaauth.Revocation{
		"nothing":             {},
		"an end and no more":  {Until: time.Now().Add(time.Hour)},
		"a token":             {TokenHash: "eyJhbGciOiJub25lIn0.e30."},
		"half a hash":         {TokenHash: hash[:32]},
		"a longer hash":       {TokenHash: hash + "00"},
		"no hex":              {TokenHash: strings.Repeat("g", 64)},
		"a bad hash and more": {TokenHash: "00", Subject: "U1"},
		"control character":   {Subject: "U\n1"},
		"too long":            {SessionID: strings.Repeat("s", 513)},
		"NUL in jti":          {TokenID: "\x00"},
		"C1 in client":        {ClientID: "\u0085"},
	} {
		require.Error(t, v.Revoke(t.Context(), r), name)
		require.Zero(t, v.Status().Revocations, name)
	}
}

func TestRevocationAsJSON(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", xenaauth.HashToken("abc"))
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{})
	at := time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC)
	r := xenaauth.Revocation{Issuer: "https://issuer.example", TokenHash: xenaauth.HashToken(token), TokenID: "J",
		SessionID: "S", Subject: "U", ClientID: "C", IssuedBefore: at, Until: at.Add(time.Hour)}
	text := string(harness.JSON(t, r))
	require.JSONEq(t, `{"issuer":"https://issuer.example","token_hash":"`+r.TokenHash+`","jti":"J","sid":"S","sub":"U","client_id":"C",
		"issued_before":"2030-01-02T03:04:05.000000678Z","until":"2030-01-02T04:04:05.000000678Z"}`, text)
	for _, part := range append(strings.Split(token, "."), token) {
		require.NotContains(t, text, part)
	}
	var back xenaauth.Revocation
	require.NoError(t, json.Unmarshal([]byte(text), &back))
	require.Equal(t, r, back)
	require.JSONEq(t, `{"sub":"U"}`, string(harness.JSON(t, xenaauth.Revocation{Subject: "U"})))
}

func TestRevokedResponse(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Mount(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
	a.Passes(t, token)
	harness.Revoke(t, a.Validator.(*xenaauth.Validator), xenaauth.Revocation{Subject: "U1"})
	got := a.Get(t, token)
	require.Equal(t, 401, got.Status)
	require.Equal(t, []string{`Bearer realm="xena", error="invalid_token", ` +
		`error_description="The access token was revoked.", scope="testapi"`}, got.Header.Values("WWW-Authenticate"))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.JSONEq(t, `{"title":"Unauthorized","status":401,"detail":"The access token was revoked.","reason":"revoked",
		"error":"invalid_token","scope":"testapi"}`, got.Body)
	a.Passes(t, issuer.JWT(xenaauthtest.Token{Subject: "U2"}))
}

// The token of a service account has no sub. So the function Config.Subject reads its user from
// another claim. Revocation.Subject is compared with sub only, so it does not revoke this token.
// Revocation.ClientID revokes it. The library does not call Config.Subject for a revoked token.
func TestRevokeServiceAccount(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	var mu sync.Mutex
	resolved := 0
	cfg.Subject = clientUserResolver(func() { mu.Lock(); resolved++; mu.Unlock() })
	v := harness.NewValidator(t, cfg)
	for _, mint := range []func(xenaauthtest.Token) string{issuer.JWT, issuer.Opaque} {
		v := harness.NewValidator(t, cfg)
		machine := mint(xenaauthtest.Token{Machine: true, ClientID: "robot", Claims: map[string]any{"user": "U1"}})
		human := mint(xenaauthtest.Token{Subject: "U1"})
		require.Equal(t, "U1", harness.UserOf(t, v, machine).Subject())
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1"})
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, human))
		require.Empty(t, harness.ReasonOf(t, v, machine))
		harness.Revoke(t, v, xenaauth.Revocation{ClientID: "robot"})
		before := resolved
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, machine))
		require.Equal(t, before, resolved)
	}
	require.Zero(t, v.Status().Revocations)
}

func TestRevokeConcurrently(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.HybridConfig())
		innocent := issuer.JWT(xenaauthtest.Token{Subject: "innocent"})
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for n := range 10 {
					subject := fmt.Sprintf("U%d-%d", i, n)
					token := issuer.JWT(xenaauthtest.Token{Subject: subject, Lifetime: 30 * time.Minute})
					if i%2 == 0 {
						token = issuer.Opaque(xenaauthtest.Token{Subject: subject, Lifetime: 30 * time.Minute})
					}
					if harness.ReasonOf(t, v, token) != "" {
						t.Error("the token was refused before it was revoked")
					}
					harness.Revoke(t, v, xenaauth.Revocation{Subject: subject, Until: time.Now().Add(1500 * time.Millisecond)})
					if harness.ReasonOf(t, v, token) != xenaauth.ReasonRevoked || harness.ReasonOf(t, v, innocent) != "" {
						t.Error("exactly the revoked token must be refused")
					}
					time.Sleep(time.Duration(i+1) * 100 * time.Millisecond)
					v.Status()
				}
			})
		}
		wg.Wait()
		time.Sleep(5 * time.Second)
		require.Empty(t, harness.ReasonOf(t, v, innocent))
		require.Zero(t, v.Status().Revocations)
	})
}

// Anyone can compute a second valid ECDSA signature of a text from the first one. If a token is
// revoked by its hash, the same token with the second signature is refused too.
func TestRevokedTokenWithASecondSignature(t *testing.T) {
	issuer := harness.NewIssuer()
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	token := issuer.JWT(xenaauthtest.Token{})
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := token[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
	require.Empty(t, harness.ReasonOf(t, v, twin), "the second signature must be valid")
	require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, twin))
}
