package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// If the keys of the assertions are rotated as SetKeys describes, no assertion is refused.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := crypto.Signer(p256(t)), crypto.Signer(ed(t))
		id := asserting(t, nil, old)
		v := newVerifier(t, id, nil)
		u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "scope": "x"})
		check := func(token string) {
			t.Helper()
			if _, err := v.Validate(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
		before := assertionOf(t, id, u)
		check(before)
		for _, keys := range [][]crypto.Signer{{old, fresh}, {fresh, old}, {fresh}} {
			last := assertionOf(t, id, u)
			if err := id.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
			check(assertionOf(t, id, u))
			check(last)
			time.Sleep(6 * time.Minute)
		}
		check(assertionOf(t, id, u))
	})
}

// If SetKeys leaves a key out, a service refuses the assertions that were signed with that key, as
// soon as it has fetched the key set again.
func TestStolenKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stolen, fresh := p256(t), p256(t)
		id := asserting(t, nil, stolen)
		v := newVerifier(t, id, nil)
		u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "scope": "x"})
		token := assertionOf(t, id, u)
		if _, err := v.Validate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := id.SetKeys([]crypto.Signer{fresh}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		// The service fetches the key set again, because the assertion names a key that the service
		// does not know yet.
		if _, err := v.Validate(t.Context(), assertionOf(t, id, u)); err != nil {
			t.Fatal(err)
		}
		_, err := v.Validate(t.Context(), token)
		wantReason(t, err, xenaauth.ReasonUnknownKey)
	})
}

func TestSetKeysTellsMistakes(t *testing.T) {
	good := p256(t)
	big, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	id := asserting(t, nil, good)
	before := keySet(t, id)
	for name, keys := range map[string][]crypto.Signer{
		"none": nil, "nil": {good, nil}, "P-384": {big}, "RSA": {good, rsaKey}, "twice": {good, ed(t), good},
	} {
		if err := id.SetKeys(keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := identity.New(identity.Config{Assertion: &identity.AssertionConfig{
			Issuer: gateway, Audience: service, Keys: keys}}); err == nil {
			t.Errorf("%s: New accepts", name)
		}
	}
	if got := keySet(t, id); got != before {
		t.Errorf("keys %s, want %s as before", got, before)
	}
	if err := newIdentity(t, identity.Config{}).SetKeys([]crypto.Signer{good}); err == nil {
		t.Error("keys are accepted that nothing uses")
	}
}

func keySet(t testing.TB, id *identity.Identity) string {
	t.Helper()
	w := httptest.NewRecorder()
	id.JWKSHandler().ServeHTTP(w, httptest.NewRequest("GET", "/keys", nil))
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	return w.Body.String()
}

func TestJWKSHandler(t *testing.T) {
	key := p256(t)
	id := asserting(t, nil, key)
	server := httptest.NewServer(id.JWKSHandler())
	defer server.Close()
	for method, status := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != status {
			t.Errorf("%s: status %d, %v", method, res.StatusCode, err)
		}
		if status != 200 {
			if res.Header.Get("Allow") == "" {
				t.Errorf("%s: no Allow", method)
			}
			continue
		}
		if got := res.Header.Get("Cache-Control"); got != "public, max-age=300" {
			t.Errorf("%s: Cache-Control %q", method, got)
		}
		if got := res.Header.Get("Content-Type"); got != "application/jwk-set+json" {
			t.Errorf("%s: Content-Type %q", method, got)
		}
		if method == "GET" && res.ContentLength != int64(len(body)) {
			t.Errorf("Content-Length %d of %d bytes", res.ContentLength, len(body))
		}
	}
	w := httptest.NewRecorder()
	newIdentity(t, identity.Config{}).JWKSHandler().ServeHTTP(w, httptest.NewRequest("GET", "/keys", nil))
	if w.Code != 404 {
		t.Errorf("status %d where there are no keys", w.Code)
	}
}

// The Ed25519 key of this test is in appendix A.1 of RFC 8037, and its thumbprint is in appendix
// A.3. The second key of this test is a new ECDSA key.
func TestKeySetIsStandard(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",` +
		`"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}]}`
	if got := keySet(t, asserting(t, nil, ed25519.NewKeyFromSeed(seed))); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}

	key := p256(t)
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(keySet(t, asserting(t, nil, key))), &set); err != nil || len(set.Keys) != 1 {
		t.Fatal(set, err)
	}
	k := set.Keys[0]
	sum := sha256.Sum256([]byte(toJSON(t, map[string]string{"crv": k["crv"], "kty": k["kty"], "x": k["x"], "y": k["y"]})))
	if id := base64.RawURLEncoding.EncodeToString(sum[:]); k["kid"] != id {
		t.Errorf("kid %q, want %q", k["kid"], id)
	}
	if len(k) != 7 || k["kty"] != "EC" || k["crv"] != "P-256" || k["use"] != "sig" || k["alg"] != "ES256" {
		t.Errorf("key %v", k)
	}
}

// An ECDSA signature consists of two numbers, R and S. In about one of 128 signatures, one of these
// numbers is shorter than 32 bytes. A service must accept such a signature too.
func TestShortSignatures(t *testing.T) {
	id := asserting(t, nil, p256(t))
	v := newVerifier(t, id, nil)
	u := newUser(t, map[string]any{"sub": "1", "client_id": "app", "scope": "x"})
	for range 1000 {
		if _, err := v.Validate(t.Context(), assertionOf(t, id, u)); err != nil {
			t.Fatal(err)
		}
	}
}

// faultyKey is a private key in a key store. The key store returns an error or a malformed
// signature.
type faultyKey struct {
	crypto.Signer
	answer []byte
	err    error
}

func (f faultyKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return f.answer, f.err }

func TestFaultySigner(t *testing.T) {
	// In this signature, the number R has 257 bits, which is one bit more than ECDSA with P-256
	// allows.
	long := append([]byte{0x30, 38, 0x02, 33, 0x01}, make([]byte, 32)...)
	for name, f := range map[string]faultyKey{
		"down":        {err: errors.New("dial https://vault.internal: refused")},
		"empty":       {},
		"no ASN.1":    {answer: []byte("signature")},
		"R is 0":      {answer: []byte{0x30, 6, 0x02, 1, 0, 0x02, 1, 1}},
		"S is -1":     {answer: []byte{0x30, 6, 0x02, 1, 1, 0x02, 1, 0xff}},
		"R too long":  {answer: append(long, 0x02, 1, 1)},
		"data behind": {answer: []byte{0x30, 6, 0x02, 1, 1, 0x02, 1, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			f.Signer = p256(t)
			h := http.Header{"X-Auth-Assertion": {"forged"}}
			err := asserting(t, nil, f).Set(h, fullUser(t))
			wantReason(t, err, xenaauth.ReasonUnavailable)
			if err == nil || strings.Contains(err.Error(), "vault") {
				t.Errorf("error %v", err)
			}
			if got := h["X-Auth-Assertion"]; !slices.Equal(got, []string{""}) {
				t.Errorf("assertion %q", got)
			}
		})
	}
}

// Several goroutines may call SetKeys and Set at the same time.
func TestSetKeysWhileSigning(t *testing.T) {
	a, b := p256(t), ed(t)
	id := asserting(t, nil, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = id.SetKeys([]crypto.Signer{b, a})
			_ = id.SetKeys([]crypto.Signer{a, b})
		}
	}()
	v := newVerifier(t, id, nil)
	for range 200 {
		if _, err := v.Validate(t.Context(), assertionOf(t, id, fullUser(t))); err != nil {
			t.Error(err)
			break
		}
	}
	cancel()
	<-done
}
