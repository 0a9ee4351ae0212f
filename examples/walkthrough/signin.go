package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// scopes are the scopes that the application asks for.
var scopes = []string{
	xenaauth.ScopeOpenID, xenaauth.ScopeProfile, xenaauth.ScopeEmail, xenaauth.ScopeTestAPI,
	xenaauth.ScopeOfflineAccess,
}

// app.oauthConfig returns the OAuth configuration of a client, and the metadata of the issuer.
func (a *app) oauthConfig(ctx context.Context, c *pages.Client) (*oauth2.Config, *oidc.DiscoveryConfiguration, error) {
	if c == nil {
		return nil, nil, errors.New("register the application first: step 1")
	}
	m, err := a.issuer.endpoints(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &oauth2.Config{
		ClientID: c.ID, ClientSecret: c.Secret, RedirectURL: c.RedirectURI, Scopes: scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
		},
	}, m, nil
}

// app.addHTTPClient makes package oauth2 use the HTTP client of the application, with its timeout.
func (a *app) addHTTPClient(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, a.issuer.http)
}

// app.authorize is step 2: it sends the browser to the issuer, with a new state and PKCE challenge.
func (a *app) authorize(w http.ResponseWriter, r *http.Request, s *session) {
	config, _, err := a.oauthConfig(r.Context(), s.get().client)
	if err != nil {
		a.redirect(w, r, s, "/step/2", "", err)
		return
	}
	request, verifier := rand.Text(), oauth2.GenerateVerifier()
	s.update(func(v *state) { v.requestState, v.verifier, v.denied = request, verifier, "" })
	http.Redirect(w, r, config.AuthCodeURL(request, oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

// app.callback handles the redirect from the issuer, which contains a code or an error.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	s := a.sessions.findOrCreate(w, r)
	query := r.URL.Query()
	asked := s.update(func(v *state) { v.requestState, v.verifier = "", "" }) // both are used once
	if !isSame(query.Get("state"), asked.requestState) {
		// An attacker may have sent the browser here with a code that the attacker got (RFC 6749,
		// section 10.12).
		a.redirect(w, r, s, "/step/2", "", errors.New("this answer does not belong to a request of this browser"))
		return
	}
	if code := query.Get("error"); code != "" {
		s.update(func(v *state) { v.denied = code })
		http.Redirect(w, r, "/step/3", http.StatusSeeOther)
		return
	}
	config, _, err := a.oauthConfig(r.Context(), asked.client)
	if err == nil {
		var tokens *oauth2.Token
		ctx, verifier := a.addHTTPClient(r.Context()), oauth2.VerifierOption(asked.verifier)
		if tokens, err = config.Exchange(ctx, query.Get("code"), verifier); err == nil {
			s.update(func(v *state) { v.accept(tokens, "step2", "step3", "step4") })
			a.sessions.renew(w, r)
			a.redirect(w, r, s, "/step/4", "The application exchanged the code for tokens.", nil)
			return
		}
	}
	a.redirect(w, r, s, "/step/2", "", plainError(err))
}

// app.refresh is step 7: it uses the refresh token to get a new access token.
func (a *app) refresh(w http.ResponseWriter, r *http.Request, s *session) {
	a.redirect(w, r, s, "/step/7", "A new access token replaces the old one.", a.refreshNow(r.Context(), s))
}

func (a *app) refreshNow(ctx context.Context, s *session) error {
	config, _, err := a.oauthConfig(ctx, s.get().client)
	if err != nil {
		return err
	}
	old := s.get().tokens
	if old == nil || old.RefreshToken == "" {
		return errors.New("there is no refresh token: the user did not allow offline_access")
	}
	// The token source has no access token, so it uses the refresh token immediately.
	fresh, err := config.TokenSource(a.addHTTPClient(ctx), &oauth2.Token{RefreshToken: old.RefreshToken}).Token()
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case ok && refused.ErrorCode == "invalid_grant":
		return errors.New("the Identity server refuses the refresh token (invalid_grant): " +
			"it was revoked or has expired, so log in again")
	case err != nil:
		return plainError(err)
	}
	s.update(func(v *state) { v.accept(fresh, "step7") })
	return nil
}

// app.revoke revokes the refresh token at the issuer (RFC 7009). The issuer also revokes the access
// tokens of the same grant.
func (a *app) revoke(w http.ResponseWriter, r *http.Request, s *session) {
	now := s.get()
	if now.tokens == nil || now.tokens.RefreshToken == "" {
		a.redirect(w, r, s, "/after", "", errors.New("there is no refresh token to revoke"))
		return
	}
	err := a.revokeToken(r.Context(), now.client, now.tokens.RefreshToken)
	if err == nil {
		s.update(func(v *state) { v.done.Add("after") })
	}
	a.redirect(w, r, s, "/after", "The Identity server has revoked the refresh token.", err)
}

func (a *app) revokeToken(ctx context.Context, client *pages.Client, token string) error {
	_, m, err := a.oauthConfig(ctx, client)
	if err != nil {
		return err
	}
	if m.RevocationEndpoint == "" {
		return errors.New("the issuer has no revocation endpoint")
	}
	form := url.Values{"token": {token}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RevocationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(client.ID), url.QueryEscape(client.Secret))
	response, err := a.issuer.http.Do(r)
	if err != nil {
		return errors.New("the issuer can't be reached")
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("the issuer refuses to revoke the token: " + response.Status)
	}
	return nil
}

// plainError returns an error with the issuer's error code only. Errors of package oauth2 contain
// the whole response of the issuer.
func plainError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode != "" {
		return errors.New("the issuer refuses: " + refused.ErrorCode)
	} else if err != nil {
		return errors.New("the issuer gives no usable response")
	}
	return nil
}
