package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestLogoutEndsTheSession(t *testing.T) {
	t.Parallel()
	for _, version := range []xenaauthtest.Version{xenaauthtest.IdentityServer3, xenaauthtest.IdentityServer4v1,
		xenaauthtest.IdentityServer4v3, xenaauthtest.IdentityServer4, xenaauthtest.Duende} {
		for _, kind := range []string{"logout+jwt", "application/Logout+JWT", "its own"} {
			t.Run(fmt.Sprint(version, "/", kind), func(t *testing.T) {
				t.Parallel()
				issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Version: version, Algorithm: "ES256"})
				v := harness.NewValidator(t, issuer.HybridConfig())
				h := v.LogoutHandler("another client", harness.ClientID)
				mine := map[string]any{"sid": "S1"}
				jwt := issuer.JWT(xenaauthtest.Token{Claims: mine})
				opaque := issuer.Opaque(xenaauthtest.Token{Claims: mine})
				// this token belongs to another session of the same user
				elsewhere := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S2"}})
				for _, token := range []string{jwt, opaque, elsewhere} {
					require.Empty(t, harness.ReasonOf(t, v, token))
				}
				logout := xenaauthtest.Token{Claims: mine}
				if kind != "its own" {
					logout.Header = map[string]any{"typ": kind}
				}
				status, reason := harness.Logout(t, h, issuer.LogoutToken(logout))
				require.Equal(t, 200, status, reason)
				later := issuer.JWT(xenaauthtest.Token{Claims: mine})
				for _, token := range []string{jwt, opaque, later} {
					require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
				}
				require.Empty(t, harness.ReasonOf(t, v, elsewhere))
			})
		}
	}
}

// A logout token without sid revokes all tokens that the user got before the logout. Tokens of a
// later login stay valid.
func TestLogoutOfAUser(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		h := v.LogoutHandler(harness.ClientID)
		before := issuer.JWT(xenaauthtest.Token{Subject: "U1", ClientID: "any"})
		other := issuer.JWT(xenaauthtest.Token{Subject: "U2"})
		require.Empty(t, harness.ReasonOf(t, v, before))
		time.Sleep(10 * time.Second)
		same := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
		logout := issuer.LogoutToken(xenaauthtest.Token{Subject: "U1", Claims: map[string]any{"sid": nil}})
		time.Sleep(5 * time.Second) // the logout token needs this time to reach the API
		status, reason := harness.Logout(t, h, logout)
		require.Equal(t, 200, status, reason)
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, before))
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, same))
		require.Empty(t, harness.ReasonOf(t, v, other))
		after := issuer.JWT(xenaauthtest.Token{Subject: "U1", Claims: map[string]any{"nbf": time.Now().Unix() - 4}})
		require.Empty(t, harness.ReasonOf(t, v, after), "the token was issued one second after the logout token")
	})
}

