package zitadel_test

import (
	"testing"

	"github.com/xenaauth/xenaauth"
)

// TestOpaque sends an opaque token of a user. It passes like a JWT, with the user that the server
// reports.
func TestOpaque(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	api := startAPI(t, s.introspecting())
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	for range 2 {
		check(t, full, get(t, api, full, token), accepted(opaqueClient))
		check(t, admin, get(t, api, admin, token), lacking("testapi.admin"))
	}
	if n := s.called(introspectionPath); n != 1 {
		t.Errorf("the server got %d introspection requests, want one within CacheTTL", n)
	}
	check(t, "unknown", get(t, api, full, "unknown"), inactive)
	check(t, "tampered with", get(t, api, full, token[:len(token)-1]), inactive)

	check(t, "without introspection", get(t, startAPI(t, s.config()), full, token),
		invalid(xenaauth.ReasonMalformedToken, "The access token is malformed."))
}

// TestOpaqueOfAnotherAPI sends a token for another API. The server reports it as not active.
func TestOpaqueOfAnotherAPI(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	cfg := s.introspecting()
	cfg.Introspection.ClientID, cfg.Introspection.ClientSecret = otherAPI, clientSecret
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "other API", get(t, startAPI(t, cfg), full, token), inactive)
}

// The API authenticates itself to each front end of the server. If that fails, the client gets 503
// and never 401, because its token is not the problem.
func TestIntrospectionCredentials(t *testing.T) {
	t.Parallel()
	const basic, post = xenaauth.ClientSecretBasic, xenaauth.ClientSecretPost
	for name, c := range map[string]struct {
		frontEnd bool
		auth     xenaauth.ClientAuth
		secret   string
		want     answer
	}{
		"provider, basic":                {provider, basic, apiSecret, accepted(opaqueClient)},
		"provider, basic, wrong secret":  {provider, basic, "wrong", unavailable},
		"provider, post":                 {provider, post, apiSecret, unavailable}, // this front end reads no secret from a form
		"webServer, basic":               {webServer, basic, apiSecret, accepted(opaqueClient)},
		"webServer, basic, wrong secret": {webServer, basic, "wrong", unavailable},
		"webServer, post":                {webServer, post, apiSecret, accepted(opaqueClient)},
		"webServer, post, wrong secret":  {webServer, post, "wrong", unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.frontEnd)
			cfg := s.introspecting()
			cfg.Introspection.Auth, cfg.Introspection.ClientSecret = c.auth, c.secret
			token := login(t, s, opaqueClient, "openid", scope).AccessToken
			check(t, name, get(t, startAPI(t, cfg), full, token), c.want)
			if n := s.called(introspectionPath); n != 1 {
				t.Errorf("%d introspection requests", n)
			}
		})
	}
}

// The example server without changes. The audience of a token is its own client, and only that
// client may introspect it.
func TestStockServer(t *testing.T) {
	t.Parallel()
	s := startStock(t)
	cfg := s.introspecting()
	cfg.Introspection.ClientID, cfg.Introspection.ClientSecret = opaqueClient, clientSecret
	api := startAPI(t, cfg)
	tokens := login(t, s, opaqueClient, "openid", scope)
	check(t, anyone, get(t, api, anyone, tokens.AccessToken), accepted(opaqueClient))
	check(t, "a scope that it doesn't know", get(t, api, full, tokens.AccessToken), lacking(scope))
	check(t, "ID token", get(t, api, full, tokens.IDToken), notAccess)
	// The example reports sub only with the scope openid. A token without a user is refused.
	check(t, "no sub", get(t, api, full, login(t, s, opaqueClient, "profile").AccessToken),
		invalid(xenaauth.ReasonSubject, "The access token stands for no user."))
}

// The introspection response has the end of the token and not its beginning.
func TestLifetimeIsUnknown(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	cfg := s.introspecting()
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "any lifetime", get(t, startAPI(t, cfg), full, token), accepted(opaqueClient))
	cfg.AllowAnyLifetime = false
	check(t, "an hour", get(t, startAPI(t, cfg), full, token),
		invalid(xenaauth.ReasonLifetime, "The access token is valid for too long."))
}
