package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// ClientID is the client of a token in the tests, unless the test chooses another client.
const ClientID = "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"

// LogoutEvent is the text by which the library recognizes a logout token. A logout token has the
// claim "events", which contains a JSON object. The object has a member with the name LogoutEvent.
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// FormType is the media type of a form.
const FormType = "application/x-www-form-urlencoded"

// PostForm posts a form to a handler and returns the response.
func PostForm(t testing.TB, h http.Handler, contentType, body string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/logout", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// Logout posts a logout token to the handler h, as an issuer does. It returns the status of the
// response and, if the status is 400, the reason.
func Logout(t testing.TB, h http.Handler, token string) (int, xenaauth.Reason) {
	t.Helper()
	resp := PostForm(t, h, FormType, url.Values{"logout_token": {token}}.Encode())
	return LogoutResult(t, resp)
}

// LogoutResult checks a response against OpenID Connect Back-Channel Logout, section 2.8: no cache
// may store the response, a response with status 200 has no body, and a response with status 400
// has a JSON body. LogoutResult returns the status and, if it is 400, the reason.
func LogoutResult(t testing.TB, resp *http.Response) (int, xenaauth.Reason) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	switch resp.StatusCode {
	case 200:
		require.Empty(t, body)
	case 400:
		var told struct {
			Error  string
			Reason xenaauth.Reason
		}
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		require.NoError(t, json.Unmarshal(body, &told), string(body))
		require.Equal(t, "invalid_request", told.Error)
		return 400, told.Reason
	}
	return resp.StatusCode, ""
}

// logoutTokens is the number of calls of LogoutClaims.
var logoutTokens atomic.Int64

// LogoutClaims returns the claims of a valid logout token, with a new jti at each call. The claims
// in changedClaims replace these claims, or are added to them. A claim with the value nil is
// removed.
func LogoutClaims(issuer *xenaauthtest.Issuer, changedClaims map[string]any) map[string]any {
	now := time.Now().Unix()
	return With(map[string]any{
		"iss": issuer.URL(), "aud": ClientID, "iat": now, "exp": now + 300, "jti": fmt.Sprint("L", logoutTokens.Add(1)),
		"sub": "U1", "sid": "S1", "events": map[string]any{LogoutEvent: map[string]any{}},
	}, changedClaims)
}

// LogoutHeader returns the JOSE header of a valid logout token. The parameters in changedParams
// replace parameters of this header, or are added to it. A parameter with the value nil is removed.
func LogoutHeader(issuer *xenaauthtest.Issuer, changedParams map[string]any) map[string]any {
	return With(map[string]any{"alg": "ES256", "kid": issuer.KeyID(), "typ": "logout+jwt"}, changedParams)
}
