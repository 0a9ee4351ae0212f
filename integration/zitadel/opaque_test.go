package zitadel_test

import (
	"testing"

	"github.com/xenaauth/xenaauth"
)

// TestOpaque sends an opaque token of a user. The API accepts it like a JWT. The introspection
// response of the server names the user of the request.
func TestOpaque(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.introspectionConfig())
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	for range 2 {
		check(t, full, get(t, api, full, token), acceptedAnswer(opaqueClient))
		check(t, admin, get(t, api, admin, token), missingScope("testapi.admin"))
	}
	if n := s.countCalls(introspectionPath); n != 1 {
		t.Errorf("the server got %d introspection requests, want one within CacheTTL", n)
	}
	check(t, "unknown", get(t, api, full, "unknown"), inactive)
	check(t, "tampered with", get(t, api, full, token[:len(token)-1]), inactive)

	check(t, "without introspection", get(t, startAPI(t, s.config()), full, token),
		invalidToken(xenaauth.ReasonMalformedToken, "The access token is malformed."))
}

// In TestOpaqueOfAnotherAPI, a client sends an opaque token to an API, but the token was issued for
// another API. When the API introspects the token, the server responds that the token is inactive.
func TestOpaqueOfAnotherAPI(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	cfg := s.introspectionConfig()
	cfg.Introspection.ClientID, cfg.Introspection.ClientSecret = otherAPI, clientSecret
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "other API", get(t, startAPI(t, cfg), full, token), inactive)
}

// The server has two front ends: two implementations of its endpoints. The API introspects a token
// at each of them, with correct and with wrong credentials. If the server rejects the API's
// credentials, the client of the API gets 503 and never 401, because the client's token is not the
// problem.
func TestIntrospectionCredentials(t *testing.T) {
	t.Parallel()
	const basic, post = xenaauth.ClientSecretBasic, xenaauth.ClientSecretPost
	for name, c := range map[string]struct {
		frontEnd bool
		auth     xenaauth.ClientAuth
		secret   string
		want     answer
	}{
		"provider, basic":               {provider, basic, apiSecret, acceptedAnswer(opaqueClient)},
		"provider, basic, wrong secret": {provider, basic, "wrong", unavailable},
		// the type op.Provider reads the secret only from the Authorization field, and not from the
		// form
		"provider, post":                 {provider, post, apiSecret, unavailable},
		"webServer, basic":               {webServer, basic, apiSecret, acceptedAnswer(opaqueClient)},
		"webServer, basic, wrong secret": {webServer, basic, "wrong", unavailable},
		"webServer, post":                {webServer, post, apiSecret, acceptedAnswer(opaqueClient)},
		"webServer, post, wrong secret":  {webServer, post, "wrong", unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, c.frontEnd)
			cfg := s.introspectionConfig()
			cfg.Introspection.Auth, cfg.Introspection.ClientSecret = c.auth, c.secret
			token := login(t, s, opaqueClient, "openid", scope).AccessToken
			check(t, name, get(t, startAPI(t, cfg), full, token), c.want)
			if n := s.countCalls(introspectionPath); n != 1 {
				t.Errorf("%d introspection requests", n)
			}
		})
	}
}

// In its own storage, the example server puts only the client into the audience of a token. Then
// only this client may introspect the token. The other tests use a storage that puts the API into
// the audience: see the type store.
func TestStockServer(t *testing.T) {
	t.Parallel()
	s := startStockServer(t)
	cfg := s.introspectionConfig()
	cfg.Introspection.ClientID, cfg.Introspection.ClientSecret = opaqueClient, clientSecret
	api := startAPI(t, cfg)
	tokens := login(t, s, opaqueClient, "openid", scope)
	check(t, anyone, get(t, api, anyone, tokens.AccessToken), acceptedAnswer(opaqueClient))
	check(t, "a scope that it doesn't know", get(t, api, full, tokens.AccessToken), missingScope(scope))
	check(t, "ID token", get(t, api, full, tokens.IDToken), notAccess)
	// The example server puts sub into an introspection response only if the token has the scope
	// openid. Without sub the token is refused.
	check(t, "no sub", get(t, api, full, login(t, s, opaqueClient, "profile").AccessToken),
		invalidToken(xenaauth.ReasonSubject, "The access token stands for no user."))
}

// An introspection response of this server contains exp, but neither iat nor nbf. So the lifetime
// of the token is unknown, and the API refuses the token unless AllowAnyLifetime is set.
func TestLifetimeIsUnknown(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	cfg := s.introspectionConfig()
	token := login(t, s, opaqueClient, "openid", scope).AccessToken
	check(t, "any lifetime", get(t, startAPI(t, cfg), full, token), acceptedAnswer(opaqueClient))
	cfg.AllowAnyLifetime = false
	check(t, "an hour", get(t, startAPI(t, cfg), full, token),
		invalidToken(xenaauth.ReasonLifetime, "The access token is valid for too long."))
}
