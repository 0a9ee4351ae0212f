package main

import (
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestExplainShowsNoToken explains hostile tokens, as text and as JSON. The output has no part of a
// token of 16 characters or more, no secret and no internal address.
func TestExplainShowsNoToken(t *testing.T) {
	s := newService(t)
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
	explainAll := func(t *testing.T) {
		for name, token := range tokens {
			for _, args := range [][]string{{"explain"}, {"explain", "--json"}, {"explain", "--json", "--scope", "admin"}} {
				text, _ := s.ask(token, args...)
				if text == "" {
					t.Errorf("%s: %q writes nothing", name, args)
				}
				if leak := partOf(token, text); leak != "" {
					t.Errorf("%s: the output of %q has %q of the token:\n%s", name, args, leak, text)
				}
			}
		}
	}
	t.Run("the issuer works", explainAll)
	s.set("INTROSPECTION_CLIENT_SECRET", "another-secret")
	t.Run("the secret is wrong", explainAll)
	s.issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 500, Body: s.issuer.Addr() + " the-secret-of-the-api"})
	t.Run("the issuer fails", explainAll)
	s.issuer.Down()
	t.Run("the issuer is down", explainAll)
}

// partOf returns the first 16 characters of a header, a payload, a signature or an opaque token that
// a text contains, or "".
func partOf(token, text string) string {
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
