package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// A user takes the seven steps of the walkthrough.
func TestSevenSteps(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, page := range pages.Walk {
		if b.visit(page.Path); b.status != http.StatusOK {
			t.Errorf("%s before the first step: status %d", page.Path, b.status)
		}
	}
	b.visit("/before").submit(`value="none"`, "call", "none").sees("/before", "401", "missing_token")
	b.visit("/step/1").submit(`action="/register"`, "name", "<Bikes>").sees("/step/1", "<Bikes>", ".xena.biz")
	b.visit("/step/2").submit(`action="/authorize"`).sees("/login")
	b.submit(`action="/login"`, "password", "wrong").sees("/login", "wrong")
	b.submit(`action="/login"`).sees("/consent", "<Bikes>", "Full access to your Xena data", "email address")
	b.submit(`action="/consent"`, "decision", "allow").sees("/step/4", "104711", "testapi", "Whom the token is for")
	b.visit("/step/5").submit(`value="token"`, "call", "token").sees("/step/5", "200", "Berg Bicycles", "handler")
	b.visit("/step/6").submit(`value="profile"`, "call", "profile").sees("/step/6", "200", "en-GB")
	b.visit("/step/7").submit(`action="/hour"`).sees("/step/7", "expired")
	b.submit(`value="token"`, "call", "token").sees("/step/7", "401", "expired")
	b.submit(`action="/refresh"`).sees("/step/7", "new access token")
	b.submit(`value="token"`, "call", "token").sees("/step/7", "200", "Berg Bicycles")
	b.visit("/after").submit(`action="/revoke"`).sees("/after", "revoked")
	b.visit("/step/7").submit(`action="/refresh"`).sees("/step/7", "invalid_grant")
	// The access token is a JWT, and the API does not ask the issuer about it. So the API accepts
	// the token until the user's session ends.
	b.visit("/after").submit(`value="token"`, "call", "token").sees("/after", "200")
	b.visit("/watch").submit(`value="expired"`, "call", "expired").sees("/watch", "401")
	for _, page := range pages.Walk {
		if b.visit(page.Path); b.status != http.StatusOK {
			t.Errorf("%s after the last step: status %d", page.Path, b.status)
		}
	}
	b.visit("/after").submit("id_token_hint").sees("/after", "logged out")
	if strings.Contains(b.page, "id_token_hint") {
		t.Error("the application still has tokens after the logout")
	}
	// At the logout, the Identity server sent a logout token to the API. So the API refuses the
	// token.
	if c := b.call("past"); c.Status != http.StatusUnauthorized || c.Reason != "revoked" {
		t.Errorf("the token from before the logout: %d %s", c.Status, c.Body)
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
	b := start(t)
	b.visit("/step/1").submit(`action="/register"`)
	b.visit("/step/2").submit(`action="/authorize"`).submit(`action="/login"`)
	b.submit(`action="/consent"`, "decision", "deny").sees("/step/3", "access_denied")
}
