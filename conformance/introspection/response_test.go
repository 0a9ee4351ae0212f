package introspection_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestI1_IntrospectionRequest(t *testing.T) {
	t.Parallel()
	const secret = `p+a/s s=w&o%r:d"é\🔑`
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", API: "test:api/1 é", APISecret: secret})
	for _, auth := range []xenaauth.ClientAuth{xenaauth.ClientSecretBasic, xenaauth.ClientSecretPost} {
		cfg := issuer.HybridConfig()
		cfg.Introspection.Auth = auth
		token := issuer.Opaque(xenaauthtest.Token{})
		harness.Serve(t, cfg).Passes(t, token)
		header, form := issuer.LastIntrospection()
		require.Equal(t, "application/x-www-form-urlencoded", header.Get("Content-Type"))
		require.Equal(t, "application/json", header.Get("Accept"))
		require.Equal(t, []string{token}, form["token"])
		require.Equal(t, []string{"access_token"}, form["token_type_hint"])
		if auth == xenaauth.ClientSecretPost {
			require.Empty(t, header.Get("Authorization"))
			require.Equal(t, []string{"test:api/1 é"}, form["client_id"])
			require.Equal(t, []string{secret}, form["client_secret"])
			continue
		}
		require.NotContains(t, form, "client_id")
		require.NotContains(t, form, "client_secret")
		pair, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(header.Get("Authorization"), "Basic "))
		require.NoError(t, err)
		require.Equal(t, "test%3Aapi%2F1+%C3%A9:p%2Ba%2Fs+s%3Dw%26o%25r%3Ad%22%C3%A9%5C%F0%9F%94%91", string(pair))
	}
	cfg := issuer.HybridConfig()
	cfg.Introspection.Endpoint = "http://login.xena.biz/connect/introspect"
	require.ErrorContains(t, cfg.Validate(), "Introspection.Endpoint")
}

// HTTP middleware, gRPC and the other protocols all call Validate. So Validate itself must not send
// a text to the issuer if the syntax shows that the text cannot be a token.
func TestI1_OnlyTokensAreSent(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v, err := xenaauth.NewValidator(issuer.HybridConfig())
	require.NoError(t, err)
	token := issuer.Opaque(xenaauthtest.Token{})
	for _, text := range []string{"", "a b", "a\n", "=", "=a", "a=b", "é", "a,b", "a\x00", token + " ", "a.b c.d", "e.f\"g.h"} {
		_, err := v.Validate(t.Context(), text)
		refusal, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok, "%q: %v", text, err)
		require.Equal(t, xenaauth.ReasonMalformedToken, refusal.Reason, "%q", text)
	}
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
	_, err = v.Validate(t.Context(), token)
	require.NoError(t, err)
}

func TestI2_ActiveIsTrue(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	const rest = `"sub":"u","client_id":"c","scope":"testapi"`
	for _, active := range []string{`"true"`, `1`, `null`, `false`, `"1"`, `[true]`, `{"true":true}`, `"active"`, `0`, `1.0`} {
		harness.SetIntrospectionResponse(issuer, `{"active":`+active+`,`+rest+`}`)
		harness.Serve(t, issuer.HybridConfig()).Refuses(t, "opaque", xenaauth.ReasonInactive)
	}
	harness.SetIntrospectionResponse(issuer, `{`+rest+`}`)
	harness.Serve(t, issuer.HybridConfig()).Refuses(t, "opaque", xenaauth.ReasonInactive)
	harness.SetIntrospectionResponse(issuer, `{"active":true,`+rest+`}`)
	harness.Serve(t, issuer.HybridConfig()).Passes(t, "opaque")
	for _, body := range []string{`{"active":true,"active":false,` + rest + `}`, `{"active":TRUE,` + rest + `}`, `{"active":false,"Active":true,` + rest + `}`, `{"active":trueish}`} {
		harness.SetIntrospectionResponse(issuer, body)
		harness.Serve(t, issuer.HybridConfig()).Refuses(t, "opaque", xenaauth.ReasonUnavailable)
	}
}

