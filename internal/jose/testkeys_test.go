package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"

	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// These keys are generated once and used by all tests, because it takes long to generate an RSA key
// under the race detector.
var (
	rsaKey  = once(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	rsaKey2 = once(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256    = once(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p256b   = once(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384    = once(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521    = once(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	ed      = once(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
)

func once[T any](f func() T) func() T { return sync.OnceValue(f) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

type members map[string]any

// jwk returns the public key of privateKey as a JWK. The maps in changes contain new values for
// members of the JWK. The value nil removes the member.
func jwk(privateKey any, changes ...members) string {
	m := members{}
	switch k := privateKey.(type) {
	case *rsa.PrivateKey:
		m = members{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PrivateKey:
		point := must(k.PublicKey.Bytes())[1:]
		m = members{"kty": "EC", "crv": k.Curve.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
	case ed25519.PrivateKey:
		m = members{"kty": "OKP", "crv": "Ed25519", "x": b64(k.Public().(ed25519.PublicKey))}
	}
	for _, c := range changes {
		maps.Copy(m, c)
	}
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(m)))
}

func setOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func parse(t testing.TB, keys ...string) *jose.KeySet {
	t.Helper()
	s, err := jose.ParseKeySet(setOf(keys...))
	require.NoError(t, err)
	return s
}

var hashes = map[string]crypto.Hash{
	"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512,
}

// signText signs the text of a test token (RFC 7518, section 3; RFC 8037, section 3.1). It uses
// only the standard library, so it is independent of the code under test.
func signText(private any, algorithm, input string) []byte {
	if k, ok := private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(k, []byte(input))
	}
	hash := hashes[algorithm[2:]]
	h := hash.New()
	h.Write([]byte(input))
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(algorithm, "PS") {
			return must(rsa.SignPSS(rand.Reader, k, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(nil, k, hash, h.Sum(nil)))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, h.Sum(nil))
		size := (k.Curve.Params().BitSize + 7) / 8
		return append(must(r, err).FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	panic(fmt.Sprintf("no signer for %T", private))
}

// issueToken returns a token with the given header, signed with the key.
func issueToken(private any, header members) string {
	input := b64(must(json.Marshal(header))) + "." + b64([]byte(`{"sub":"alice"}`))
	return input + "." + b64(signText(private, header["alg"].(string), input))
}

func split(t testing.TB, token string) jose.Token {
	t.Helper()
	cut, ok := jose.Split(token)
	require.True(t, ok)
	return cut
}

// verifyToken parses the header of a token, finds the keys for it, and verifies the signature.
func verifyToken(t testing.TB, s *jose.KeySet, token string) (*jose.Key, error) {
	t.Helper()
	cut := split(t, token)
	h, err := jose.ParseHeader(cut.Header())
	require.NoError(t, err)
	keys, known := s.Find(h)
	require.True(t, known)
	return cut.Hash().Verify(h.Algorithm, keys)
}
