package harness

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
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var rawURL = base64.RawURLEncoding

// Signer signs any bytes, as if they were the signed text of a JWS. So a test can make tokens that
// xenaauthtest.Issuer cannot make. The public key of the signer is in the JWKS of an issuer only
// after the test has called Publish.
type Signer struct {
	KeyID string
	Key   crypto.Signer
}

// NewSigner returns a signer with a new EC key.
func NewSigner(t testing.TB, kid string) *Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &Signer{kid, key}
}

// SelfSigned returns an expired certificate for the key of an EC signer.
func SelfSigned(t testing.TB, s *Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Key.Public(), s.Key)
	require.NoError(t, err)
	return der
}

// RSAKey returns an RSA key of 2048 bits, which all tests of a package share.
var RSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// RSASigner returns a signer whose key is RSAKey.
func RSASigner(kid string) *Signer { return &Signer{kid, RSAKey()} }

// JWK returns the public key of the signer as a JWK without alg. The members in changedMembers
// replace members of the JWK, or are added to it. A member with the value nil is removed.
func (s *Signer) JWK(changedMembers map[string]any) map[string]any {
	m := map[string]any{"use": "sig", "kid": s.KeyID}
	switch public := s.Key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", Base64(point[1:33]), Base64(point[33:])
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", Base64(public.N.Bytes()), Base64(big.NewInt(int64(public.E)).Bytes())
	}
	return With(m, changedMembers)
}

// Sign returns the base64url text of the signature of input. For an EC key, the algorithm is ES256.
// For an RSA key, the parameter alg says whether it is RS256 or PS256.
func (s *Signer) Sign(t testing.TB, alg, input string) string {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	switch key := s.Key.(type) {
	case *ecdsa.PrivateKey:
		r, ss, err := ecdsa.Sign(rand.Reader, key, digest[:])
		require.NoError(t, err)
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		ss.FillBytes(signature[32:])
		return Base64(signature)
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == "PS256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		signature, err := key.Sign(rand.Reader, digest[:], opts)
		require.NoError(t, err)
		return Base64(signature)
	}
	t.Fatal("unknown key")
	return ""
}

// Token returns a JWS of the signer. The texts header and payload become its first two segments
// without any change.
func (s *Signer) Token(t testing.TB, alg, header, payload string) string {
	t.Helper()
	input := header + "." + payload
	return input + "." + s.Sign(t, alg, input)
}

// JWT returns a JWT of the signer with this header and these claims, encoded in the usual way.
func (s *Signer) JWT(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	alg, _ := header["alg"].(string)
	return s.Token(t, alg, Base64(JSON(t, header)), Base64(JSON(t, claims)))
}

// Publish puts the given keys into the JWKS of an issuer, in place of all other keys.
func Publish(t testing.TB, issuer *xenaauthtest.Issuer, keys ...map[string]any) {
	t.Helper()
	issuer.SetJWKS(JSON(t, map[string]any{"keys": keys}))
}

// Published returns the keys in the JWKS of an issuer.
func Published(t testing.TB, issuer *xenaauthtest.Issuer) []map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	require.NoError(t, json.Unmarshal(issuer.JWKS(), &set))
	return set.Keys
}

// DeepJSON returns a nested JSON text. It consists of n times the text in prefix, the number 1, and
// n times the text in suffix.
func DeepJSON(prefix, suffix string, n int) string {
	return strings.Repeat(prefix, n) + "1" + strings.Repeat(suffix, n)
}
