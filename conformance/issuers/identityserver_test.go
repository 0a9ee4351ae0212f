package issuers_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const (
	production = xenaauth.IssuerProduction
)

// versionIssuers returns an issuer for each version of IdentityServer. Each issuer signs with
// RS256. All tests share the issuers, because making RSA keys is slow.
var versionIssuers = sync.OnceValue(func() []*xenaauthtest.Issuer {
	var all []*xenaauthtest.Issuer
	for v := xenaauthtest.IdentityServer4; v <= xenaauthtest.Duende; v++ {
		all = append(all, xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Version: v}))
	}
	return all
})

// runForEachVersion runs the test f for each version of IdentityServer, with JWTs and with opaque
// tokens.
func runForEachVersion(t *testing.T, f func(t *testing.T, v vector)) {
	t.Helper()
	for i, issuer := range versionIssuers() {
		version := xenaauthtest.Version(i)
		t.Run(version.String()+"/JWT", func(t *testing.T) { f(t, vector{version, issuer, true, issuer.JWT}) })
		t.Run(version.String()+"/introspected", func(t *testing.T) { f(t, vector{version, issuer, false, issuer.Opaque}) })
	}
}

type vector struct {
	version xenaauthtest.Version
	issuer  *xenaauthtest.Issuer
	jwt     bool
	mint    func(xenaauthtest.Token) string
}

// vector.hasRecentClaims reports whether the version of IdentityServer in vector.version puts iat,
// jti and sid into access tokens.
func (v vector) hasRecentClaims() bool {
	return v.version == xenaauthtest.IdentityServer4 || v.version == xenaauthtest.Duende
}

func TestIdentityServer_User(t *testing.T) {
	t.Parallel()
	runForEachVersion(t, func(t *testing.T, v vector) {
		a := harness.Serve(t, v.issuer.HybridConfig())
		began := time.Now().Unix()
		token := v.mint(xenaauthtest.Token{Claims: map[string]any{
			"role": "a", "roles": []string{"a", "b"}, "admin": "True", "company": "42", "joined": "1500000000",
		}})
		require.Equal(t, "hello, 104711", a.Get(t, token).Body)
		u := harness.UserOf(t, a.Validator, token)
		require.Equal(t, "104711", u.Subject())
		require.Equal(t, harness.ClientID, u.ClientID())
		require.Equal(t, production, u.Issuer())
		require.Equal(t, map[xenaauthtest.Version][]string{
			xenaauthtest.IdentityServer3:   {production + "/resources"},
			xenaauthtest.IdentityServer4v1: {production + "/resources", "testapi"},
			xenaauthtest.IdentityServer4v3: {"testapi"},
			xenaauthtest.IdentityServer4:   {"testapi", production + "/resources"},
			xenaauthtest.Duende:            {"testapi", production + "/resources"},
		}[v.version], u.Audience())
		scopes := []string{"openid", "profile", "testapi", "offline_access"}
		if !v.jwt && v.version != xenaauthtest.IdentityServer3 {
			// an introspection response contains only the scopes that belong to the API that
			// introspects
			scopes = []string{"testapi"}
		}
		require.Equal(t, scopes, u.Scopes())
		require.True(t, u.HasScope("testapi"))
		require.False(t, u.HasScope("Testapi"))
		require.Equal(t, "local", u.IdentityProvider())
		method := "pwd"
		if v.version == xenaauthtest.IdentityServer3 {
			method = "password"
		}
		require.Equal(t, []string{method}, u.AuthenticationMethods())
		require.InDelta(t, began, u.NotBefore().Unix(), 5)
		require.Equal(t, u.NotBefore().Add(time.Hour), u.ExpiresAt())
		require.Equal(t, u.NotBefore().Add(-10*time.Second), u.AuthenticatedAt())
		require.Empty(t, u.AuthenticationContext())
		if v.hasRecentClaims() {
			require.Regexp(t, "^[0-9A-F]{32}$", u.SessionID())
			require.Regexp(t, "^[0-9A-F]{32}$", u.TokenID())
			require.Equal(t, u.NotBefore(), u.IssuedAt())
		} else {
			require.Empty(t, u.SessionID()+u.TokenID())
			require.True(t, u.IssuedAt().IsZero())
		}
		requireLenientClaims(t, u)
		a.Refuses(t, v.mint(xenaauthtest.Token{Claims: map[string]any{"aud": "otherapi"}}), xenaauth.ReasonAudience)
	})
}