func TestLogoutRequest(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	h := v.LogoutHandler(harness.ClientID)
	token := issuer.LogoutToken(xenaauthtest.Token{})
	field := "logout_token=" + token
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"} {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://api.example/logout?"+field, strings.NewReader(field))
		r.Header.Set("Content-Type", harness.FormType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 405, w.Code, method)
		require.Equal(t, "POST", w.Header().Get("Allow"), method)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	for name, c := range map[string]struct{ contentType, body string }{
		"no content type":       {"", field},
		"JSON":                  {"application/json", `{"logout_token":"` + token + `"}`},
		"form sent as text":     {"text/plain", field},
		"multipart":             {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n" + token + "\r\n--x--\r\n"},
		"broken content type":   {harness.FormType + "; =", field},
		"no body":               {harness.FormType, ""},
		"another field":         {harness.FormType, "token=" + token},
		"another case":          {harness.FormType, "Logout_Token=" + token},
		"empty":                 {harness.FormType, "logout_token="},
		"twice":                 {harness.FormType, field + "&" + field},
		"twice, one empty":      {harness.FormType, field + "&logout_token="},
		"bad escape":            {harness.FormType, field + "&x=%zz"},
		"semicolon":             {harness.FormType, field + ";x=1"},
		"too large":             {harness.FormType, field + "&x=" + strings.Repeat("x", 64<<10)},
		"token too long":        {harness.FormType, field + strings.Repeat("x", 16<<10)},
		"opaque":                {harness.FormType, "logout_token=" + issuer.Opaque(xenaauthtest.Token{})},
		"five segments":         {harness.FormType, field + ".x.y"},
		"two segments":          {harness.FormType, field[:strings.LastIndex(field, ".")]},
		"line break in it":      {harness.FormType, field + "%0A"},
		"no signature":          {harness.FormType, field[:strings.LastIndex(field, ".")+1]},
		"signature of no base":  {harness.FormType, field[:len(field)-1] + "*"},
		"space before the dots": {harness.FormType, "logout_token=+" + token},
	} {
		t.Run(name, func(t *testing.T) {
			status, reason := harness.LogoutResult(t, harness.PostForm(t, h, c.contentType, c.body))
			require.Equal(t, 400, status)
			require.Contains(t, []xenaauth.Reason{xenaauth.ReasonMalformedRequest, xenaauth.ReasonMalformedToken,
				xenaauth.ReasonSignature}, reason)
			require.Zero(t, v.Status().Revocations)
		})
	}
	t.Run("in the query", func(t *testing.T) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/logout?"+field, nil)
		r.Header.Set("Content-Type", harness.FormType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 400, w.Code)
	})
	t.Run("what is no mistake", func(t *testing.T) {
		status, reason := harness.LogoutResult(t, harness.PostForm(t, h, "Application/X-WWW-Form-UrlEncoded; charset=UTF-8", "x=1&x=2&"+field+"&state="))
		require.Equal(t, 200, status, reason)
		require.Equal(t, 1, v.Status().Revocations)
	})
	require.Panics(t, func() { v.LogoutHandler() })
	require.Panics(t, func() { v.LogoutHandler(harness.ClientID, "") })
}