func TestI3_ResponseMeetsThePolicy(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.HybridConfig())
	now := time.Now().Unix()
	for name, c := range map[string]claimCase{
		"nothing beyond names": {map[string]any{"exp": nil, "nbf": nil, "iat": nil, "iss": nil, "aud": nil}, ""},
		"issuer":               {map[string]any{"iss": "https://login.xena.biz/"}, xenaauth.ReasonIssuer},
		"audience":             {map[string]any{"aud": "otherapi"}, xenaauth.ReasonAudience},
		"no audience":          {map[string]any{"aud": []string{}}, xenaauth.ReasonAudience},
		"client as audience":   {map[string]any{"aud": "c", "client_id": "c"}, xenaauth.ReasonTokenType},
		"not yet":              {map[string]any{"nbf": now + 60}, xenaauth.ReasonNotYetValid},
		"not yet issued":       {map[string]any{"iat": now + 60}, xenaauth.ReasonNotYetValid},
		"long":                 {map[string]any{"exp": now + 86400}, xenaauth.ReasonLifetime},
		"nonce":                {map[string]any{"nonce": "n"}, xenaauth.ReasonTokenType},
		"logout":               {map[string]any{"events": map[string]any{}}, xenaauth.ReasonTokenType},
		"no client":            {map[string]any{"client_id": nil}, xenaauth.ReasonClaims},
		"no user":              {map[string]any{"sub": nil}, xenaauth.ReasonSubject},
		"empty user":           {map[string]any{"sub": ""}, xenaauth.ReasonClaims},
		"digits":               {map[string]any{"nbf": "1000000000", "exp": nil, "iat": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := issuer.Opaque(xenaauthtest.Token{Claims: c.changes})
			if c.reason == "" {
				a.Passes(t, token)
				return
			}
			a.Refuses(t, token, c.reason)
		})
	}
	t.Run("expired", func(t *testing.T) {
		harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":1000}`)
		a.Refuses(t, "expired", xenaauth.ReasonExpired)
		harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":"1000"}`)
		a.Refuses(t, "expired-digits", xenaauth.ReasonExpired)
		// in these responses, the value of exp is not a time
		for _, exp := range []string{`"soon"`, `true`, `[]`, `-1`, `"-1"`, `1e400`, `""`} {
			harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":`+exp+`}`)
			a.Refuses(t, "odd-"+harness.Base64(exp), xenaauth.ReasonUnavailable)
		}
	})
}

func TestI4_InvalidResponses(t *testing.T) {
	t.Parallel()
	good := `{"active":true,"sub":"u","client_id":"c","scope":"testapi"}`
	for name, fault := range map[string]xenaauthtest.Fault{
		"500": {Status: 500, Body: good}, "502": {Status: 502}, "503": {Status: 503}, "429": {Status: 429}, "404": {Status: 404, Body: good},
		"201": {Status: 201, Body: good}, "204": {Status: 204}, "405": {Status: 405}, "400": {Status: 400, Body: `{"error":"invalid_request"}`},
		"400 of nothing": {Status: 400}, "400 of HTML": {Status: 400, Body: "<html>", ContentType: "text/html"},
		"HTML": {Body: "<html></html>", ContentType: "text/html"}, "JSON as text": {Body: good, ContentType: "text/plain"},
		"no type": {Body: good, Header: http.Header{"Content-Type": {}}}, "signed": {Body: good, ContentType: "application/token-introspection+jwt"},
		"oversize": {Body: good[:len(good)-1] + `,"x":"` + strings.Repeat("a", 1<<20) + `"}`}, "bad JSON": {Body: good + "x"}, "list": {Body: "[" + good + "]"},
		"cut": {Break: true}, "empty": {Body: " "}, "JSON null": {Body: "null"}, "a string": {Body: `"active"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := harness.NewIssuer()
			a := harness.Serve(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Fail(xenaauthtest.Introspection, fault)
			a.Refuses(t, token, xenaauth.ReasonUnavailable)
			issuer.Heal()
			// the library does not cache a failed introspection call, so it calls the issuer again
			a.Passes(t, token)
		})
	}
	t.Run("token not supported", func(t *testing.T) {
		t.Parallel()
		issuer := harness.NewIssuer()
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`})
		harness.Serve(t, issuer.HybridConfig()).Refuses(t, "opaque", xenaauth.ReasonInactive)
	})
	for name, status := range map[string]int{"redirect 302": 302, "redirect 307": 307, "redirect 308": 308} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
			defer issuer.Close()
			other := xenaauthtest.StartIssuer(nil)
			defer other.Close()
			a := harness.Serve(t, issuer.HybridConfig())
			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: status, Header: http.Header{"Location": {other.Addr() + "/connect/introspect"}}})
			a.Refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			require.Zero(t, other.Calls(xenaauthtest.All), "the client credentials were sent to another issuer")
		})
	}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			a := harness.Mount(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Delay: time.Minute})
			began := time.Now()
			a.Refuses(t, token, xenaauth.ReasonUnavailable)
			require.LessOrEqual(t, time.Since(began), 6*time.Second)
		})
	})
}

