package zitadel_test

import (
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// TestJWT sends a JWT of a user, from the authorization code flow, to the API. A route that
// requires a scope accepts the JWT only if the JWT has this scope.
func TestJWT(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.config())
	// The client also requests a scope that it is not allowed to have. The server does not grant
	// this scope.
	token := login(t, s, jwtClient, "openid", scope, "testapi.admin").AccessToken
	keys := s.countCalls(keysPath)
	// the first request verifies the token, and the second request finds it in the cache of tokens
	for range 2 {
		check(t, full, get(t, api, full, token), acceptedAnswer(jwtClient))
		check(t, anyone, get(t, api, anyone, token), acceptedAnswer(jwtClient))
		check(t, admin, get(t, api, admin, token), missingScope("testapi.admin"))
	}
	if n := s.countCalls(introspectionPath); n != 0 {
		t.Errorf("the server got %d introspection requests for a JWT", n)
	}
	if n := s.countCalls(keysPath) - keys; n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}

	scopeless := login(t, s, jwtClient, "openid").AccessToken
	check(t, "without the scope", get(t, api, full, scopeless), missingScope(scope))
	check(t, "without the scope", get(t, api, anyone, scopeless), acceptedAnswer(jwtClient))

	head, signature, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	forged := token[:strings.IndexByte(token, '.')+1] + head + "." + strings.Repeat("A", len(signature))
	check(t, "forged", get(t, api, full, forged),
		invalidToken(xenaauth.ReasonSignature, "The signature of the access token does not verify."))
}

// TestClientCredentials sends a token from the client credentials grant. At this server, the sub of
// a token from this grant is the client.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	api := startAPI(t, s.config())
	token := clientCredentials(t, s, scope)
	check(t, full, get(t, api, full, token), invalidToken(xenaauth.ReasonSubject, "The access token stands for no user."))
	cfg := s.config()
	cfg.AllowClientTokens = true
	api = startAPI(t, cfg)
	check(t, full, get(t, api, full, token), answer{status: 200, client: service})
	check(t, admin, get(t, api, admin, token), missingScope("testapi.admin"))
}

// TestAudience sends a token to an API whose name is in the audience of the token, and to an API
// whose name is not.
func TestAudience(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	token := login(t, s, jwtClient, "openid", scope).AccessToken
	another := s.config()
	another.Audiences = []string{"another"}
	check(t, "another API", get(t, startAPI(t, another), full, token),
		invalidToken(xenaauth.ReasonAudience, "The access token is for another audience."))
	another.Audiences = append(another.Audiences, audience)
	check(t, "one of two names", get(t, startAPI(t, another), full, token), acceptedAnswer(jwtClient))
}

// TestSilentScope sends JWTs without a scope. The server issues such JWTs unless a deployment
// changes its storage. Their typ is JWT, like that of ID tokens, so xenaauth cannot distinguish
// them from ID tokens and refuses both.
func TestSilentScope(t *testing.T) {
	t.Parallel()
	s := startServer(t, provider)
	s.store.omitScope = true
	api := startAPI(t, s.config())
	token := login(t, s, jwtClient, "openid", scope).AccessToken
	check(t, full, get(t, api, full, token), notAccess)
	check(t, anyone, get(t, api, anyone, token), removeScopeParam(notAccess))
}
