package xenaauth_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestI1_TheQuestion(t *testing.T) {
	t.Parallel()
	const secret = `p+a/s s=w&o%r:d"é\🔑`
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", API: "test:api/1 é", APISecret: secret})
	for _, auth := range []xenaauth.ClientAuth{xenaauth.ClientSecretBasic, xenaauth.ClientSecretPost} {
		cfg := issuer.HybridConfig()
		cfg.Introspection.Auth = auth
		token := issuer.Opaque(xenaauthtest.Token{})
		serve(t, cfg).passes(t, token)
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

// says makes the introspection endpoint answer exactly this.
func says(issuer *xenaauthtest.Issuer, body string) {
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: body})
}

func TestI2_ActiveIsTrue(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	const rest = `"sub":"u","client_id":"c","scope":"testapi"`
	for _, active := range []string{`"true"`, `1`, `null`, `false`, `"1"`, `[true]`, `{"true":true}`, `"active"`, `0`, `1.0`} {
		says(issuer, `{"active":`+active+`,`+rest+`}`)
		serve(t, issuer.HybridConfig()).refuses(t, "opaque", xenaauth.ReasonInactive)
	}
	says(issuer, `{`+rest+`}`)
	serve(t, issuer.HybridConfig()).refuses(t, "opaque", xenaauth.ReasonInactive)
	says(issuer, `{"active":true,`+rest+`}`)
	serve(t, issuer.HybridConfig()).passes(t, "opaque")
	for _, body := range []string{`{"active":true,"active":false,` + rest + `}`, `{"active":TRUE,` + rest + `}`, `{"active":false,"Active":true,` + rest + `}`, `{"active":trueish}`} {
		says(issuer, body)
		serve(t, issuer.HybridConfig()).refuses(t, "opaque", xenaauth.ReasonUnavailable)
	}
}