func TestI5_OurCredentialsAreWrong(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Introspection.ClientSecret = "wrong-secret"
	a := harness.Serve(t, cfg)
	a.Refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	require.Contains(t, a.Log.String(), "level=ERROR")
	require.Contains(t, a.Log.String(), "credentials")
	require.NotContains(t, a.Log.String(), "wrong-secret")
	b := harness.Serve(t, issuer.HybridConfig())
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 403})
	b.Refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	require.Contains(t, b.Log.String(), "credentials")
}

func TestI7_TokenType(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.HybridConfig())
	for _, tokenType := range []any{"Bearer", "bearer", "BEARER", "bEARER", harness.RawJSON("null"), nil} {
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": tokenType}}))
	}
	for _, tokenType := range []string{"DPoP", "N_A", "mac", "", "Bearer ", "pop", "refresh_token"} {
		a.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": tokenType}}), xenaauth.ReasonTokenType)
	}
}

// A claimCase is a test case: changes to the claims of a valid token, and the reason of the refusal
// that the test expects. The reason is "" if the token is accepted.
type claimCase struct {
	changes map[string]any
	reason  xenaauth.Reason
}

// An introspection response with exp, but without iat and nbf, does not say how long the token
// lives. So the token is refused, unless Config.AllowAnyLifetime is set.
//
// It would be wrong to count the lifetime from the time of the request. In this test the longest
// allowed lifetime is an hour, and the token expires in five hours. The library would then refuse
// the token for four hours and accept it in its last hour. A revocation of the token would end
// after the longest allowed lifetime, and so before this last hour.
func TestI3_LifetimeWithoutAStart(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]map[string]any{
		"neither nbf nor iat": {"nbf": nil, "iat": nil},
		"nbf 0":               {"nbf": 0, "iat": nil},
		"nbf null":            {"nbf": harness.RawJSON("null"), "iat": nil},
	} {
		t.Run(name, func(t *testing.T) {
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.HybridConfig()
				a := harness.Mount(t, cfg)
				cfg.AllowAnyLifetime = true
				any := harness.Mount(t, cfg)
				long := issuer.Opaque(xenaauthtest.Token{Lifetime: 5 * time.Hour, Claims: start})
				short := issuer.Opaque(xenaauthtest.Token{Lifetime: 30 * time.Minute, Claims: start})
				for n := range 59 {
					a.Refuses(t, long, xenaauth.ReasonLifetime)
					if n < 5 {
						a.Refuses(t, short, xenaauth.ReasonLifetime)
					}
					any.Passes(t, long)
					time.Sleep(5 * time.Minute)
				}
				time.Sleep(5 * time.Minute)
				require.NotEqual(t, xenaauth.Reason(""), harness.ReasonOf(t, a.Validator, long))
				require.NotEqual(t, xenaauth.Reason(""), harness.ReasonOf(t, any.Validator, long))
			})
		})
	}
}

// A revocation may have no time at which it ends. It then stays in force until all tokens that
// existed when it was made have expired. This is also true for tokens that are introspected.
func TestI3_RevocationWithoutAnEndOutlivesTheToken(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		a := harness.Mount(t, issuer.HybridConfig())
		v := a.Validator.(*xenaauth.Validator)
		tokens := []string{
			issuer.Opaque(xenaauthtest.Token{}),
			issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"nbf": nil}}),
			issuer.Opaque(xenaauthtest.Token{Lifetime: 3 * time.Hour, Claims: map[string]any{"nbf": nil, "iat": nil}}),
		}
		require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "104711"}))
		for range 40 {
			for _, token := range tokens {
				require.NotEmpty(t, harness.ReasonOf(t, v, token))
			}
			time.Sleep(5 * time.Minute)
		}
	})
}
