package main

import (
	"net/http"
	"testing"
)

// Scripts can't read the cookies that the application and the issuer set. A POST form on another
// site is sent without these cookies. A login changes the id of the session.
func TestCookies(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	seen := make(map[string]int)
	check := func(header http.Header) {
		for _, c := range (&http.Response{Header: header}).Cookies() {
			seen[c.Name]++
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("cookie %s: HttpOnly %t, SameSite %d", c.Name, c.HttpOnly, c.SameSite)
			}
		}
	}
	check(b.header)
	follow := b.client.CheckRedirect
	b.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		check(r.Response.Header)
		return follow(r, via)
	}
	before := b.session()
	old := b.client.Jar.Cookies(b.url)[0]
	b.visit("/step/1").submit(`action="/register"`)
	b.postForm("/authorize").wantPage("/login")
	check(b.header)
	b.submit(`action="/login"`).submit(`action="/consent"`, "decision", "allow").wantPage("/step/4")
	if seen[cookieName] != 2 || seen["identity"] != 1 {
		t.Errorf("cookies were set: %v", seen)
	}
	if _, ok := b.app.sessions.table.Get(old.Value); ok || b.session() != before {
		t.Error("the login has not changed the id of the session")
	}
}

// A refresh token is valid only once. If a refresh token is revoked, the access tokens of the same
// grant are revoked too.
func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	used := b.session().get().tokens
	b.postForm("/refresh").wantPage("/step/7", "new access token")
	fresh := b.session().get().tokens
	b.session().update(func(v *state) { v.tokens = used })
	b.postForm("/refresh").wantPage("/step/7", "invalid_grant")
	b.session().update(func(v *state) { v.tokens = fresh })
	b.postForm("/refresh").wantPage("/step/7", "new access token")

	opaque, err := b.app.issuer.ownServer.Reference(b.session().get().tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	status := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.app.apiURL+fiscalSetupPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+opaque)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("before the revocation: status %d", got)
	}
	b.postForm("/revoke").wantPage("/after", "has revoked")
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("after the revocation: status %d", got)
	}
}
