package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// The seven steps, as a user takes them.
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
	// The API checks JWTs itself, so the token lives until the session ends.
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
}

func TestDenial(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.visit("/step/1").submit(`action="/register"`)
	b.visit("/step/2").submit(`action="/authorize"`).submit(`action="/login"`)
	b.submit(`action="/consent"`, "decision", "deny").sees("/step/3", "access_denied")
}
