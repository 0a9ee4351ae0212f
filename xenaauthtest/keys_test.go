package xenaauthtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestSignaturesVerify(t *testing.T) {
	for _, algorithm := range []string{
		"", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	} {
		t.Run("algorithm "+algorithm, func(t *testing.T) {
			t.Parallel()
			i := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: algorithm})
			keys := keySet(t, i)
			if len(keys) != 1 {
				t.Fatalf("%d keys published, want 1", len(keys))
			}
			tokens := []string{
				i.JWT(xenaauthtest.Token{}),
				i.Sign(object{"a": 1}, object{}),
				i.SignBytes([]byte("{"), []byte("no JSON")),
			}
			for _, token := range tokens {
				if !verifies(t, token, keys[0]) {
					t.Errorf("%s: bad signature", token)
				}
			}
			other := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: algorithm})
			if verifies(t, tokens[0], keySet(t, other)[0]) {
				t.Error("two issuers share a key")
			}
		})
	}
}

func verifies(t *testing.T, token string, key map[string]string) bool {
	t.Helper()
	number := func(name string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(key[name])
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	input, encoded := token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[key["alg"][2:]]
	if key["kty"] == "OKP" {
		return ed25519.Verify(number("x"), []byte(input), signature)
	}
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	if key["kty"] == "EC" {
		curve := map[string]elliptic.Curve{
			"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
		}[key["crv"]]
		public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, number("x")...), number("y")...))
		if err != nil {
			t.Fatal(err)
		}
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		return ecdsa.Verify(public, digest, r, s)
	}
	public := &rsa.PublicKey{
		N: new(big.Int).SetBytes(number("n")),
		E: int(new(big.Int).SetBytes(number("e")).Int64()),
	}
	if strings.HasPrefix(key["alg"], "PS") {
		return rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()}) == nil
	}
	return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
}

func TestRotation(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	first := i.KeyID()
	before := i.JWKS()
	i.Rotate()
	second := i.KeyID()
	if first == second {
		t.Fatal("Rotate kept the key")
	}
	var kids []string
	for _, key := range keySet(t, i) {
		kids = append(kids, key["kid"])
	}
	equal(t, "after Rotate", kids, []string{first, second})
	i.Retire()
	keys := keySet(t, i)
	if len(keys) != 1 || keys[0]["kid"] != second {
		t.Errorf("after Retire: %v", keys)
	}
	if token := i.JWT(xenaauthtest.Token{}); !verifies(t, token, keys[0]) {
		t.Error("after Retire: bad signature")
	}

	i.SetJWKS(before)
	equal(t, "set by hand", keySet(t, i)[0]["kid"], first)
	equal(t, "JWKS", string(i.JWKS()), string(before))
	i.SetJWKS([]byte{})
	if _, body := get(t, i.Client(), i.URL()+"/.well-known/openid-configuration/jwks"); len(body) != 0 {
		t.Errorf("empty key set is served as %q", body)
	}
	i.SetJWKS(nil)
	equal(t, "set back", keySet(t, i)[0]["kid"], second)
}
