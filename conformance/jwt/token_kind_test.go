package jwt_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Some claims say what kind of token a token is, for example an access token or an ID token.
// kindClaims maps the name of each such claim to some of its possible values. It maps a value to
// true if the value stands for an access token, and to false otherwise.
var kindClaims = map[string]map[any]bool{
	"token_use": {
		"access": true, "access_token": true, "ACCESS": true,
		"id": false, "refresh": false, "refresh_token": false, "id_token": false, "authorization_code": false, "": false,
		"access ": false,
	},
	"typ": {
		"Bearer": true, "bearer": true, "at+jwt": true, "application/at+jwt": true, "JWT": true, "access": true,
		"Refresh": false, "ID": false, "Offline": false, "Logout": false, "Serialized-ID": false, "DPoP": false,
		"logout+jwt": false, "dpop+jwt": false, "JOSE": false, "": false,
	},
	"token_type": {
		"Bearer": true, "refresh": false, "refresh_token": false, "id_token": false, "N_A": false, "DPoP": false,
		"mac": false, "": false,
	},
}

func TestJ14_KindInClaims(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cases := map[string]claimCase{
		"a JWT library's access token": {map[string]any{"token_type": "access"}, ""},
		"a number":                     {map[string]any{"token_use": 7}, xenaauth.ReasonTokenType},
		"a list":                       {map[string]any{"typ": []string{"Bearer"}}, xenaauth.ReasonTokenType},
		"null":                         {map[string]any{"token_use": harness.RawJSON("null")}, xenaauth.ReasonTokenType},
		"one good, one bad":            {map[string]any{"token_use": "access", "typ": "Refresh"}, xenaauth.ReasonTokenType},
		"bound to a key": {map[string]any{"typ": "DPoP", "cnf": map[string]any{"jkt": "x"}},
			xenaauth.ReasonConfirmation},
	}
	for name, values := range kindClaims {
		for value, good := range values {
			c := claimCase{map[string]any{name: value}, xenaauth.ReasonTokenType}
			if good {
				c.reason = ""
			}
			cases[name+" "+value.(string)] = c
		}
	}
	checkClaims(t, harness.Serve(t, issuer.Config()), issuer, cases)
}

func TestI7_KindInResponse(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.AllowAnyLifetime = true
	strict := cfg
	strict.Profile = xenaauth.ProfileRFC9068
	for _, a := range []*harness.API{harness.Serve(t, issuer.HybridConfig()), harness.Serve(t, cfg), harness.Serve(t, strict)} {
		for name, values := range kindClaims {
			for value, good := range values {
				token := issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{name: value}})
				if good {
					a.Passes(t, token)
				} else {
					a.Refuses(t, token, xenaauth.ReasonTokenType)
				}
			}
		}
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"typ": harness.RawJSON("null"), "token_use": harness.RawJSON("null")}}))
		a.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_use": 7}}), xenaauth.ReasonTokenType)
		// In an introspection response, token_type says how the token is used, for example as a
		// bearer token. It does not say that the token is an access token (RFC 7662).
		a.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": "access_token"}}), xenaauth.ReasonTokenType)
	}
}

// With Config.RequireActive, the library also introspects a JWT. If the introspection response says
// that the JWT is not an access token, the JWT is refused although its signature is valid. This is
// also true if the response comes from the cache.
func TestI7_RefreshTokenAfterLocalVerification(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.RequireActive = true
	a := harness.Serve(t, cfg)
	now := time.Now().Unix()
	body, err := json.Marshal(map[string]any{
		"active": true, "sub": "104711", "client_id": harness.ClientID, "scope": "testapi", "iat": now, "exp": now + 3600,
		"token_type": "Bearer", "token_use": "refresh_token",
	})
	require.NoError(t, err)
	harness.SetIntrospectionResponse(issuer, string(body))
	token := issuer.JWT(xenaauthtest.Token{})
	for range 3 {
		a.Refuses(t, token, xenaauth.ReasonTokenType)
	}
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), "the response is cached")
}

// An ID token may lack the claims that ID tokens usually have. So a token without a scope is
// refused as a possible ID token in two cases: the typ of the token does not name an access token,
// or the client of the token is in its audience.
func TestTokenThatMayBeAnIDToken(t *testing.T) {
	issuer := harness.NewIssuer()
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	client := "app.xena.biz"
	token := func(typ any, audience []string, scope any) string {
		return issuer.JWT(xenaauthtest.Token{ClientID: client, Header: map[string]any{"typ": typ},
			Claims: map[string]any{"aud": audience, "scope": scope}})
	}
	api, both := []string{issuer.API()}, []string{client, issuer.API()}
	for _, refused := range []string{token("JWT", api, nil), token(nil, api, nil), token("JWT", both, nil), token("at+jwt", both, nil)} {
		require.Equal(t, xenaauth.ReasonTokenType, harness.ReasonOf(t, v, refused))
	}
	for _, good := range []string{token("at+jwt", api, nil), token("JWT", api, "testapi"), token(nil, both, "testapi"), token("at+jwt", both, "testapi")} {
		require.Empty(t, harness.ReasonOf(t, v, good))
	}
}
