package dpop

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// FuzzProof checks that no value of the field DPoP causes a panic. It also checks that a proof is
// accepted only if its signature is valid and its key is the key of the token.
func FuzzProof(f *testing.F) {
	s := newSigner(f)
	const token = "token"
	good := s.proof("seed", token)
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(strings.Repeat("e30.", 3))
	f.Add("eyJhbGciOiJFZERTQSIsImp3ayI6e319.e30.AA")
	f.Fuzz(func(t *testing.T, proof string) {
		p, err := New(Config{PublicOrigins: []string{"https://api.example"}})
		if err != nil {
			t.Fatal(err)
		}
		verified := false
		p.verifySignature = func(h *jose.Embedded, token jose.Token) error {
			err := h.Verify(token)
			verified = err == nil
			return err
		}
		r := proofRequest("")
		r.Header["Dpop"] = []string{proof}
		err = p.Confirm(r, token, s.print)
		if err == nil && (!verified || thumbprintOf(r) != s.print) {
			t.Errorf("accepted without a signature: %q", proof)
		}
		if err != nil && len(proof) > 20 && strings.Contains(err.Error(), proof) {
			t.Error("the error contains the proof")
		}
		nonceOf(r)
	})
}

// FuzzNormalPath checks the normal form of paths. A second call of normalPath does not change the
// path. The path begins with a slash, and has no segment "." or "..". If no segment of the original
// path begins with a dot, the path stands for the same bytes as the original path.
func FuzzNormalPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/%7Ea/%2e%2e/", "/a//b/./c?x#y", "/%C3%A9", "/\xff", "/%", "*", "/a;b=c/%2F"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		path, err := normalPath(uri)
		if err != nil {
			return
		}
		again, err := normalPath(path)
		if err != nil || again != path {
			t.Fatalf("%q becomes %q, and then %q, %v", uri, path, again, err)
		}
		if !strings.HasPrefix(path, "/") {
			t.Fatalf("%q becomes %q", uri, path)
		}
		for _, segment := range strings.Split(path, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q becomes %q", uri, path)
			}
		}
		raw := uri
		if end := strings.IndexAny(raw, "?#"); end >= 0 {
			raw = raw[:end]
		}
		before, err := url.PathUnescape(raw)
		after, err2 := url.PathUnescape(path)
		if err != nil || err2 != nil {
			t.Fatalf("%q becomes %q: %v, %v", uri, path, err, err2)
		}
		if !strings.Contains(before, "/.") && before != "" && before != after {
			t.Fatalf("%q becomes %q: other octets", uri, path)
		}
	})
}

// FuzzTarget parses each accepted htu a second time, with package net/url. The result must also
// have the public origin of the service.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"https://api.example/", "https://API.example:443/?x", "https://api.example@evil/", "https://api.example\\@evil/",
		"https://evil/https://api.example/", "https:api.example/", "https://api.example:0443/%2e", "https://api.example#/",
		"https://api.example:/", "https://api.example:443:/", "https://api.example::/",
	} {
		f.Add(seed)
	}
	p, err := New(Config{PublicOrigins: []string{"https://api.example"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, htu string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "service"
		if p.checkTarget(htu, r) != nil {
			return
		}
		// Package net/url refuses control characters in a URL. Package dpop accepts them in the
		// query and in the fragment of htu, because it ignores these parts.
		clean := strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return -1
			}
			return c
		}, htu)
		if at := strings.IndexAny(clean, "?#"); at >= 0 {
			clean = clean[:at]
		}
		u, err := url.Parse(clean)
		if err != nil || !strings.EqualFold(u.Scheme, "https") || !strings.EqualFold(u.Hostname(), "api.example") || u.User != nil ||
			strings.TrimLeft(u.Port(), "0") != "443" && u.Port() != "" {
			t.Errorf("%q is accepted: %v, %v", htu, u, err)
		}
	})
}

// FuzzNonce checks that a service accepts only the nonces that it makes itself.
func FuzzNonce(f *testing.F) {
	n := newNonceMaker([][]byte{[]byte(strings.Repeat("s", 32))}, time.Minute)
	now := time.Unix(1_800_000_000, 0)
	f.Add(n.newNonce("key", now))
	f.Add(strings.Repeat("A", 32))
	f.Fuzz(func(t *testing.T, nonce string) {
		mine := nonce == n.newNonce("key", now) || nonce == n.newNonce("key", now.Add(-n.period)) || nonce == n.newNonce("key", now.Add(n.period))
		if n.check(nonce, "key", now) != mine {
			t.Errorf("%q", nonce)
		}
	})
}
