package zitadel_test

import (
	"net/url"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// An ID token is no access token, though this server signs both with one key, calls both JWT, and names the API in the
// audience of both. What tells them apart is nonce, at_hash and c_hash.
func TestIDToken(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	local, introspecting := startAPI(t, s.config()), startAPI(t, s.introspecting())
	for name, token := range map[string]string{
		"of an opaque token":         login(t, s, opaqueClient, "openid", scope).IDToken,
		"of an opaque token, nonce":  loginWithNonce(t, s, opaqueClient, "nonce", "openid", scope).IDToken,
		"of a JWT":                   login(t, s, jwtClient, "openid", "profile", "email", scope).IDToken,
		"of a JWT, nonce":            loginWithNonce(t, s, jwtClient, "nonce", "openid", scope).IDToken,
		"of the implicit flow alone": implicit(t, s, "nonce"),
	} {
		check(t, name, get(t, local, full, token), notAccess)
		check(t, name, get(t, introspecting, full, token), notAccess)
		check(t, name+", no scope required", get(t, local, anyone, token), withoutScope(notAccess))
	}
}

// Asked about an ID token, the server says that it is not active: it finds no access token of that name.
func TestIDTokenIntrospected(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	cfg := s.introspecting()
	cfg.AlwaysIntrospect = true
	api := startAPI(t, cfg)
	tokens := login(t, s, jwtClient, "openid", scope)
	check(t, "access token", get(t, api, full, tokens.AccessToken), accepted(jwtClient))
	check(t, "ID token", get(t, api, full, tokens.IDToken), inactive)
}

// This server also makes ID tokens that have nothing in them to tell them by: from the implicit flow without the nonce
// that OpenID Connect Core 1.0, section 3.2.2.1, requires, and from a token exchange. They have no scope either, which
// gives them away: no route lets them pass, not even one that requires none.
func TestBareIDToken(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	api := startAPI(t, s.introspecting())
	check(t, "implicit", get(t, api, full, implicit(t, s, "")), notAccess)
	check(t, "exchanged", get(t, api, full, exchanged(t, s)), notAccess)
	check(t, "implicit, no scope required", get(t, api, anyone, implicit(t, s, "")), withoutScope(notAccess))
	check(t, "exchanged, no scope required", get(t, api, anyone, exchanged(t, s)), withoutScope(notAccess))
}

// implicit is an ID token that comes without an access token.
func implicit(t *testing.T, s *server, nonce string) string {
	t.Helper()
	party := relyingParty(t, s, opaqueClient, clientSecret, []string{"openid", scope})
	back := authorize(t, s, party, params{"response_type": string(oidc.ResponseTypeIDTokenOnly), "nonce": nonce})
	values, err := url.ParseQuery(back.Fragment)
	if err != nil || values.Get("id_token") == "" {
		t.Fatalf("no ID token in the redirect: %v", err)
	}
	return values.Get("id_token")
}

// exchanged is an ID token that a client got for an access token (RFC 8693), and asked to be for the API.
func exchanged(t *testing.T, s *server) string {
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
