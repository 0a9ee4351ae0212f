package jose_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// ParseHeader and Verify accept the tokens that Signer.Sign returns, with the key that
// Signer.Public returns. An ECDSA signature consists of two numbers. In about one of 128
// signatures, one of the numbers begins with a zero byte. The loop makes so many signatures that it
// almost always includes some of these.
func TestSignedTokensVerify(t *testing.T) {
	t.Parallel()
	for algorithm, key := range map[string]crypto.Signer{"ES256": p256(), "EdDSA": ed()} {
		s, err := jose.NewSigner(key, "at+jwt")
		require.NoError(t, err)
		set := must(json.Marshal(map[string]any{"keys": []jose.JWK{s.Public()}}))
		keys, err := jose.ParseKeySet(string(set))
		require.NoError(t, err)
		for range 500 {
			text, err := s.Sign([]byte(`{"sub":"U1"}`))
			require.NoError(t, err)
			token, ok := jose.Split(text)
			require.True(t, ok)
			header, err := jose.ParseHeader(token.Header())
			require.NoError(t, err)
			require.Equal(t, &jose.Header{
				Algorithm: algorithm, KeyID: s.Public().ID, Type: "at+jwt", HasType: true,
			}, header)
			payload, err := token.Payload()
			require.NoError(t, err)
			require.Equal(t, `{"sub":"U1"}`, payload)
			found, known := keys.Find(header)
			require.True(t, known)
			_, err = token.Hash().Verify(header.Algorithm, found)
			require.NoError(t, err)
		}
	}
}

// This test uses the private key in appendix A.1 of RFC 8037, and its thumbprint in appendix A.3.
// For P-256, the test itself computes the thumbprint (RFC 7638).
func TestPublicIsStandard(t *testing.T) {
	t.Parallel()
	seed := must(base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	s, err := jose.NewSigner(ed25519.NewKeyFromSeed(seed), "at+jwt")
	require.NoError(t, err)
	require.JSONEq(t, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}`,
		string(must(json.Marshal(s.Public()))))

	s, err = jose.NewSigner(p256(), "at+jwt")
	require.NoError(t, err)
	k := s.Public()
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`))
	require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), k.ID)
}

// NewSigner returns an error, and does not panic, for keys that Sign can't use.
func TestNewSignerRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key  crypto.Signer
		want string
	}{
		"none":    {nil, "is nil"},
		"P-384":   {p384(), "is not of curve P-256"},
		"P-521":   {p521(), "is not of curve P-256"},
		"RSA":     {rsaKey(), "is neither ECDSA with P-256 nor Ed25519: *rsa.PublicKey"},
		"Ed25519": {brokenKey{public: ed25519.PublicKey("short")}, "is not 32 bytes long"},
	} {
		_, err := jose.NewSigner(c.key, "at+jwt")
		require.EqualError(t, err, c.want, name)
	}
}

// A brokenKey is a private key whose key store returns an error or a malformed signature.
type brokenKey struct {
	public    crypto.PublicKey
	signature []byte
	err       error
}

func (b brokenKey) Public() crypto.PublicKey { return b.public }

func (b brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return b.signature, b.err
}

// If the key store returns something other than an ES256 signature, Sign returns an error. The
// error contains no text of the key store.
func TestSignWithBrokenKey(t *testing.T) {
	t.Parallel()
	// The number R of this signature has 257 bits, so it is too long.
	long := append([]byte{0x30, 38, 0x02, 33, 0x01}, make([]byte, 32)...)
	for name, key := range map[string]brokenKey{
		"error":         {err: errors.New("dial https://vault.internal: refused")},
		"empty":         {},
		"not ASN.1":     {signature: []byte("signature")},
		"R is 0":        {signature: []byte{0x30, 6, 0x02, 1, 0, 0x02, 1, 1}},
		"S is -1":       {signature: []byte{0x30, 6, 0x02, 1, 1, 0x02, 1, 0xff}},
		"R too long":    {signature: append(long, 0x02, 1, 1)},
		"trailing data": {signature: []byte{0x30, 6, 0x02, 1, 1, 0x02, 1, 1, 0}},
	} {
		key.public = p256().Public()
		s, err := jose.NewSigner(key, "at+jwt")
		require.NoError(t, err)
		_, err = s.Sign([]byte(`{}`))
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "vault", name)
	}
}