func TestLogoutTokenValidation(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		access := issuer.JWT(xenaauthtest.Token{Subject: "U1", Claims: m{"sid": "S1"}})
		now := time.Now().Unix()
		for _, c := range []struct {
			name           string
			header, claims m
			want           xenaauth.Reason // the expected reason; "" means accepted
		}{
			{"as it should be", nil, nil, ""},
			{"without typ", m{"typ": nil}, nil, ""},
			{"typ JWT", m{"typ": "JWT"}, nil, ""},
			{"typ at+jwt", m{"typ": "at+jwt"}, nil, ""},
			{"another typ", m{"typ": "secevent+jwt"}, nil, xenaauth.ReasonTokenType},
			{"another client of ours, in a list", nil, m{"aud": []string{"x", "C2"}}, ""},
			{"alg none", m{"alg": "none"}, nil, xenaauth.ReasonAlgorithm},
			{"alg HS256", m{"alg": "HS256"}, nil, xenaauth.ReasonAlgorithm},
			{"alg of another key", m{"alg": "RS256"}, nil, xenaauth.ReasonAlgorithm},
			{"crit", m{"crit": []string{"exp"}}, nil, xenaauth.ReasonAlgorithm},
			{"another issuer", nil, m{"iss": issuer.URL() + "/"}, xenaauth.ReasonIssuer},
			{"no issuer", nil, m{"iss": nil}, xenaauth.ReasonIssuer},
			{"another audience", nil, m{"aud": "C3"}, xenaauth.ReasonAudience},
			{"the API as audience", nil, m{"aud": "testapi"}, xenaauth.ReasonAudience},
			{"no audience", nil, m{"aud": nil}, xenaauth.ReasonAudience},
			{"empty audience", nil, m{"aud": []string{}}, xenaauth.ReasonAudience},
			{"no exp", nil, m{"exp": nil}, xenaauth.ReasonClaims},
			{"no iat", nil, m{"iat": nil}, xenaauth.ReasonClaims},
			{"no jti", nil, m{"jti": nil}, xenaauth.ReasonClaims},
			{"empty jti", nil, m{"jti": ""}, xenaauth.ReasonClaims},
			{"jti a number", nil, m{"jti": 1}, xenaauth.ReasonClaims},
			{"control character in jti", nil, m{"jti": "a\x00"}, xenaauth.ReasonClaims},
			{"control character in sid", nil, m{"sid": "a\n"}, xenaauth.ReasonClaims},
			{"sub too long", nil, m{"sub": strings.Repeat("s", 513)}, xenaauth.ReasonClaims},
			{"neither sub nor sid", nil, m{"sub": nil, "sid": nil}, xenaauth.ReasonClaims},
			{"both empty", nil, m{"sub": "", "sid": ""}, xenaauth.ReasonClaims},
			{"no sub", nil, m{"sub": nil}, ""},
			{"no sid", nil, m{"sid": nil}, ""},
			{"expired", nil, m{"exp": now - 30}, xenaauth.ReasonExpired},
			{"expired, within the skew", nil, m{"exp": now - 29, "iat": now - 60}, ""},
			{"iat in the future", nil, m{"iat": now + 31}, xenaauth.ReasonNotYetValid},
			{"iat in the future, within the skew", nil, m{"iat": now + 30}, ""},
			{"nbf in the future", nil, m{"nbf": now + 31}, xenaauth.ReasonNotYetValid},
			{"good for too long", nil, m{"exp": now + 3631}, xenaauth.ReasonLifetime},
			{"good for as long as may be", nil, m{"exp": now + 3630}, ""},
			{"exp no number", nil, m{"exp": "soon"}, xenaauth.ReasonClaims},
			{"nonce", nil, m{"nonce": "n"}, xenaauth.ReasonTokenType},
			{"nonce null", nil, m{"nonce": harness.RawJSON("null")}, xenaauth.ReasonTokenType},
			{"no events", nil, m{"events": nil}, xenaauth.ReasonTokenType},
			{"events a string", nil, m{"events": harness.LogoutEvent}, xenaauth.ReasonTokenType},
			{"events a list", nil, m{"events": []string{harness.LogoutEvent}}, xenaauth.ReasonTokenType},
			{"events null", nil, m{"events": harness.RawJSON("null")}, xenaauth.ReasonTokenType},
			{"events empty", nil, m{"events": m{}}, xenaauth.ReasonTokenType},
			{"another event", nil, m{"events": m{harness.LogoutEvent + "2": m{}}}, xenaauth.ReasonTokenType},
			{"event true", nil, m{"events": m{harness.LogoutEvent: true}}, xenaauth.ReasonTokenType},
			{"event null", nil, m{"events": m{harness.LogoutEvent: nil}}, xenaauth.ReasonTokenType},
			{"event a list", nil, m{"events": m{harness.LogoutEvent: []string{}}}, xenaauth.ReasonTokenType},
			{"event inside another", nil, m{"events": m{"x": m{harness.LogoutEvent: m{}}}}, xenaauth.ReasonTokenType},
			{"event not empty, among others", nil, m{"events": m{"x": 1, harness.LogoutEvent: m{"y": 1}}}, ""},
			{"an access token", m{"typ": "at+jwt"}, mergeClaims(issuer.Claims(xenaauthtest.Token{}), m{"aud": harness.ClientID, "events": nil}), xenaauth.ReasonTokenType},
			// This case must be the last one. Its token names a key that the library does not know,
			// so the library fetches the key set again. This takes a second of fake time. The times
			// in the claims of later cases would then be a second too old.
			{"unknown key", m{"kid": "K"}, nil, xenaauth.ReasonUnknownKey},
		} {
			v := harness.NewValidator(t, issuer.Config())
			h := v.LogoutHandler(harness.ClientID, "C2")
			require.Empty(t, harness.ReasonOf(t, v, access))
			status, reason := harness.Logout(t, h, issuer.Sign(harness.LogoutHeader(issuer, c.header), harness.LogoutClaims(issuer, c.claims)))
			require.Equal(t, c.want, reason, c.name)
			if c.want == "" {
				require.Equal(t, 200, status, c.name)
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, access), c.name)
				continue
			}
			require.Equal(t, 400, status, c.name)
			require.Zero(t, v.Status().Revocations, c.name)
			require.Empty(t, harness.ReasonOf(t, v, access), c.name)
		}
	})
}

