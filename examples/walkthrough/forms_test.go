package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// browser.postForm sends a form to path, with the CSRF token of the session. fields contains pairs
// of a name and a value.
func (b *browser) postForm(path string, fields ...string) *browser {
	b.t.Helper()
	form := url.Values{"csrf": {b.session().csrf}, "page": {"watch"}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	b.do(http.MethodPost, b.app.base+path, form)
	return b
}

// A form without the CSRF token of the session has no effect.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	other := b.app.open(t)
	token := b.session().get().tokens.AccessToken
	for _, action := range []string{"/register", "/authorize", "/call", "/hour", "/refresh", "/revoke"} {
		for _, csrf := range []string{"", "wrong", other.session().csrf} {
			b.do(http.MethodPost, action, url.Values{"csrf": {csrf}, "call": {"token"}, "name": {"x"}})
			if b.status != http.StatusForbidden {
				t.Errorf("%s with the CSRF token %q: status %d", action, csrf, b.status)
			}
		}
		if b.do(http.MethodGet, action, nil); b.status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: status %d", action, b.status)
		}
	}
	if s := b.session(); s.get().tokens.AccessToken != token || len(s.calls.Calls()) > 0 {
		t.Error("a forged form had an effect")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.app.base+"/hour",
		strings.NewReader(url.Values{"csrf": {b.session().csrf}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: status %d", response.StatusCode)
	}
}

// The redirect from the issuer back to the application is accepted only once, and only in the
// browser that sent the authorization request.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	var callback string
	follow := b.client.CheckRedirect
	b.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Path == "/callback" {
			callback = r.URL.String()
		}
		return follow(r, via)
	}
	b.signIn()
	const refused = "does not belong to a request of this browser"
	b.visit(callback).wantPage("/step/2", refused)
	b.app.open(t).visit(callback).wantPage("/step/2", refused)
	b.visit("/callback?code=x").wantPage("/step/2", refused)
	b.postForm("/authorize").wantPage("/login")
	b.visit("/callback?code=x&state=x").wantPage("/step/2", refused)
	if b.visit("/loggedout?state=x").wantPage("/after"); b.session().get().tokens == nil {
		t.Error("a link has logged the user out")
	}
}

// Only the browser that began a request for consent can load the consent page of this request. The
// consent is accepted only from the form on this page.
func TestForgedConsent(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.postForm("/register", "name", "Bikes")
	b.postForm("/authorize").wantPage("/login").submit(`action="/login"`).wantPage("/consent")
	b.visit(b.url.String()).wantPage("/consent") // a user may load the page twice
	target, fields := b.findForm(`action="/consent"`)
	fields.Set("decision", "allow")
	consent, err := b.url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	other := b.app.open(t)
	other.postForm("/register", "name", "Other")
	other.postForm("/authorize").wantPage("/login") // now this browser has a cookie of the Identity server
	other.do(http.MethodPost, consent.String(), fields)
	other.wantPage("/consent")
	if other.status != http.StatusForbidden {
		t.Errorf("consent in another browser: status %d", other.status)
	}
	if other.do(http.MethodGet, b.url.String(), nil); other.status != http.StatusForbidden {
		t.Errorf("the consent page in another browser: status %d", other.status)
	}
	if b.submit(`action="/consent"`, "decision", "allow", "csrf", "wrong"); b.status != http.StatusForbidden {
		t.Errorf("consent without the CSRF token: status %d", b.status)
	}
	b.do(http.MethodPost, consent.String(), fields)
	b.wantPage("/step/4")
	if b.do(http.MethodPost, consent.String(), fields); b.status != http.StatusForbidden {
		t.Errorf("the same consent again: status %d", b.status)
	}
	// The user has to log in before the consent. If the browser sends the consent without a login,
	// it gets the login page.
	b.postForm("/authorize").wantPage("/login")
	b.visit(b.url.String()).wantPage("/login") // a user may load the page twice
	_, fields = b.findForm(`action="/login"`)
	fields.Set("decision", "allow")
	b.do(http.MethodPost, consent.String(), fields)
	b.wantPage("/login")
	b.visit(consent.String() + "?id=" + fields.Get("id")).wantPage("/login")
}

// The issuer requires PKCE, and sends the user only to the registered redirect URI.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.postForm("/register", "name", "Bikes")
	client := b.session().get().client
	query := url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "scope": {"openid testapi"}, "state": {"x"},
		"redirect_uri": {client.RedirectURI}, "code_challenge_method": {"S256"}, "code_challenge": {"x"},
	}
	for name, value := range map[string]string{
		"code_challenge": "", "code_challenge_method": "plain", "redirect_uri": "https://evil.example/",
		"client_id": "other",
	} {
		changed, err := url.ParseQuery(query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		changed.Set(name, value)
		b.visit(b.app.issuer.url + "/connect/authorize?" + changed.Encode())
		if b.url.Path == "/login" || strings.Contains(b.url.Host, "evil") {
			t.Errorf("with %s %q the issuer shows %s", name, value, b.url)
		}
	}
}

// If the user does not allow a scope, the token does not contain this scope. Without the scope
// offline_access there is no refresh token, so no page offers to use or to revoke one.
func TestNarrowConsent(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.postForm("/register", "name", "Bikes")
	b.postForm("/authorize").submit(`action="/login"`).wantPage("/consent")
	target, fields := b.findForm(`action="/consent"`)
	fields.Set("decision", "allow")
	fields.Del("scope")
	b.do(http.MethodPost, target, fields)
	b.wantPage("/step/4")
	if c := b.callAPI("profile"); c.Reason != "insufficient_scope" {
		t.Errorf("without the scope profile: %d %s", c.Status, c.Body)
	}
	b.postForm("/refresh").wantPage("/step/7", "did not allow offline_access", `disabled aria-describedby="no-refresh"`)
	b.visit("/after").wantPage("/after", "There is no refresh token: you did not allow <code>offline_access</code>")
	if strings.Contains(b.page, `action="/revoke"`) {
		t.Error("without a refresh token, the page offers to revoke it")
	}
	opaque := func() string { return b.callAPI("opaque").Outcome }
	if b.postForm("/revoke").wantPage("/after", "there is no refresh token"); opaque() != "allowed" {
		t.Error("without a refresh token, the button has revoked the access token")
	}
}
