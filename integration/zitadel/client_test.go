package zitadel_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// These constants are the id, the name and the password of the user that logs in. This user is in
// the example storage of the server.
const (
	userID   = "id1"
	userName = "test-user@127.0.0.1"
	password = "verysecure"
)

// callback is the redirect URI of the example's web clients. No server listens at this address: the
// tests read the URL of the redirect and do not follow it.
const callback = "http://localhost:9999/auth/callback"

// login logs the user in with the authorization code flow, and returns the tokens. It uses the
// client library of the server's module, which verifies the ID token. So the ID tokens that the
// tests send as access tokens are valid ID tokens.
func login(t *testing.T, s *server, clientID string, scopes ...string) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	return loginWithNonce(t, s, clientID, "", scopes...)
}

// loginWithNonce logs the user in and returns the tokens. Its authorization request contains nonce,
// so the ID token contains this nonce too. If nonce is "", both have none.
func loginWithNonce(t *testing.T, s *server, clientID, nonce string, scopes ...string) *oidc.Tokens[*oidc.IDTokenClaims] {
	t.Helper()
	party := relyingParty(t, s, clientID, clientSecret, scopes,
		rp.WithVerifierOpts(rp.WithNonce(func(context.Context) string { return nonce })))
	back := authorize(t, s, party, extraParams{"nonce": nonce})
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), back.Query().Get("code"), party)
	if err != nil {
		t.Fatalf("code exchange: %v", err)
	}
	return tokens
}

// clientCredentials returns an access token that the server issues to a service, without a user
// (client credentials grant).
func clientCredentials(t *testing.T, s *server, scopes ...string) string {
	t.Helper()
	token, err := rp.ClientCredentials(t.Context(), relyingParty(t, s, service, serviceKey, scopes), nil)
	if err != nil {
		t.Fatalf("client credentials: %v", err)
	}
	return token.AccessToken
}

// revoke revokes an access token at the revocation endpoint of the server, as the client to which
// the token was issued.
func revoke(t *testing.T, s *server, clientID, token string) {
	t.Helper()
	if err := rp.RevokeToken(t.Context(), relyingParty(t, s, clientID, clientSecret, nil), token, "access_token"); err != nil {
		t.Fatalf("revocation: %v", err)
	}
}

// relyingParty returns an OAuth client that sends requests to the server. The package rp of the
// zitadel module contains this client. The client reads the addresses of all endpoints from the
// server's metadata.
func relyingParty(t *testing.T, s *server, id, secret string, scopes []string, opts ...rp.Option) rp.RelyingParty {
	t.Helper()
	opts = append(opts, rp.WithHTTPClient(s.Client()))
	party, err := rp.NewRelyingPartyOIDC(t.Context(), s.URL, id, secret, callback, scopes, opts...)
	if err != nil {
		t.Fatalf("relying party: %v", err)
	}
	return party
}

// extraParams contains additional parameters of an authorization request.
type extraParams map[string]string

// authorize does what a browser does in a login: it sends the authorization request and the login
// form to the server. Then the server redirects the browser to a URL of the client. The function
// returns this URL.
func authorize(t *testing.T, s *server, party rp.RelyingParty, more extraParams) *url.URL {
	t.Helper()
	var opts []rp.AuthURLOpt
	for name, value := range more {
		if value != "" {
			opts = append(opts, rp.AuthURLOpt(rp.WithURLParam(name, value)))
		}
	}
	form := redirectTarget(t, s, http.MethodGet, rp.AuthURL("state", party, opts...), nil)
	done := redirectTarget(t, s, http.MethodPost, form.String(), url.Values{
		"id": {form.Query().Get("authRequestID")}, "username": {userName}, "password": {password},
	})
	back := redirectTarget(t, s, http.MethodGet, done.String(), nil)
	if got := back.Query().Get("error"); got != "" {
		t.Fatalf("the server refuses the login: %s: %s", got, back.Query().Get("error_description"))
	}
	return back
}

// redirectTarget sends a request to which the server responds with a redirect. It returns the URL
// of the redirect and does not follow it.
func redirectTarget(t *testing.T, s *server, method, target string, form url.Values) *url.URL {
	t.Helper()
	browser := *s.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp := sendForm(t, &browser, method, target, form, nil)
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s %s: status %d, no redirect", method, target, resp.StatusCode)
	}
	return to
}
