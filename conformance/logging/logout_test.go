package logging_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the library refuses a logout token of an issuer, the access tokens of the user stay valid. So
// the log says why the library refused the logout token.
func TestRefusedLogoutIsLogged(t *testing.T) {
	issuer := harness.NewIssuer()
	log := new(harness.JSONLog)
	cfg := issuer.Config()
	cfg.Logger = log.Logger()
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	h := v.LogoutHandler("app")
	send := func(token string) int {
		r := httptest.NewRequest("POST", "/", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	good := issuer.LogoutToken(xenaauthtest.Token{ClientID: "app"})
	require.Equal(t, 200, send(good))
	require.Empty(t, log.Take(t))
	for token, want := range map[string]string{
		issuer.LogoutToken(xenaauthtest.Token{ClientID: "other"}):                                   `aud is "other", the list of client ids is "app"`,
		issuer.LogoutToken(xenaauthtest.Token{ClientID: "app", Lifetime: -time.Hour}):               "exp is 1h0m",
		issuer.LogoutToken(xenaauthtest.Token{ClientID: "app", Claims: map[string]any{"jti": nil}}): "exp, iat, jti or both of sub and sid are missing",
		good:   "the logout token was used before",
		"junk": "logout_token is not a JWT, or longer than Config.MaxTokenLength",
	} {
		require.Equal(t, 400, send(token))
		text := log.Text.String()
		said := log.Take(t)
		require.Len(t, said, 1)
		require.Equal(t, "xenaauth: logout refused", said[0]["msg"])
		require.Contains(t, said[0]["why"], want)
		require.Equal(t, []any{"app"}, said[0]["clients"])
		require.True(t, len(token) < 20 || !strings.Contains(text, token[len(token)-20:]))
	}
	for range 20 {
		send("junk")
	}
	require.Len(t, log.Take(t), 4)
}
