package zitadel_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// The user of the example who logs in.
const (
	userID   = "id1"
	userName = "test-user@127.0.0.1"
	password = "verysecure"
)

// callback is where the example's web clients are sent back to. Nothing listens there: the tests read the redirect.
const callback = "http://localhost:9999/auth/callback"

// login drives the authorization code flow as a browser and the real client library do, and returns the tokens. The
// library verifies the ID token, so what the tests try as an access token is a good ID token.
func login(t *testing.T, s *server, clientID string, scopes ...string) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	return loginWithNonce(t, s, clientID, "", scopes...)
}

// loginWithNonce is login with a nonce in the request, which the ID token brings back. "" is none.
func loginWithNonce(t *testing.T, s *server, clientID, nonce string, scopes ...string) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	party := relyingParty(t, s, clientID, clientSecret, scopes,
		rp.WithVerifierOpts(rp.WithNonce(func(context.Context) string { return nonce })))
	back := authorize(t, s, party, params{"nonce": nonce})
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), back.Query().Get("code"), party)
	if err != nil {
		t.Fatalf("code exchange: %v", err)
	}
	return tokens
}

// clientCredentials returns the access token of the service, which acts for itself.
func clientCredentials(t *testing.T, s *server, scopes ...string) string {
	t.Helper()
	token, err := rp.ClientCredentials(t.Context(), relyingParty(t, s, service, serviceKey, scopes), nil)
	if err != nil {
		t.Fatalf("client credentials: %v", err)
	}
	return token.AccessToken
}

// revoke takes an access token back, at the revocation endpoint and as the client that it was issued to.
func revoke(t *testing.T, s *server, clientID, token string) {
	t.Helper()
	if err := rp.RevokeToken(t.Context(), relyingParty(t, s, clientID, clientSecret, nil), token, "access_token"); err != nil {
		t.Fatalf("revocation: %v", err)
	}
}

// relyingParty is a client of the server, which finds all endpoints from the metadata.
func relyingParty(t *testing.T, s *server, id, secret string, scopes []string, opts ...rp.Option) rp.RelyingParty {
	t.Helper()
	opts = append(opts, rp.WithHTTPClient(s.Client()))
	party, err := rp.NewRelyingPartyOIDC(t.Context(), s.URL, id, secret, callback, scopes, opts...)
	if err != nil {
		t.Fatalf("relying party: %v", err)
	}
	return party
}

// params are parameters of an authorization request beyond those that every one has.
type params map[string]string

// authorize is what the browser does: the authorization request, the login form, and the way back to the client.
func authorize(t *testing.T, s *server, party rp.RelyingParty, more params) *url.URL {
	t.Helper()
	var opts []rp.AuthURLOpt
	for name, value := range more {
		if value != "" {
			opts = append(opts, rp.AuthURLOpt(rp.WithURLParam(name, value)))
		}
	}
	form := redirect(t, s, http.MethodGet, rp.AuthURL("state", party, opts...), nil)
	done := redirect(t, s, http.MethodPost, form.String(), url.Values{
		"id": {form.Query().Get("authRequestID")}, "username": {userName}, "password": {password},
	})
	back := redirect(t, s, http.MethodGet, done.String(), nil)
	if got := back.Query().Get("error"); got != "" {
		t.Fatalf("the server refuses the login: %s: %s", got, back.Query().Get("error_description"))
	}
	return back
}

// redirect sends a request and returns where it is redirected to, without going there.
func redirect(t *testing.T, s *server, method, target string, form url.Values) *url.URL {
	t.Helper()
	browser := *s.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp := send(t, &browser, method, target, form, nil)
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s %s: status %d, no redirect", method, target, resp.StatusCode)
	}
	return to
}
