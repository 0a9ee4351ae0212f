package identityserver_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// A client can revoke tokens only with its secret. Only the API can introspect tokens, and only
// with its secret.
func TestSecrets(t *testing.T) {
	t.Parallel()
	noPages := func(w http.ResponseWriter, status int, _ string, _ identityserver.Page) { w.WriteHeader(status) }
	s, err := identityserver.Start(noPages, nil, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // the error needs no action, because the test ends here
	c := s.Register("Bikes", "http://127.0.0.1:1/callback", "http://127.0.0.1:1/")
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
	} {
		form := url.Values{"token": {"x"}, "grant_type": {"authorization_code"}, "code": {"x"}}
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
