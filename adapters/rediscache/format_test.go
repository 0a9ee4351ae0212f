package rediscache_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// Instances of the service with different releases of this package share the values in Redis, so a
// release must not change the format of these values. TestFormat reads the values with the standard
// library alone. It fails if a release changes the name or the form of an introspection response or
// of a stored revocation, or the derivation of their cryptographic keys. The tests in
// vectors_test.go check used values, nonces and leases.
func TestFormat(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	f := newFleet(t, s)
	client, c := s.client(), f.cache(nil)
	key, value := sha256.Sum256([]byte("a token")), []byte("an answer")
	if v, err := c.Get(t.Context(), key); v != nil || err != nil {
		t.Fatal(v, err)
	}
	if err := c.Set(t.Context(), key, value, time.Minute); err != nil {
		t.Fatal(err)
	}
	root, err := hkdf.Extract(sha256.New, f.secrets[0], []byte("xenaauth rediscache 1"))
	if err != nil {
		t.Fatal(err)
	}
	expand := func(secret []byte, info string) []byte {
		k, err := hkdf.Expand(sha256.New, secret, info, 32)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	open := func(key []byte, name, sealed string) string {
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		a, err := cipher.NewGCM(block)
		if err != nil || sealed == "" || sealed[0] != 1 {
			t.Fatal(err, sealed)
		}
		text, err := a.Open(nil, []byte(sealed[1:13]), []byte(sealed[13:]), []byte(name))
		if err != nil || len(text)%256 != 0 {
			t.Fatal(err, len(text))
		}
		return string(text[4 : 4+binary.BigEndian.Uint32(text)])
	}
	h := hmac.New(sha256.New, expand(root, "name"))
	h.Write(key[:])
	name := "xenaauth:" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
	sealed := client.Get(t.Context(), name).Val()
	if got := open(expand(expand(root, "value"), string(key[:])), name, sealed); got != string(value) {
		t.Errorf("%q", got)
	}
	if err := c.Set(t.Context(), key, value, time.Minute); err != nil {
		t.Fatal(err)
	}
	if again := client.Get(t.Context(), name).Val(); again[1:13] == sealed[1:13] {
		t.Error("the same nonce was used twice")
	}
	until := time.Now().Add(time.Hour).UTC().Round(0)
	r := xenaauth.Revocation{Issuer: "https://issuer.example", Subject: "U1", Until: until}
	if err := c.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := `{"v":2,"issuer":"https://issuer.example","sub":"U1","until":"` + until.Format(time.RFC3339Nano) + `"}`
	kept := client.ZRange(t.Context(), setName, 0, -1).Val()[0]
	if got := open(expand(root, "revocation"), setName, kept); got != want {
		t.Errorf("%q", got)
	}
}
