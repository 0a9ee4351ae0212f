package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// gateFiles writes a configuration file of xenagate with secrets, and returns its path.
func gateFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gate.yaml": `listen: 127.0.0.1:0
tokens: {introspection: {client_id: testapi, client_secret_file: api}}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
redis: {addresses: ["127.0.0.1:6379"], secret_files: [fleet]}
admin: {listen: "127.0.0.1:1", revoke_secret_file: fleet}
audit: {file: audit.log, key_file: fleet}
routes: {rules: [{route: GET /orders, scopes: [testapi]}, {route: GET /pay, scopes: [pay], bound: true}]}
`,
		"api": "the-secret-of-the-api\n", "fleet": strings.Repeat("another-secret", 3),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "gate.yaml")
}

// TestNoCommandShowsAToken runs each command except "token", whose output is a token: see
// TestTokenRunsUntilItIsInterrupted. It gives hostile tokens to the
// commands that read one. The output, as text and as JSON, must contain no secret, no internal
// address, and no 16 successive characters of a token.
func TestNoCommandShowsAToken(t *testing.T) {
	s := newService(t)
	gate := gateFiles(t)
	minted := func(claims map[string]any) string { return s.issuer.JWT(xenaauthtest.Token{Claims: claims}) }
	good := minted(nil)
	end := strings.LastIndex(good, ".") + 1
	header := []byte(`{"alg":"RS256","typ":"at+jwt","kid":"` + s.issuer.KeyID() + `"}`)
	revoked := s.issuer.Opaque(xenaauthtest.Token{})
	s.issuer.Revoke(revoked)
	other := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "https://other.example"})
	tokens := map[string]string{
		"good":            good,
		"opaque":          s.issuer.Opaque(xenaauthtest.Token{}),
		"inactive":        revoked,
		"unknown":         strings.Repeat("Zx9Qw7", 20),
		"too long":        good + strings.Repeat("kJ8d", 5000),
		"control bytes":   good + "\x00\x1b[31m",
		"unsigned":        good[:end],
		"forged":          good[:end] + strings.Repeat("A", 8) + good[end+8:],
		"header no JSON":  s.issuer.SignBytes([]byte("this is no JSON at all"), []byte(`{}`)),
		"payload no JSON": s.issuer.SignBytes(header, []byte(`{"sub":"ann-of-the-payload`)),
		"other issuer":    other.JWT(xenaauthtest.Token{}),
		"expired":         s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}),
		"bound":           minted(map[string]any{"cnf": map[string]any{"jkt": strings.Repeat("0ZcOCORZNY", 4)}}),
		"other audience":  minted(map[string]any{"aud": "another"}),
		"wrong type":      minted(map[string]any{"scope": 7}),
		"ID token":        s.issuer.IDToken(xenaauthtest.Token{}),
		"logout token":    s.issuer.LogoutToken(xenaauthtest.Token{}),
		"two tokens":      good + " " + revoked,
		"with its scheme": "Bearer " + good,
	}
	var commands [][]string
	for _, args := range [][]string{
		{"explain"}, {"explain", "--scope", "admin"}, {"explain", "-c", gate},
		{"can", "GET", "/orders?access_token=x", "-c", gate}, {"can", "GET", "/pay", "-c", gate},
		{"can", "POST", "/orders", "-c", gate}, {"doctor"}, {"doctor", "-c", gate},
		{"doctor", "--issuer", "https://other.example"}, {"routes", "-c", gate}, {"routes", "-c", gate, "-p", "text"},
	} {
		commands = append(commands, args, append([]string{"--json"}, args...))
	}
	commands = append(commands, []string{"routes", "-c", gate, "-p", "openapi"}, []string{"routes", "-c", gate, "-p", "markdown"})
	all := func(t *testing.T) {
		for _, args := range commands {
			for name, token := range tokens {
				if name != "good" && !slices.Contains(args, "explain") && !slices.Contains(args, "can") {
					// Only the commands "explain" and "can" read a token, so they run once for each
					// token. All other commands run only once, together with the token whose name
					// is "good".
					continue
				}
				text, _ := s.ask(token, args...)
				if text == "" {
					t.Errorf("%s: %q writes nothing", name, args)
				}
				if leak := leakedPart(token, text); leak != "" {
					t.Errorf("%s: the output of %q has %q of the token:\n%s", name, args, leak, text)
				}
			}
		}
	}
	t.Run("the issuer works", all)
	t.Setenv("XENA_DPOP", "accepted")
	t.Setenv("XENA_PUBLIC_ORIGINS", "https://api.example")
	t.Run("with proofs", all)
	s.set("INTROSPECTION_CLIENT_SECRET", "another-secret")
	t.Run("the secret is wrong", all)
	s.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 500, Body: s.issuer.Addr() + " the-secret-of-the-api"})
	t.Run("the issuer fails", all)
	s.issuer.Down()
	t.Run("the issuer is down", all)
}

// TestTokenAsAnArgument gives a token to a command in the wrong place: as an argument. The error
// must not repeat the token.
func TestTokenAsAnArgument(t *testing.T) {
	s := newService(t)
	for name, token := range map[string]string{
		"JWT": s.issuer.JWT(xenaauthtest.Token{}), "opaque": s.issuer.Opaque(xenaauthtest.Token{}),
	} {
		for _, args := range [][]string{
			{"explain", token}, {"explain", "--token", token}, {"explain", "--token=" + token}, {token}, {"explain", "Bearer " + token},
			{"can", "GET", "/", token}, {"routes", token}, {"can", token, "/", "-t", "x"}, {"explain", "--offline", token},
			{"doctor", "-c", token}, {"--color=" + token, "doctor"}, {"explain", "-" + token},
		} {
			text, status := s.ask(token, args...)
			if status != 2 {
				t.Errorf("%s: %.20q: exit status %d", name, args, status)
			}
			if leak := leakedPart(token, text); leak != "" {
				t.Errorf("%s: the error of %.20q has %q of the token:\n%s", name, args, leak, text)
			}
		}
	}
}

// leakedPart looks for parts of a token in a text. It returns 16 successive characters of the token
// that are also in the text, or "" if the text has none. The 16 characters never cross a dot of the
// token: they are all from its header, for example, or all from its payload.
func leakedPart(token, text string) string {
	const shortest = 16
	for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return r == '.' || r <= ' ' }) {
		for i := 0; i+shortest <= len(part); i++ {
			if window := part[i : i+shortest]; strings.Contains(text, window) {
				return window
			}
		}
	}
	return ""
}
