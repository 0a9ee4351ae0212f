package identityserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// callback is the redirect URI of the client. Nothing listens there.
const callback = "http://127.0.0.1:1/callback"

const pkceVerifier = "a-verifier-that-has-at-least-43-characters-in-it"

// newCode lets the user log in and consent in a new browser. It returns an authorization code for
// the client c. The function lastPage returns the data of the page that the server wrote last.
func newCode(
	t *testing.T, s *identityserver.Server, c identityserver.Client,
	lastPage func() identityserver.Page,
) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	send := func(response *http.Response, err error) *http.Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response
	}
	challenge := sha256.Sum256([]byte(pkceVerifier))
	send(browser.Get(s.URL() + "/connect/authorize?" + url.Values{
		"client_id": {c.ID}, "redirect_uri": {callback}, "response_type": {"code"},
		"scope": {"openid testapi"}, "state": {"s"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode()))
	send(browser.PostForm(s.URL()+"/login", url.Values{
		"id": {lastPage().ID}, "csrf": {lastPage().CSRF},
		"login": {identityserver.User.Login}, "password": {identityserver.User.Password},
	}))
	response := send(browser.PostForm(s.URL()+"/consent", url.Values{
		"id": {lastPage().ID}, "csrf": {lastPage().CSRF}, "decision": {"allow"},
	}))
	target, err := response.Location()
	if err != nil || target.Query().Get("code") == "" {
		t.Fatalf("no code: %s, %v", response.Status, err)
	}
	return target.Query().Get("code")
}

// A client can get and revoke tokens only with its secret. Only the API can introspect tokens, and
// only with its secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	var lastPage atomic.Pointer[identityserver.Page]
	noPages := func(w http.ResponseWriter, status int, _ string, p identityserver.Page) {
		lastPage.Store(&p)
		w.WriteHeader(status)
	}
	s, err := identityserver.Start(noPages, nil, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the error needs no action, because the test ends here
	c := s.Register("Bikes", callback, "http://127.0.0.1:1/")
	other := s.Register("Trains", callback, "http://127.0.0.1:1/")
	for _, call := range []struct {
		path, id, secret string
		status           int
		body             string
	}{
		{"/connect/introspect", identityserver.Audience, s.APISecret(), 200, `"active":false`},
		{"/connect/introspect", identityserver.Audience, "wrong", 401, ""},
		{"/connect/introspect", "other", s.APISecret(), 401, ""},
		{"/connect/revocation", c.ID, c.Secret, 200, ""},
		{"/connect/revocation", c.ID, "wrong", 401, "invalid_client"},
		{"/connect/token", c.ID, c.Secret, 200, `"access_token"`},
		{"/connect/token", c.ID, "wrong", 401, "invalid_client"},
		{"/connect/token", c.ID, other.Secret, 401, "invalid_client"},
		{"/connect/token", other.ID, other.Secret, 400, "invalid_grant"},
	} {
		form := url.Values{"token": {"x"}}
		if call.path == "/connect/token" {
			form = url.Values{
				"grant_type": {"authorization_code"}, "redirect_uri": {callback},
				"code":          {newCode(t, s, c, func() identityserver.Page { return *lastPage.Load() })},
				"code_verifier": {pkceVerifier},
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+call.path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(call.id, call.secret)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != call.status || !strings.Contains(string(body), call.body) {
			t.Errorf("%s as %s: %s: %s", call.path, call.id, response.Status, body)
		}
	}
}
