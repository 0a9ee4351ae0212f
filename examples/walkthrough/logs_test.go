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
	b := start(t).signIn()
	secrets := []string{b.session().get().client.Secret}
	remember := func() {
		now := b.session().get()
		secrets = append(secrets, now.idToken, now.tokens.AccessToken, now.tokens.RefreshToken)
	}
	for _, c := range calls {
		if c.needs != aPast {
			b.call(c.name)
		}
	}
	remember()
	b.press("/hour").press("/refresh")
	remember()
	b.press("/revoke").press("/refresh").sees("/step/7", "invalid_grant")
	b.visit("/after").submit("id_token_hint").sees("/after", "logged out")
	b.call("past")
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