// requireLenientClaims checks how the method Claim of a User reads values: it accepts one value or
// several values, and a number or a boolean that is written as a string.
func requireLenientClaims(t *testing.T, u *xenaauth.User) {
	t.Helper()
	var role, roles []string
	var admin bool
	var company int64
	var joined time.Time
	require.NoError(t, u.Claim("role", &role))
	require.NoError(t, u.Claim("roles", &roles))
	require.NoError(t, u.Claim("admin", &admin))
	require.NoError(t, u.Claim("company", &company))
	require.NoError(t, u.Claim("joined", &joined))
	require.Equal(t, []string{"a"}, role)
	require.Equal(t, []string{"a", "b"}, roles)
	require.True(t, admin)
	require.EqualValues(t, 42, company)
	require.Equal(t, time.Unix(1500000000, 0), joined)
	require.ErrorIs(t, u.Claim("Role", &role), xenaauth.ErrNoClaim)
	require.Error(t, u.Claim("roles", &admin))
	var all map[string]any
	require.NoError(t, u.Claims(&all))
	require.Equal(t, "104711", all["sub"])
}

func TestIdentityServer_ServiceAccount(t *testing.T) {
	t.Parallel()
	runForEachVersion(t, func(t *testing.T, v vector) {
		token := v.mint(xenaauthtest.Token{Machine: true, ClientID: "service.xena.biz", Claims: map[string]any{"user_id": "20815"}})
		stranger := v.mint(xenaauthtest.Token{Machine: true, ClientID: "other.xena.biz"})
		harness.Serve(t, v.issuer.HybridConfig()).Refuses(t, token, xenaauth.ReasonSubject)

		cfg := v.issuer.HybridConfig()
		cfg.Subject = func(_ context.Context, u *xenaauth.User) (string, error) {
			var subject string
			if err := u.Claim("client_user_id", &subject); err != nil {
				return "", nil
			}
			return subject, nil
		}
		resolved := harness.Serve(t, cfg)
		require.Equal(t, "hello, 20815", resolved.Get(t, token).Body)
		u := harness.UserOf(t, resolved.Validator, token)
		require.Equal(t, "20815", u.Subject())
		require.Equal(t, "service.xena.biz", u.ClientID())
		require.Equal(t, []string{"testapi"}, u.Scopes())
		require.True(t, u.AuthenticatedAt().IsZero())
		require.Empty(t, u.SessionID()+u.IdentityProvider())
		require.Empty(t, u.AuthenticationMethods())
		resolved.Refuses(t, stranger, xenaauth.ReasonSubject)
		require.Equal(t, "hello, 104711", resolved.Get(t, v.mint(xenaauthtest.Token{})).Body) // the token has a sub, so Config.Subject is not called

		cfg = v.issuer.HybridConfig()
		cfg.AllowClientTokens = true
		clients := harness.Serve(t, cfg)
		require.Equal(t, "hello, ", clients.Get(t, token).Body)

		// IdentityServer writes a prefix before the names of a client's own claims. If the operator
		// turns the prefix off, the token of a client can have the claim sub.
		injected := v.mint(xenaauthtest.Token{Machine: true, Claims: map[string]any{"sub": "20815"}})
		require.Equal(t, "hello, 20815", harness.Serve(t, v.issuer.HybridConfig()).Get(t, injected).Body)
	})
}

