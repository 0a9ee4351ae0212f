package revocation_test

import (
	"mime"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// wordLogout is a word in the fuzz inputs. The fuzz target replaces this word by a new logout
// token, because an input on disk cannot contain a valid token.
const wordLogout = "GOOD-LOGOUT"

// FuzzLogout sends arbitrary forms to the endpoint of the service for logout tokens. The endpoint
// accepts a POST request if and only if its body is a form of the allowed size that contains
// exactly one logout token, and this token is valid. The endpoint refuses a logout token in which
// one byte was changed.
func FuzzLogout(f *testing.F) {
	issuer := harness.NewIssuer()
	h := harness.NewValidator(f, issuer.Config()).LogoutHandler(harness.ClientID)
	f.Add("POST", harness.FormType, "logout_token="+wordLogout, 0, byte(0))
	f.Add("POST", harness.FormType+"; charset=utf-8", "a=b&logout%5Ftoken="+wordLogout+"&c", 0, byte(0))
	f.Add("POST", harness.FormType, "logout_token="+wordLogout, 50, byte(1))
	f.Add("POST", harness.FormType, "logout_token="+wordLogout, -1, byte('a'^'b'))
	f.Add("POST", harness.FormType, "logout_token="+wordLogout+"&logout_token="+wordLogout, 0, byte(0))
	f.Add("POST", harness.FormType, "logout_token="+wordLogout+";a=b", 0, byte(0))
	f.Add("GET", "application/json", `{"logout_token":"`+wordLogout+`"}`, 0, byte(0))
	f.Add("POST", harness.FormType, "logout_token=e30.e30.e30&%zz", 0, byte(0))
	f.Fuzz(func(t *testing.T, method, contentType, form string, at int, change byte) {
		token := ""
		if strings.Contains(form, wordLogout) {
			token = issuer.LogoutToken(xenaauthtest.Token{})
		}
		sent := []byte(token)
		if token != "" && change != 0 {
			sent[uint(at)%uint(len(sent))] ^= change
		}
		form = strings.ReplaceAll(form, wordLogout, url.QueryEscape(string(sent)))
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "https://api.example/logout", strings.NewReader(form))
		r.Method = method
		r.Header["Content-Type"] = []string{contentType}
		h.ServeHTTP(w, r)

		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		media, _, err := mime.ParseMediaType(contentType)
		fields, wrong := url.ParseQuery(form)
		good := method == "POST" && err == nil && media == harness.FormType && wrong == nil && token != "" &&
			len(fields["logout_token"]) == 1 && fields["logout_token"][0] == token
		switch {
		case method != "POST":
			require.Equal(t, 405, w.Code)
		case good && len(contentType) <= 256 && strings.Count(form, "&") < 64 && len(form) <= 64<<10:
			require.Equal(t, 200, w.Code, w.Body.String())
		default:
			require.Equal(t, 400, w.Code)
		}
		if w.Code == 200 {
			require.True(t, good)
			require.Empty(t, w.Body.String())
		}
		if token != "" {
			require.NotContains(t, w.Body.String(), token[len(token)-40:])
		}
	})
}
