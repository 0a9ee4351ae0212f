package xenaauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// b64 is base64url without padding.
func b64[T string | []byte](v T) string { return rawURL.EncodeToString([]byte(v)) }

var rawURL = base64.RawURLEncoding

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// with is a copy of m with some members changed; nil removes one.
func with(m map[string]any, changes map[string]any) map[string]any {
	m = maps.Clone(m)
	for name, value := range changes {
		if value == nil {
			delete(m, name)
		} else {
			m[name] = value
		}
	}
	return m
}

// text is a JSON value exactly as it is to be written.
func text(v string) json.RawMessage { return json.RawMessage(v) }

// signer signs any bytes as a JWS signing input, with a key whose public half a test publishes through an issuer: for
// tokens that the issuer's own encoder can't write.
type signer struct {
	kid string
	key crypto.Signer
}

func newSigner(t testing.TB, kid string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &signer{kid, key}
}

// randReader is crypto/rand's, under a name that no local variable hides.
var randReader = rand.Reader

// selfSigned is a certificate of an EC signer's key that expired long ago.
func selfSigned(t testing.TB, s *signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key)
	require.NoError(t, err)
	return der
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func rsaSigner(kid string) *signer { return &signer{kid, rsaKey()} }

// jwk is the public key, without alg.
func (s *signer) jwk(changes map[string]any) map[string]any {
	m := map[string]any{"use": "sig", "kid": s.kid}
	switch public := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
	}
	return with(m, changes)
}

// sign returns the encoded signature of input: ES256 for an EC key, else RS256 or PS256.
func (s *signer) sign(t testing.TB, alg, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	switch key := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, ss, err := ecdsa.Sign(rand.Reader, key, digest[:])
		require.NoError(t, err)
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		ss.FillBytes(signature[32:])
		return b64(signature)
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == "PS256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		signature, err := key.Sign(rand.Reader, digest[:], opts)
		require.NoError(t, err)
		return b64(signature)
	}
	t.Fatal("unknown key")
	return ""
}

// token signs the two segments as they stand.
func (s *signer) token(t testing.TB, alg, header, payload string) string {
	t.Helper()
	input := header + "." + payload
	return input + "." + s.sign(t, alg, input)
}

// jwt signs a header and claims in the ordinary form.
func (s *signer) jwt(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	alg, _ := header["alg"].(string)
	return s.token(t, alg, b64(mustJSON(t, header)), b64(mustJSON(t, claims)))
}

// publish replaces the issuer's key set.
func publish(t testing.TB, issuer *xenaauthtest.Issuer, keys ...map[string]any) {
	t.Helper()
	issuer.SetJWKS(mustJSON(t, map[string]any{"keys": keys}))
}

// published are the keys of the issuer's key set.
func published(t testing.TB, issuer *xenaauthtest.Issuer) []map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	require.NoError(t, json.Unmarshal(issuer.JWKS(), &set))
	return set.Keys
}