func TestI3_TheAnswerMeetsThePolicy(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := serve(t, issuer.HybridConfig())
	now := time.Now().Unix()
	for name, c := range map[string]claim{
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
				a.passes(t, token)
				return
			}
			a.refuses(t, token, c.reason)
		})
	}
	t.Run("expired", func(t *testing.T) {
		says(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":1000}`)
		a.refuses(t, "expired", xenaauth.ReasonExpired)
		says(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":"1000"}`)
		a.refuses(t, "expired-digits", xenaauth.ReasonExpired)
		for _, exp := range []string{`"soon"`, `true`, `[]`, `-1`, `"-1"`, `1e400`, `""`} { // an answer that makes no sense
			says(issuer, `{"active":true,"sub":"u","client_id":"c","scope":"testapi","exp":`+exp+`}`)
			a.refuses(t, "odd-"+b64(exp), xenaauth.ReasonUnavailable)
		}
	})
}

func TestI4_NotAnAnswer(t *testing.T) {
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
			issuer := newIssuer()
			a := serve(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Fail(xenaauthtest.Introspection, fault)
			a.refuses(t, token, xenaauth.ReasonUnavailable)
			issuer.Heal()
			a.passes(t, token) // what went wrong is not remembered
		})
	}
	t.Run("token not supported", func(t *testing.T) {
		t.Parallel()
		issuer := newIssuer()
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`})
		serve(t, issuer.HybridConfig()).refuses(t, "opaque", xenaauth.ReasonInactive)
	})
	for name, status := range map[string]int{"redirect 302": 302, "redirect 307": 307, "redirect 308": 308} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
			defer issuer.Close()
			other := xenaauthtest.StartIssuer(nil)
			defer other.Close()
			a := serve(t, issuer.HybridConfig())
			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: status, Header: http.Header{"Location": {other.Addr() + "/connect/introspect"}}})
			a.refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			require.Zero(t, other.Calls(xenaauthtest.All), "our credentials went elsewhere")
		})
	}
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t *testing.T) {
			issuer := newIssuer()
			a := mount(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Delay: time.Minute})
			began := time.Now()
			a.refuses(t, token, xenaauth.ReasonUnavailable)
			require.LessOrEqual(t, time.Since(began), 6*time.Second)
		})
	})
}

func TestI5_OurCredentialsAreWrong(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cfg := issuer.HybridConfig()
	cfg.Introspection.ClientSecret = "wrong-secret"
	a := serve(t, cfg)
	a.refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	require.Contains(t, a.log.String(), "level=ERROR")
	require.Contains(t, a.log.String(), "credentials")
	require.NotContains(t, a.log.String(), "wrong-secret")
	b := serve(t, issuer.HybridConfig())
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 403})
	b.refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	require.Contains(t, b.log.String(), "credentials")
}

func TestI6_Caching(t *testing.T) {
	t.Parallel()
	calls := func(t *testing.T, issuer *xenaauthtest.Issuer, want int) {
		t.Helper()
		require.Equal(t, want, issuer.Calls(xenaauthtest.Introspection))
		issuer.ResetCalls()
	}
	inTime := func(name string, f func(t *testing.T, issuer *xenaauthtest.Issuer)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { f(t, newIssuer()) })
		})
	}
	inTime("lifetime", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL = 30 * time.Second
		a := mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		for range 5 {
			a.passes(t, token)
		}
		time.Sleep(29 * time.Second)
		a.passes(t, token)
		calls(t, issuer, 1)
		issuer.Revoke(token)
		a.passes(t, token) // the price of caching
		time.Sleep(time.Second)
		a.refuses(t, token, xenaauth.ReasonInactive)
		calls(t, issuer, 1)
	})
	inTime("one minute by default", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := mount(t, issuer.HybridConfig())
		token := issuer.Opaque(xenaauthtest.Token{})
		a.passes(t, token)
		time.Sleep(59 * time.Second)
		a.passes(t, token)
		calls(t, issuer, 1)
		time.Sleep(2 * time.Second)
		a.passes(t, token)
		calls(t, issuer, 1)
	})
	inTime("never beyond exp", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL = time.Hour
		a := mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{Lifetime: 20 * time.Second})
		a.passes(t, token)
		time.Sleep(19 * time.Second)
		a.passes(t, token)
		calls(t, issuer, 1)
		time.Sleep(time.Second)
		a.refuses(t, token, xenaauth.ReasonInactive) // asked again, though within the skew
		calls(t, issuer, 1)
	})
	inTime("inactive, for a short time", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := mount(t, issuer.HybridConfig())
		for range 5 {
			a.refuses(t, "unknown", xenaauth.ReasonInactive)
		}
		calls(t, issuer, 1)
		time.Sleep(10 * time.Second)
		a.refuses(t, "unknown", xenaauth.ReasonInactive)
		calls(t, issuer, 1)
	})
	inTime("inactive, in a cache apart", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheSize = 32
		a := mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		a.passes(t, token)
		for i := range 500 {
			a.refuses(t, "unknown"+b64([]byte{byte(i), byte(i >> 8)}), xenaauth.ReasonInactive)
		}
		calls(t, issuer, 501)
		a.passes(t, token)
		calls(t, issuer, 0)
	})
	inTime("no caching", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL, cfg.Introspection.NegativeTTL = -1, -1
		a := mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		for range 3 {
			a.passes(t, token)
			a.refuses(t, "unknown", xenaauth.ReasonInactive)
		}
		calls(t, issuer, 6)
	})
	inTime("no errors", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := mount(t, issuer.HybridConfig())
		token := issuer.Opaque(xenaauthtest.Token{})
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
		a.refuses(t, token, xenaauth.ReasonUnavailable)
		issuer.Heal()
		a.passes(t, token)
	})
	inTime("facts, not verdicts", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		a := mount(t, cfg)
		other := guard(a.validator, xenaauth.AllScopes("email"))
		token := issuer.Opaque(xenaauthtest.Token{Lifetime: 40 * time.Second, Claims: map[string]any{"nbf": time.Now().Unix() + 20}})
		a.passes(t, token)
		other.get(t, token).refused(t, xenaauth.ReasonInsufficientScope, "email")
		a.passes(t, token)
		calls(t, issuer, 1)
	})
	inTime("each issuer and endpoint for itself", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		other := newIssuer()
		token := issuer.Opaque(xenaauthtest.Token{})
		mount(t, issuer.HybridConfig()).passes(t, token)
		mount(t, other.HybridConfig()).refuses(t, token, xenaauth.ReasonInactive)
	})
}

func TestI6_SingleFlight(t *testing.T) {
	t.Parallel()
	t.Run("a thousand", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			issuer := newIssuer()
			a := mount(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Slow(time.Second)
			var passed atomic.Int64
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			first := make(chan error, 1)
			wg.Go(func() {
				_, err := a.validator.Validate(ctx, token)
				first <- err
			})
			time.Sleep(1500 * time.Millisecond) // the metadata are here, the question is under way
			for range 1000 {
				wg.Go(func() {
					if _, err := a.validator.Validate(t.Context(), token); err == nil {
						passed.Add(1)
					}
				})
			}
			synctest.Wait()
			cancel() // who asked first leaves, and takes nobody's answer away
			wg.Wait()
			require.Error(t, <-first)
			require.EqualValues(t, 1000, passed.Load())
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Metadata))
		})
	})
	t.Run("at full speed", func(t *testing.T) {
		issuer := newIssuer()
		a := mount(t, issuer.HybridConfig())
		for range 20 {
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.ResetCalls()
			start := make(chan struct{})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					<-start
					_, err := a.validator.Validate(t.Context(), token)
					if err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			wg.Wait()
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
		}
	})
}

func TestI6_WhatIsAsked(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := serve(t, issuer.HybridConfig())
	for _, opaque := range []string{
		"plain", "one.dot", "a.b.c.d.e", "a.b.c.d", "two.dots.here", "eA.b.c", "fyJ.b.c", ".b.c", "e.b.c", "a/b+c==", strings.Repeat("a", 1024),
		b64(`{"alg":"dir"}`) + ".b.c.d.e",
	} {
		issuer.ResetCalls()
		a.refuses(t, opaque, xenaauth.ReasonInactive)
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), opaque)
	}
	issuer.ResetCalls()
	a.refuses(t, strings.Repeat("a", 1025), xenaauth.ReasonMalformedToken)
	a.refuses(t, "eyJ.b.c", xenaauth.ReasonMalformedToken)
	a.refuses(t, b64(`{"alg":"none"}`)+".e30.", xenaauth.ReasonAlgorithm)
	token := issuer.JWT(xenaauthtest.Token{})
	a.passes(t, token)
	issuer.Revoke(token)
	a.passes(t, token)
	a.refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
	a.refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
	serve(t, issuer.Config()).refuses(t, "plain", xenaauth.ReasonMalformedToken)
}

func TestI6_AlwaysIntrospect(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cfg := issuer.HybridConfig()
	cfg.AlwaysIntrospect = true
	a := serve(t, cfg)
	for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
		a.passes(t, token)
		a.passes(t, token)
		issuer.Revoke(token)
		a.refuses(t, token, xenaauth.ReasonInactive)
	}
	require.Zero(t, issuer.Calls(xenaauthtest.KeySet))
}

func TestI6_RequireActive(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	cfg := issuer.HybridConfig()
	cfg.RequireActive = true
	cfg.Introspection.CacheTTL = -1
	a := serve(t, cfg)
	token := issuer.JWT(xenaauthtest.Token{})
	a.passes(t, token)
	issuer.Revoke(token)
	a.refuses(t, token, xenaauth.ReasonInactive)
	issuer.ResetCalls()
	a.refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection), "a forged token costs no question")
	fresh := issuer.JWT(xenaauthtest.Token{})
	for _, who := range []string{`"sub":"another","client_id":"9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"`, `"sub":"104711","client_id":"another"`} {
		says(issuer, `{"active":true,`+who+`}`)
		a.refuses(t, fresh, xenaauth.ReasonClaims)
	}
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
	a.refuses(t, fresh, xenaauth.ReasonUnavailable)
	issuer.Heal()
	a.passes(t, fresh)
}

func TestI7_TokenType(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	a := serve(t, issuer.HybridConfig())
	for _, tokenType := range []any{"Bearer", "bearer", "BEARER", "bEARER", text("null"), nil} {
		a.passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": tokenType}}))
	}
	for _, tokenType := range []string{"DPoP", "N_A", "mac", "", "Bearer ", "pop", "refresh_token"} {
		a.refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"token_type": tokenType}}), xenaauth.ReasonTokenType)
	}
}
