package zitadel_test

import (
	"testing"

	"github.com/xenaauth/xenaauth"
)

// A user's opaque token passes as a JWT does, for whom the server says that it is.
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
		t.Errorf("the server was asked %d times, want once within CacheTTL", n)
	}
	check(t, "unknown", get(t, api, full, "unknown"), inactive)
	check(t, "tampered with", get(t, api, full, token[:len(token)-1]), inactive)

	check(t, "without introspection", get(t, startAPI(t, s.config()), full, token),
		invalid(xenaauth.ReasonMalformedToken, "The access token is malformed."))
}

// The server tells an API nothing about tokens of others.
func TestOpaqueOfAnotherAPI(t *testing.T) {
	t.Parallel()
	s := start(t, provider)
	cfg := s.introspecting()
	cfg.Introspection.ClientID, cfg.Introspection.ClientSecret = otherAPI, clientSecret
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "other API", get(t, startAPI(t, cfg), full, token), inactive)
}

// The API shows who it is in the way that the server's front end takes. Where it fails to, that is an outage of the API
// and no fault of who calls it: 503 and never 401.
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
		"provider, post":                 {provider, post, apiSecret, unavailable}, // it reads no secret from a form here
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
				t.Errorf("the server was asked %d times", n)
			}
		})
	}
}

// The example server exactly as it comes, without our store: a token is for its own client, which alone may ask.
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
	// The example tells sub with the scope openid only, and a token without a user stands for nobody.
	check(t, "no sub", get(t, api, full, login(t, s, opaqueClient, "profile").AccessToken),
		invalid(xenaauth.ReasonSubject, "The access token stands for no user."))
}

// The response of the introspection endpoint says when the token ends and not when it began.
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
