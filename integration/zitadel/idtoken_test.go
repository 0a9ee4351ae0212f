package zitadel_test

import (
	"net/url"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// TestIDToken sends ID tokens instead of access tokens. At this server, ID tokens and access tokens
// are signed with the same key, both have the typ JWT, and both have the API in their audience.
// Only the ID tokens have nonce, at_hash or c_hash.
func TestIDToken(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	local, introspecting := startAPI(t, s.config()), startAPI(t, s.introspectionConfig())
	for name, token := range map[string]string{
		"of an opaque token":         login(t, s, opaqueClient, "openid", scope).IDToken,
		"of an opaque token, nonce":  loginWithNonce(t, s, opaqueClient, "nonce", "openid", scope).IDToken,
		"of a JWT":                   login(t, s, jwtClient, "openid", "profile", "email", scope).IDToken,
		"of a JWT, nonce":            loginWithNonce(t, s, jwtClient, "nonce", "openid", scope).IDToken,
		"of the implicit flow alone": implicitToken(t, s, "nonce"),
	} {
		check(t, name, get(t, local, full, token), notAccess)
		check(t, name, get(t, introspecting, full, token), notAccess)
		check(t, name+", no scope required", get(t, local, anyone, token), removeScopeParam(notAccess))
	}
}

// TestIDTokenIntrospected sends an ID token that xenaauth introspects. The server reports it as
// inactive, because the server knows no access token with its jti.
func TestIDTokenIntrospected(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	cfg := s.introspectionConfig()
	cfg.AlwaysIntrospect = true
	api := startAPI(t, cfg)
	tokens := login(t, s, jwtClient, "openid", scope)
	check(t, "access token", get(t, api, full, tokens.AccessToken), acceptedAnswer(jwtClient))
	check(t, "ID token", get(t, api, full, tokens.IDToken), inactive)
}

// TestBareIDToken sends ID tokens without nonce, at_hash and c_hash. This server issues such tokens
// in a token exchange. It also issues them in the implicit flow if the request has no nonce,
// although OpenID Connect Core 1.0, section 3.2.2.1, requires a nonce. The tokens have the typ JWT
// and no scope. xenaauth takes every such token for an ID token, so every route refuses it, even a
// route that requires no scope.
func TestBareIDToken(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.introspectionConfig())
	check(t, "implicit", get(t, api, full, implicitToken(t, s, "")), notAccess)
	check(t, "exchanged", get(t, api, full, exchangedToken(t, s)), notAccess)
	check(t, "implicit, no scope required", get(t, api, anyone, implicitToken(t, s, "")), removeScopeParam(notAccess))
	check(t, "exchanged, no scope required", get(t, api, anyone, exchangedToken(t, s)), removeScopeParam(notAccess))
}

// implicitToken returns an ID token from the implicit flow. In this flow the server issues only the
// ID token, and no access token.
func implicitToken(t *testing.T, s *server, nonce string) string {
	t.Helper()
	party := relyingParty(t, s, opaqueClient, clientSecret, []string{"openid", scope})
	back := authorize(t, s, party, extraParams{"response_type": string(oidc.ResponseTypeIDTokenOnly), "nonce": nonce})
	values, err := url.ParseQuery(back.Fragment)
	if err != nil || values.Get("id_token") == "" {
		t.Fatalf("no ID token in the redirect: %v", err)
	}
	return values.Get("id_token")
}

// exchangedToken returns an ID token for the API. A client got it in exchange for an access token
// (RFC 8693).
func exchangedToken(t *testing.T, s *server) string {
	t.Helper()
	party, err := tokenexchange.NewTokenExchangerClientCredentials(t.Context(), s.URL, opaqueClient, clientSecret,
		tokenexchange.WithHTTPClient(s.Client()))
	if err != nil {
		t.Fatal(err)
	}
	access := login(t, s, opaqueClient, "openid", scope).AccessToken
	r, err := tokenexchange.ExchangeToken(t.Context(), party, access, oidc.AccessTokenType, "", "", nil,
		[]string{audience}, []string{"openid", scope}, oidc.IDTokenType)
	if err != nil {
		t.Fatal(err)
	}
	return r.AccessToken
}
