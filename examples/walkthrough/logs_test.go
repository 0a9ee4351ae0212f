package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Whatever the user does, the logs contain no token and no secret.
func TestLogs(t *testing.T) {
	var logs bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	b := startBrowser(t).signIn()
	secrets := []string{b.session().get().client.Secret}
	remember := func() {
		now := b.session().get()
		secrets = append(secrets, now.idToken, now.tokens.AccessToken, now.tokens.RefreshToken)
	}
	for _, c := range calls {
		if c.needs != needLogout {
			b.callAPI(c.name)
		}
	}
	remember()
	b.postForm("/hour").postForm("/refresh")
	remember()
	b.postForm("/revoke").postForm("/refresh").wantPage("/step/7", "invalid_grant")
	b.visit("/after").submit("id_token_hint").wantPage("/after", "logged out")
	b.callAPI("past")
	if !strings.Contains(logs.String(), "reason=revoked") {
		t.Fatalf("the logs of the API are not here: %s", &logs)
	}
	for _, secret := range secrets {
		_, signature, _ := strings.Cut(secret, ".")
		if len(secret) < 20 || strings.Contains(logs.String(), secret) ||
			signature != "" && strings.Contains(logs.String(), signature) {
			t.Errorf("the logs contain the secret %q: %s", secret, &logs)
		}
	}
}