func TestLogoutTokenMustBeTheIssuers(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	h := v.LogoutHandler(harness.ClientID)
	stranger := harness.NewSigner(t, issuer.KeyID())
	good := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, nil))
	none := harness.Base64(harness.JSON(t, map[string]any{"alg": "none"})) + "." + harness.Base64(harness.JSON(t, harness.LogoutClaims(issuer, nil))) + "."
	for name, c := range map[string]struct {
		token string
		want  xenaauth.Reason
	}{
		"another key":      {stranger.JWT(t, harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, nil)), xenaauth.ReasonSignature},
		"unsigned":         {none, xenaauth.ReasonAlgorithm},
		"another payload":  {strings.Split(good, ".")[0] + "." + harness.Base64(harness.JSON(t, harness.LogoutClaims(issuer, nil))) + "." + strings.Split(good, ".")[2], xenaauth.ReasonSignature},
		"an access token":  {issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonTokenType},
		"an ID token":      {issuer.IDToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType},
		"a name twice":     {issuer.SignBytes(harness.JSON(t, harness.LogoutHeader(issuer, nil)), []byte(strings.Replace(string(harness.JSON(t, harness.LogoutClaims(issuer, nil))), `{`, `{"sid":"S2",`, 1))), xenaauth.ReasonMalformedToken},
		"an event twice":   {issuer.SignBytes(harness.JSON(t, harness.LogoutHeader(issuer, nil)), []byte(strings.Replace(string(harness.JSON(t, harness.LogoutClaims(issuer, nil))), `"events":{`, `"events":{"`+harness.LogoutEvent+`":1,`, 1))), xenaauth.ReasonMalformedToken},
		"payload no JSON":  {issuer.SignBytes(harness.JSON(t, harness.LogoutHeader(issuer, nil)), []byte("logout")), xenaauth.ReasonMalformedToken},
		"an algorithm off": {good, xenaauth.ReasonAlgorithm},
	} {
		handler := h
		if name == "an algorithm off" {
			cfg := issuer.Config()
			cfg.Algorithms = []string{"PS256"}
			handler = harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
		}
		status, reason := harness.Logout(t, handler, c.token)
		require.Equal(t, 400, status, name)
		require.Equal(t, c.want, reason, name)
	}
	require.Zero(t, v.Status().Revocations)
	status, _ := harness.Logout(t, h, good)
	require.Equal(t, 200, status, "a forged logout token must not use up the good one")
	logout := issuer.LogoutToken(xenaauthtest.Token{})
	require.Equal(t, xenaauth.ReasonTokenType, harness.ReasonOf(t, v, logout), "a logout token is no access token")
}

func TestLogoutProfileRFC9068(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.Config()
	cfg.Profile = xenaauth.ProfileRFC9068
	h := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
	for typ, want := range map[string]int{"logout+jwt": 200, "at+jwt": 400} {
		status, _ := harness.Logout(t, h, issuer.Sign(harness.LogoutHeader(issuer, map[string]any{"typ": typ}), harness.LogoutClaims(issuer, nil)))
		require.Equal(t, want, status, typ)
	}
}

// closableBus is a RevocationBus that the test can close. While it is closed, its method Publish
// returns an error.
type closableBus struct {
	mu   sync.Mutex
	shut bool
	sent int
}

func (g *closableBus) Publish(context.Context, xenaauth.Revocation) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return errors.New("shut")
	}
	g.sent++
	return nil
}

func (g *closableBus) Subscribe(ctx context.Context, _ func(xenaauth.Revocation)) error {
	<-ctx.Done()
	return ctx.Err()
}
