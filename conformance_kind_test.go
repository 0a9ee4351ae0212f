package xenaauth_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// kinds are values of the claims that say what kind of token this is, and whether they call it an access token.
var kinds = map[string]map[any]bool{
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

func TestJ14_WhatATokenCallsItself(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cases := map[string]claim{
		"a JWT library's access token": {map[string]any{"token_type": "access"}, ""},
		"a number":                     {map[string]any{"token_use": 7}, xenaauth.ReasonTokenType},
		"a list":                       {map[string]any{"typ": []string{"Bearer"}}, xenaauth.ReasonTokenType},
		"null":                         {map[string]any{"token_use": text("null")}, xenaauth.ReasonTokenType},
		"one good, one bad":            {map[string]any{"token_use": "access", "typ": "Refresh"}, xenaauth.ReasonTokenType},
		"bound to a key": {map[string]any{"typ": "DPoP", "cnf": map[string]any{"jkt": "x"}},
			xenaauth.ReasonConfirmation},
	}
	for name, values := range kinds {
		for value, good := range values {
			c := claim{map[string]any{name: value}, xenaauth.ReasonTokenType}
			if good {
				c.reason = ""
			}
			cases[name+" "+value.(string)] = c
		}
	}
	serve(t, issuer.Config()).judges(t, issuer, cases)
}

func TestI7_WhatAResponseCallsItsToken(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cfg := issuer.HybridConfig()
	cfg.AllowAnyLifetime = true
	strict := cfg
	strict.Profile = xenaauth.ProfileRFC9068
	for _, a := range []*api{serve(t, issuer.HybridConfig()), serve(t, cfg), serve(t, strict)} {
		for name, values := range kinds {
			for value, good := range values {
				token := issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{name: value}})
				if good {
					a.passes(t, token)
				} else {
					a.refuses(t, token, xenaauth.ReasonTokenType)
				}
			}
		}
		a.passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"typ": text("null"), "token_use": text("null")}}))
		a.refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_use": 7}}), xenaauth.ReasonTokenType)
		// How the token is used, RFC 7662 says, and not what kind it is.
		a.refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": "access_token"}}), xenaauth.ReasonTokenType)
	}
}

// The kind that a response tells is a fact: it counts for a JWT that was verified locally, and from the cache.
func TestI7_RefreshTokenAfterLocalVerification(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cfg := issuer.HybridConfig()
	cfg.RequireActive = true
	a := serve(t, cfg)
	now := time.Now().Unix()
	body, err := json.Marshal(map[string]any{
		"active": true, "sub": "104711", "client_id": someClient, "scope": "testapi", "iat": now, "exp": now + 3600,
		"token_type": "Bearer", "token_use": "refresh_token",
	})
	require.NoError(t, err)
	says(issuer, string(body))
	token := issuer.JWT(xenaauthtest.Token{})
	for range 3 {
		a.refuses(t, token, xenaauth.ReasonTokenType)
	}
	require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), "the response is cached")
}

// An introspected token that has an end and no start is refused whatever its age. If it were counted from now, one of
// five hours would be refused for four hours and pass in the fifth, when a revocation without an end has ended.
func TestI3_LifetimeWithoutAStart(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]map[string]any{
		"neither nbf nor iat": {"nbf": nil, "iat": nil},
		"nbf 0":               {"nbf": 0, "iat": nil},
		"nbf null":            {"nbf": text("null"), "iat": nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				issuer := newIssuer()
				cfg := issuer.HybridConfig()
				a := mount(t, cfg)
				cfg.AllowAnyLifetime = true
				any := mount(t, cfg)
				long := issuer.Opaque(xenaauthtest.Token{Lifetime: 5 * time.Hour, Claims: start})
				short := issuer.Opaque(xenaauthtest.Token{Lifetime: 30 * time.Minute, Claims: start})
				for n := range 59 {
					a.refuses(t, long, xenaauth.ReasonLifetime)
					if n < 5 {
						a.refuses(t, short, xenaauth.ReasonLifetime)
					}
					any.passes(t, long)
					time.Sleep(5 * time.Minute)
				}
				time.Sleep(5 * time.Minute)
				require.NotEqual(t, xenaauth.Reason(""), reasonOf(t, a.validator, long))
				require.NotEqual(t, xenaauth.Reason(""), reasonOf(t, any.validator, long))
			})
		})
	}
}

// A revocation without an end holds until every token that existed then has expired, for introspected tokens too.
func TestI3_RevocationWithoutAnEndOutlivesTheToken(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		issuer := newIssuer()
		a := mount(t, issuer.HybridConfig())
		v := a.validator.(*xenaauth.Validator)
		tokens := []string{
			issuer.Opaque(xenaauthtest.Token{}),
			issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"nbf": nil}}),
			issuer.Opaque(xenaauthtest.Token{Lifetime: 3 * time.Hour, Claims: map[string]any{"nbf": nil, "iat": nil}}),
		}
		require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "104711"}))
		for range 40 {
			for _, token := range tokens {
				require.NotEmpty(t, reasonOf(t, v, token))
			}
			time.Sleep(5 * time.Minute)
		}
	})
}
