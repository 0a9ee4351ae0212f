package revocation_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Config.AllowAnyLifetime applies to logout tokens too. A logout token with a lifetime of a month
// is accepted, but only once within that month.
func TestLogoutTokenOfAnyLifetime(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		month := time.Now().Add(30 * 24 * time.Hour)
		token := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"exp": month.Unix()}))
		status, reason := harness.Logout(t, harness.NewValidator(t, issuer.Config()).LogoutHandler(harness.ClientID), token)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonLifetime, reason)

		cfg := issuer.Config()
		cfg.AllowAnyLifetime = true
		h := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
		status, reason = harness.Logout(t, h, token)
		require.Equal(t, 200, status, reason)
		time.Sleep(29 * 24 * time.Hour)
		status, reason = harness.Logout(t, h, token)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonRevoked, reason)
	})
}

// Any client can send a request to the endpoint for logout tokens. So the library checks the size
// of the form before it parses the form.
func TestLogoutFormIsBounded(t *testing.T) {
	issuer := harness.NewIssuer()
	h := harness.NewValidator(t, issuer.Config()).LogoutHandler(harness.ClientID)
	form := func() string { return url.Values{"logout_token": {issuer.LogoutToken(xenaauthtest.Token{})}}.Encode() }
	for name, tt := range map[string]struct {
		contentType, form string
		status            int
	}{
		"as many fields as allowed": {harness.FormType, strings.Repeat("a=b&", 63) + form(), 200},
		"one field too many":        {harness.FormType, strings.Repeat("a=b&", 64) + form(), 400},
		"many empty fields":         {harness.FormType, strings.Repeat("&", 30_000) + form(), 400},
		"a parameter of the type":   {harness.FormType + "; charset=utf-8", form(), 200},
		"a long type":               {harness.FormType + "; a=" + strings.Repeat("b", 300), form(), 400},
	} {
		status, _ := harness.LogoutResult(t, harness.PostForm(t, h, tt.contentType, tt.form))
		require.Equal(t, tt.status, status, name)
	}
}