func TestIdentityServer_SubjectResolver(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{Machine: true})
	for name, c := range map[string]struct {
		subject string
		err     error
		reason  xenaauth.Reason
	}{
		"nobody": {"", nil, xenaauth.ReasonSubject}, "an outage": {"u", context.DeadlineExceeded, xenaauth.ReasonUnavailable},
		"a refusal": {"", &xenaauth.Error{Reason: xenaauth.ReasonForbidden}, xenaauth.ReasonForbidden},
		"a line":    {"a\nb", nil, xenaauth.ReasonSubject}, "too long": {strings.Repeat("x", 513), nil, xenaauth.ReasonSubject},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := issuer.Config()
			calls := 0
			cfg.Subject = func(context.Context, *xenaauth.User) (string, error) { calls++; return c.subject, c.err }
			a := harness.Serve(t, cfg)
			a.Refuses(t, token, c.reason)
			a.Refuses(t, token, c.reason)
			require.Equal(t, 2, calls, "Config.Subject must be called for each new token")
			a.Refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
			require.Equal(t, 2, calls, "Config.Subject must not be called for forged tokens")
		})
	}
}

// A client can refresh its token. The new token may have the same iat and jti as the first token.
func TestIdentityServer_Refreshed(t *testing.T) {
	t.Parallel()
	runForEachVersion(t, func(t *testing.T, v vector) {
		a := harness.Serve(t, v.issuer.HybridConfig())
		old := time.Now().Add(-9 * 24 * time.Hour).Truncate(time.Second)
		same := map[string]any{"iat": old.Unix(), "jti": "5B1A"}
		first := v.mint(xenaauthtest.Token{Claims: same, Scopes: []string{"testapi", "email"}})
		second := v.mint(xenaauthtest.Token{Claims: same, Subject: "other"})
		u := harness.UserOf(t, a.Validator, first)
		require.Equal(t, old, u.IssuedAt())
		require.WithinDuration(t, time.Now(), u.NotBefore(), 5*time.Second)
		// The two tokens have the same jti. The library still caches them separately: the key of a
		// token in the cache is a hash of the whole token.
		require.Equal(t, "hello, other", a.Get(t, second).Body)
		require.Equal(t, "hello, 104711", a.Get(t, first).Body)
	})
}

func TestIdentityServer_OtherKindsAreRefused(t *testing.T) {
	t.Parallel()
	for i, issuer := range versionIssuers() {
		t.Run(xenaauthtest.Version(i).String(), func(t *testing.T) {
			a := harness.Serve(t, issuer.HybridConfig())
			a.Refuses(t, issuer.IDToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType)
			a.Refuses(t, issuer.LogoutToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType)
			a.Refuses(t, issuer.IDToken(xenaauthtest.Token{Claims: map[string]any{"client_id": harness.ClientID, "scope": "testapi"}}), xenaauth.ReasonTokenType)
			a.Refuses(t, issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"client_id": harness.ClientID, "aud": "testapi", "scope": "testapi"}, Header: map[string]any{"typ": "at+jwt"}}), xenaauth.ReasonTokenType)
		})
	}
}

// If the operator has configured no API resource at the issuer, the tokens of the issuer have no
// audience. Then only the scopes of a token say for which API the token was issued.
func TestIdentityServer_ScopeOnly(t *testing.T) {
	t.Parallel()
	for v := xenaauthtest.IdentityServer4; v <= xenaauthtest.Duende; v++ {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Version: v, ScopeOnly: true, Algorithm: "ES256"})
		cfg := issuer.HybridConfig()
		a := harness.Serve(t, cfg)
		for _, mint := range []func(xenaauthtest.Token) string{issuer.JWT, issuer.Opaque} {
			token := mint(xenaauthtest.Token{})
			a.Passes(t, token)
			require.Empty(t, harness.UserOf(t, a.Validator, token).Audience())
		}
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Scopes: []string{"otherapi"}}), xenaauth.ReasonInsufficientScope)
		a.Refuses(t, issuer.IDToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType)
		a.Refuses(t, issuer.LogoutToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType)
		plain := xenaauthtest.Token{Claims: map[string]any{"nonce": nil, "at_hash": nil, "scope": "testapi"}}
		a.Refuses(t, issuer.IDToken(plain), xenaauth.ReasonClaims)
		m := xenaauth.NewMiddleware(a.Validator, nil)
		const needsScope = "xenaauth: with Config.AllowAnyAudience every route must require a scope"
		require.PanicsWithValue(t, needsScope, func() { m.Require(xenaauth.AnyUser()) })
		require.PanicsWithValue(t, needsScope, func() { m.Optional(harness.Teapot) })

		cfg.AllowAnyAudience, cfg.Audiences = false, []string{"testapi"}
		b := harness.Serve(t, cfg)
		b.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonAudience)
		// An introspected token needs no audience, because the issuer itself checks whether this
		// API may introspect the token.
		b.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
	}
}

