package main

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// A user takes the seven steps of the walkthrough.
func TestSevenSteps(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	for _, page := range pages.Walk {
		if b.visit(page.Path); b.status != http.StatusOK {
			t.Errorf("%s before the first step: status %d", page.Path, b.status)
		}
	}
	b.visit("/before").submit(`value="none"`, "call", "none").wantPage("/before", "401", "missing_token")
	b.visit("/step/1").submit(`action="/register"`, "name", "<Bikes>").wantPage("/step/1", "<Bikes>", ".xena.biz")
	b.visit("/step/2").submit(`action="/authorize"`).wantPage("/login")
	b.submit(`action="/login"`, "password", "wrong").wantPage("/login", "wrong")
	b.submit(`action="/login"`).wantPage("/consent", "<Bikes>", "Full access to your Xena data", "email address")
	b.submit(`action="/consent"`, "decision", "allow").wantPage("/step/4", "104711", "testapi", "Whom the token is for")
	b.visit("/step/5").submit(`value="token"`, "call", "token").wantPage("/step/5", "200", "Berg Bicycles", "handler", ">Miss<")
	b.submit(`value="token"`, "call", "token").wantPage("/step/5", ">Hit<")
	b.visit("/step/6").submit(`value="profile"`, "call", "profile").wantPage("/step/6", "200", "en-GB")
	b.visit("/step/7").submit(`action="/hour"`).wantPage("/step/7", "expired")
	b.submit(`value="token"`, "call", "token").wantPage("/step/7", "401", "expired")
	b.submit(`action="/refresh"`).wantPage("/step/7", "new access token")
	b.submit(`value="token"`, "call", "token").wantPage("/step/7", "200", "Berg Bicycles")
	b.visit("/after").submit(`action="/revoke"`).wantPage("/after", "revoked")
	b.visit("/step/7").submit(`action="/refresh"`).wantPage("/step/7", "invalid_grant", "revoked", "log in again")
	// The API checks the signature of the access token, and does not ask the issuer. So it does not
	// learn that the issuer has revoked the refresh token, and still accepts the access token.
	b.visit("/after").submit(`value="token"`, "call", "token").wantPage("/after", "200")
	b.visit("/watch").submit(`value="expired"`, "call", "expired").wantPage("/watch", "401")
	for _, page := range pages.Walk {
		if b.visit(page.Path); b.status != http.StatusOK {
			t.Errorf("%s after the last step: status %d", page.Path, b.status)
		}
	}
	b.visit("/after").submit("id_token_hint").wantPage("/after", "logged out")
	if strings.Contains(b.page, "id_token_hint") {
		t.Error("the application still has tokens after the logout")
	}
	// At the logout, the Identity server sent a logout token to the API. So the API refuses the
	// access token.
	if c := b.callAPI("past"); c.Status != http.StatusUnauthorized || c.Reason != "revoked" {
		t.Errorf("the token from before the logout: %d %s", c.Status, c.Body)
	}
}

// The pages mark a step as done only after the user has done it, and the mark stays.
func TestDone(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	done := func(want ...string) {
		t.Helper()
		var got []string
		for _, page := range pages.Walk {
			if strings.Contains(b.page, `<li class="at-`+page.Name+` done">`) {
				got = append(got, page.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: done are %q, want %q", b.url.Path, got, want)
		}
	}
	done()
	b.visit("/before").submit(`value="none"`, "call", "none")
	done("before")
	b.visit("/step/5").postForm("/call", "page", "step5", "call", "token").wantPage("/step/5", "First get a token")
	done("before")
	b.signIn()
	done("before", "step1", "step2", "step3", "step4")
	b.visit("/step/5").submit(`value="token"`, "call", "token")
	done("before", "step1", "step2", "step3", "step4", "step5")
	b.visit("/step/7").submit(`action="/hour"`).submit(`value="token"`, "call", "token")
	done("before", "step1", "step2", "step3", "step4", "step5")
	b.submit(`action="/refresh"`)
	done("before", "step1", "step2", "step3", "step4", "step5", "step7")
	b.visit("/step/6").submit(`value="scope"`, "call", "scope")
	b.visit("/after").submit("id_token_hint").wantPage("/after", "logged out")
	done("before", "step1", "step2", "step3", "step4", "step5", "step6", "step7", "after")
}

// Step 2 shows what a PKCE challenge is, and step 4 the request that exchanges the code for tokens.
func TestShownRequests(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	b.wantPage("/step/4", "POST /connect/token HTTP/1.1", "grant_type=authorization_code",
		"&code_verifier=", "redirect_uri="+url.QueryEscape(b.app.redirectURI()), `"token_type": "Bearer"`, `"expires_in": 3`)
	b.visit("/step/2").wantPage("/step/2", "the SHA-256 of another random text, the code verifier")
}

// A page that does not exist leads back to the first page.
func TestMissingPage(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	if b.visit("/nonexist").wantPage("/nonexist", `href="/"`); b.status != http.StatusNotFound {
		t.Errorf("status %d", b.status)
	}
}

// Readers learn from the code of this folder, so it must stay short.
func TestLength(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(file, "_test.go") {
			lines += strings.Count(string(text), "\n")
		}
	}
	if lines == 0 || lines >= 1000 {
		t.Errorf("the folder has %d lines of Go without tests", lines)
	}
}

func TestDenial(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.visit("/step/1").submit(`action="/register"`)
	b.visit("/step/2").submit(`action="/authorize"`).submit(`action="/login"`)
	b.submit(`action="/consent"`, "decision", "deny").wantPage("/step/3", "access_denied")
}
