package xenaauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A token in the query is found however its name is written, and without reading the rest of the query as a form.
func TestTokenInQueryIsFound(t *testing.T) {
	issuer := newIssuer()
	api := mount(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{})
	for query, found := range map[string]bool{
		"": false, "access_token": true, "access_token=": true, "access_token=a": true, "a=b&access_token=c": true,
		"access%5Ftoken=a": true, "%61%63%63%65%73%73%5f%74%6F%6b%65%6e=a": true, "&&access_token": true, "access_token=%zz": true,
		"xaccess_token=a": false, "access_tokens=a": false, "access_toke": false, "a=access_token": false, "ACCESS_TOKEN=a": false,
		"access%5Ftoke%": false, "access%5Ftoken%": false, "access+token=a": false, "a=b?access_token=c": false,
		strings.Repeat("a&", 400_000) + "access_token=b": true,
	} {
		r := api.request(t, http.MethodGet)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.handler.ServeHTTP(w, r)
		want := 200
		if found {
			want = 400
		}
		require.Equal(t, want, w.Code, "%.60q", query)
	}
}

// The logout endpoint is open to everybody, so what it reads is bounded before it is parsed.
func TestLogoutFormIsBounded(t *testing.T) {
	issuer := newIssuer()
	h := rvNew(t, issuer.Config()).LogoutHandler(rvClient)
	form := func() string { return url.Values{"logout_token": {issuer.LogoutToken(xenaauthtest.Token{})}}.Encode() }
	for name, tt := range map[string]struct {
		contentType, form string
		status            int
	}{
		"as many fields as allowed": {rvForm, strings.Repeat("a=b&", 63) + form(), 200},
		"one field too many":        {rvForm, strings.Repeat("a=b&", 64) + form(), 400},
		"many empty fields":         {rvForm, strings.Repeat("&", 30_000) + form(), 400},
		"a parameter of the type":   {rvForm + "; charset=utf-8", form(), 200},
		"a long type":               {rvForm + "; a=" + strings.Repeat("b", 300), form(), 400},
	} {
		status, _ := rvJudge(t, rvPost(t, h, tt.contentType, tt.form))
		require.Equal(t, tt.status, status, name)
	}
}

// Few and many audiences and clients are looked up in different ways, and mean the same.
func TestManyAudiences(t *testing.T) {
	issuer := newIssuer()
	for _, n := range []int{1, 2, 15, 16, 17, 100} {
		cfg := issuer.Config()
		cfg.Audiences = nil
		for i := range n {
			cfg.Audiences = append(cfg.Audiences, fmt.Sprint("api", i))
		}
		v := rvNew(t, cfg)
		logout := v.LogoutHandler(cfg.Audiences...)
		for i := range n {
			require.Empty(t, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": []string{"x", fmt.Sprint("api", i)}}})))
			status, _ := rvLogout(t, logout, issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"aud": fmt.Sprint("api", i)}}))
			require.Equal(t, 200, status)
		}
		for _, aud := range []string{"", "api", fmt.Sprint("api", n), "API0"} {
			require.Equal(t, xenaauth.ReasonAudience, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"aud": []string{aud, "x"}}})), aud)
			_, reason := rvLogout(t, logout, issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"aud": aud}}))
			require.Equal(t, xenaauth.ReasonAudience, reason, aud)
		}
	}
}