func TestIdentityServer_ScopeAsString(t *testing.T) {
	t.Parallel()
	for v := xenaauthtest.IdentityServer4; v <= xenaauthtest.Duende; v++ {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Version: v, ScopesAsString: true, Algorithm: "ES256"})
		a := harness.Serve(t, issuer.HybridConfig())
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
		u := harness.UserOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{}))
		require.Equal(t, []string{"openid", "profile", "testapi", "offline_access"}, u.Scopes())
		one := harness.UserOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
		require.Equal(t, []string{"testapi"}, one.Scopes())
	}
}

func TestIdentityServer_OneOrSeveralValues(t *testing.T) {
	t.Parallel()
	runForEachVersion(t, func(t *testing.T, v vector) {
		a := harness.Serve(t, v.issuer.HybridConfig())
		for _, list := range []any{"x", []string{"x"}, []string{"x", "y"}} {
			want := []string{"x"}
			if l, ok := list.([]string); ok {
				want = l
			}
			audience := append([]string{"testapi"}, want...)
			u := harness.UserOf(t, a.Validator, v.mint(xenaauthtest.Token{Claims: map[string]any{"amr": list, "role": list, "aud": audience}}))
			var role []string
			require.NoError(t, u.Claim("role", &role))
			require.Equal(t, want, role)
			require.Equal(t, want, u.AuthenticationMethods())
			require.Equal(t, audience, u.Audience())
		}
		u := harness.UserOf(t, a.Validator, v.mint(xenaauthtest.Token{Claims: map[string]any{"aud": "testapi"}}))
		require.Equal(t, []string{"testapi"}, u.Audience())
	})
}

func TestIdentityServer_IssuerAsWritten(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://login.xena.biz/", "https://Login.Xena.biz", "https://login.xena.biz:443", "https://грант.рф"} {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: address})
		a := harness.Serve(t, issuer.HybridConfig())
		for _, mint := range []func(xenaauthtest.Token) string{issuer.JWT, issuer.Opaque} {
			a.Passes(t, mint(xenaauthtest.Token{}))
			for _, other := range []string{strings.ToLower(address), strings.TrimSuffix(address, "/"), address + "/", strings.TrimSuffix(address, ":443")} {
				if other != address {
					a.Refuses(t, mint(xenaauthtest.Token{Claims: map[string]any{"iss": other}}), xenaauth.ReasonIssuer)
				}
			}
		}
	}
}

func TestIdentityServer_ZeroConfigIsProduction(t *testing.T) {
	t.Parallel()
	issuer := harness.RSAIssuer()
	a := harness.Serve(t, xenaauth.Config{Audiences: []string{"testapi"}, HTTPClient: issuer.Client()})
	token := issuer.JWT(xenaauthtest.Token{})
	a.Passes(t, token)
	var header map[string]any
	require.NoError(t, json.Unmarshal(decodeSegment(t, token, 0), &header))
	require.Equal(t, "RS256", header["alg"])
	require.Regexp(t, "^[0-9A-F]{40}RS256$", header["kid"])
}
