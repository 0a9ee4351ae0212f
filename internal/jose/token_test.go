package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/jose"
)

func TestSplit(t *testing.T) {
	for token, good := range map[string]bool{
		"a.b.c": true, "..": true, "a..": true, "..c": true, ".b.": true,
		"": false, ".": false, "a": false, "a.b": false, "a.b.c.d": false, "...": false, "a.b.c.": false, ".a.b.c": false,
		"a.b.c.d.e": false, "a b c": false, "a\u3002b\u3002c": false,
	} {
		cut, ok := jose.Split(token)
		require.Equal(t, good, ok, "%q", token)
		if good {
			require.Equal(t, strings.Split(token, ".")[0], cut.Header())
		}
	}
}

func TestLooks(t *testing.T) {
	for header, want := range map[string]bool{
		`{}`: true, `{"alg":"RS256"}`: true, "{ \"alg\":1}": true, "{\n": true, "{\xff": true, "{\x00": true,
		``: false, `{`: true, `[]`: false, `"a"`: false, `|}`: false, `z{`: false, `null`: false,
		" {}": true, "\t{}": true, "\n{}": true, "\r{}": true, " \t\r\n{": true, "\r\n\r\n {\"alg\":1}": true,
		" ": false, "  ": false, "   ": false, "    ": false, " []": false, " null": false, "\v{}": false, "\f{}": false,
		"\u00a0{}": false, "\ufeff{}": false, "\x00{}": false, "\u2028{}": false, " }": false,
		strings.Repeat(" ", 1000) + "{}": true, strings.Repeat("\n", 10_000) + "{}": false,
	} {
		require.Equal(t, want, split(t, b64([]byte(header))+".x.y").LooksLikeJWT(), "%q", header)
	}
	for c := range 256 {
		require.True(t, split(t, b64([]byte{'{', byte(c), '}'})+".x.y").LooksLikeJWT(), "{ and %#x", c)
	}
	for _, opaque := range []string{"e.x.y", "eA.x.y", "ev.x.y", "e~.x.y", "Ey.x.y", "a.b.c", "..", "e+.x.y", "I.x.y", "IC.x.y", "IA.HsA.y"} {
		require.False(t, split(t, opaque).LooksLikeJWT(), opaque)
	}
}

func TestPayload(t *testing.T) {
	for _, payload := range []string{"", "a", "ab", "abc", `{"sub":"é"}`, "\xff\xfe", strings.Repeat("x", 200_000)} {
		got, err := split(t, "h."+b64([]byte(payload))+".s").Payload()
		require.NoError(t, err)
		require.Equal(t, payload, got)
	}
}

// notCanonical contains base64url texts that no correct encoder writes, but that some decoders
// accept.
var notCanonical = map[string]string{
	"padding": "YQ==", "padding alone": "=", "stray bits": "YR", "more stray bits": "YWJ9YWJ9YX", "one character": "Y",
	"one character more": "YWJjZ", "line feed": "YW\nJj", "line feed at the end": "YWJj\n", "carriage return": "YW\rJj",
	"CRLF": "YWJj\r\n", "space": "YW Jj", "plus": "+A", "slash": "/w", "percent": "YW%3D", "beyond ASCII": "YWé", "NUL": "YW\x00j",
	"line feeds alone": "\n\n",
}

func TestBase64URLIsCanonical(t *testing.T) {
	for name, text := range notCanonical {
		t.Run(name, func(t *testing.T) {
			_, err := split(t, "h."+text+".s").Payload()
			require.ErrorIs(t, err, jose.ErrMalformed)
			_, err = split(t, "h.p."+text).Hash().Verify("RS256", nil)
			require.ErrorIs(t, err, jose.ErrMalformed)
			_, err = jose.ParseHeader(text)
			require.ErrorIs(t, err, jose.ErrMalformed)
		})
	}
	good := b64([]byte(`{"alg":"RS256","a":"?"}`))
	for name, text := range map[string]string{
		"line feed inside": good[:8] + "\n" + good[8:], "line feed before": "\n" + good, "line feed behind": good + "\n",
		"CRLF inside": good[:8] + "\r\n" + good[8:], "carriage return behind": good + "\r", "padding": good + "=",
		"space": good[:8] + " " + good[8:],
	} {
		_, err := jose.ParseHeader(text)
		require.ErrorIs(t, err, jose.ErrMalformed, "a header with a %s", name)
	}
}

// signingKeys returns a private key for each supported algorithm.
func signingKeys() map[string]any {
	return map[string]any{
		"RS256": rsaKey(), "RS384": rsaKey(), "RS512": rsaKey(), "PS256": rsaKey(), "PS384": rsaKey(), "PS512": rsaKey(),
		"ES256": p256(), "ES384": p384(), "ES512": p521(), "EdDSA": ed(), "Ed25519": ed(),
	}
}

func TestVerify(t *testing.T) {
	for algorithm, private := range signingKeys() {
		t.Run(algorithm, func(t *testing.T) {
			require.True(t, jose.SupportsAlgorithm(algorithm))
			s := parse(t, jwk(private, members{"kid": "k"}))
			token := issueToken(private, members{"alg": algorithm, "kid": "k"})
			by, err := verifyToken(t, s, token)
			require.NoError(t, err)
			require.True(t, s.Contains(by))
			keys, _ := s.Find(&jose.Header{Algorithm: algorithm})

			cut := strings.Split(token, ".")
			signature := must(base64.RawURLEncoding.DecodeString(cut[2]))
			for i := range signature {
				forged := append([]byte(nil), signature...)
				forged[i] ^= 1 << (i % 8)
				_, err := split(t, cut[0]+"."+cut[1]+"."+b64(forged)).Hash().Verify(algorithm, keys)
				require.ErrorIs(t, err, jose.ErrSignature, "bit flipped in byte %d", i)
				if i == 3 && len(signature) > 200 {
					// an RSA signature is long and its check takes long, so the test changes only
					// four of the bytes of an RSA signature
					break
				}
			}
			for name, forged := range map[string]string{
				"another payload":      cut[0] + "." + b64([]byte(`{"sub":"mallory"}`)) + "." + cut[2],
				"another header":       b64([]byte(`{"alg":"`+algorithm+`"}`)) + "." + cut[1] + "." + cut[2],
				"no payload":           cut[0] + ".." + cut[2],
				"no signature":         cut[0] + "." + cut[1] + ".",
				"a byte too few":       cut[0] + "." + cut[1] + "." + b64(signature[1:]),
				"a byte less":          cut[0] + "." + cut[1] + "." + b64(signature[:len(signature)-1]),
				"a zero more":          cut[0] + "." + cut[1] + "." + b64(append(signature, 0)),
				"a zero before":        cut[0] + "." + cut[1] + "." + b64(append([]byte{0}, signature...)),
				"twice":                cut[0] + "." + cut[1] + "." + b64(append(signature, signature...)),
				"zeros":                cut[0] + "." + cut[1] + "." + b64(make([]byte, len(signature))),
				"ones":                 cut[0] + "." + cut[1] + "." + b64([]byte(strings.Repeat("\xff", len(signature)))),
				"payload as signature": cut[0] + "." + cut[1] + "." + cut[1],
			} {
				_, err := split(t, forged).Hash().Verify(algorithm, keys)
				require.ErrorIs(t, err, jose.ErrSignature, name)
			}
			_, err = split(t, token).Hash().Verify(algorithm, nil)
			require.ErrorIs(t, err, jose.ErrSignature, "no keys")

			// The right key must not verify the token if Verify gets the name of another algorithm.
			for _, other := range []string{
				"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "none", "", "HS256",
				"ES256K", "Ed25519", "rs256", "RS1",
			} {
				if other != algorithm && !jose.ContainsAlgorithm([]string{other}, algorithm) {
					_, err := split(t, token).Hash().Verify(other, keys)
					require.ErrorIs(t, err, jose.ErrSignature, other)
				}
			}
		})
	}
}

// RFC 9864 gives EdDSA with Ed25519 the second name "Ed25519". The header of the token may use one
// of the names while the key has the other name.
func TestTwoNamesOfOneAlgorithm(t *testing.T) {
	names := []string{"EdDSA", "Ed25519"}
	for _, inToken := range names {
		for _, inKey := range append(names, "") {
			change := members{"kid": "k", "alg": inKey}
			if inKey == "" {
				change["alg"] = nil
			}
			by, err := verifyToken(t, parse(t, jwk(ed(), change)), issueToken(ed(), members{"alg": inToken, "kid": "k"}))
			require.NoError(t, err, "token %s, key %q", inToken, inKey)
			for _, later := range names {
				same := parse(t, jwk(ed(), change, members{"alg": later})).Contains(by)
				require.Equal(t, inKey != "", same, "key %q is called %q later", inKey, later)
			}
		}
		require.True(t, jose.ContainsAlgorithm([]string{"ES256", inToken}, "EdDSA"))
		require.True(t, jose.ContainsAlgorithm([]string{"ES256", inToken}, "Ed25519"))
		require.False(t, jose.ContainsAlgorithm([]string{"ES256", "RS256"}, inToken))
		require.False(t, jose.ContainsAlgorithm(nil, inToken))
	}
	require.False(t, jose.ContainsAlgorithm([]string{"none", ""}, "none"))
	twice := parse(t, jwk(ed(), members{"alg": "EdDSA"}), jwk(ed(), members{"alg": "Ed25519"}))
	require.Equal(t, 1, twice.Len(), "the same key, published under both names")
}

func TestOtherKeysDoNotVerify(t *testing.T) {
	for _, tt := range []struct {
		algorithm      string
		signer, public any
	}{{"RS256", rsaKey2(), rsaKey()}, {"PS256", rsaKey2(), rsaKey()}, {"ES256", p256b(), p256()}} {
		_, err := verifyToken(t, parse(t, jwk(tt.public, members{"kid": "k"})), issueToken(tt.signer, members{"alg": tt.algorithm, "kid": "k"}))
		require.ErrorIs(t, err, jose.ErrSignature, tt.algorithm)
	}
}

func TestKnown(t *testing.T) {
	for _, name := range []string{
		"none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "RS1", "rs256", "RS256 ", "eddsa", "ed25519", "ED25519", "Ed448", "RSA-OAEP", "dir",
	} {
		require.False(t, jose.SupportsAlgorithm(name), name)
		keys, known := parse(t, jwk(rsaKey(), members{"kid": "k"})).Find(&jose.Header{Algorithm: name, KeyID: "k"})
		require.Empty(t, keys, name)
		require.True(t, known, "a newer set doesn't help %s", name)
	}
}

// If signatures with a shared secret (HMAC) were supported, an attacker could use the issuer's
// public key as the secret and sign a token with it. So every such token is refused, whatever
// encoding of the public key is the secret.
func TestSymmetricConfusion(t *testing.T) {
	for name, private := range map[string]crypto.Signer{"RS256": rsaKey(), "ES256": p256(), "EdDSA": ed()} {
		public := jwk(private, members{"kid": "k"})
		s := parse(t, public)
		keys, _ := s.Find(&jose.Header{Algorithm: name, KeyID: "k"})
		require.Len(t, keys, 1)
		der := must(x509.MarshalPKIXPublicKey(private.Public()))
		asText := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		secrets := map[string][]byte{
			"DER": der, "PEM": asText, "PEM without the last line feed": bytes.TrimSpace(asText), "Base64": []byte(b64(der)),
			"JWK": []byte(public), "JWK Set": []byte(setOf(public)), "empty": nil,
		}
		switch key := private.Public().(type) {
		case *rsa.PublicKey:
			secrets["PKCS #1"] = x509.MarshalPKCS1PublicKey(key)
			secrets["PKCS #1 in PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: secrets["PKCS #1"]})
			secrets["modulus"] = key.N.Bytes()
		case *ecdsa.PublicKey:
			secrets["point"] = must(key.Bytes())
		case ed25519.PublicKey:
			secrets["point"] = key
		}
		for algorithm, newHash := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
			for encoded, secret := range secrets {
				input := b64([]byte(`{"alg":"`+algorithm+`","kid":"k"}`)) + "." + b64([]byte(`{}`))
				mac := hmac.New(newHash, secret)
				mac.Write([]byte(input))
				token := input + "." + b64(mac.Sum(nil))
				_, err := split(t, token).Hash().Verify(algorithm, keys)
				require.ErrorIs(t, err, jose.ErrSignature, "%s with %s as %s", algorithm, name, encoded)
				_, err = verifyToken(t, s, token)
				require.Error(t, err, "%s with %s as %s", algorithm, name, encoded)
			}
		}
	}
}

// An ECDSA signature consists of the numbers r and s at full length (RFC 7518, section 3.4).
// Signatures of any other form are refused.
func TestECDSASignatureForms(t *testing.T) {
	for algorithm, private := range map[string]*ecdsa.PrivateKey{"ES256": p256(), "ES384": p384(), "ES512": p521()} {
		t.Run(algorithm, func(t *testing.T) {
			s := parse(t, jwk(private))
			keys, _ := s.Find(&jose.Header{Algorithm: algorithm})
			input := b64([]byte(`{"alg":"`+algorithm+`"}`)) + "." + b64([]byte(`{}`))
			size := (private.Curve.Params().BitSize + 7) / 8
			try := func(signature []byte) error {
				_, err := split(t, input+"."+b64(signature)).Hash().Verify(algorithm, keys)
				return err
			}
			good := signText(private, algorithm, input)
			require.NoError(t, try(good))
			r, rest := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
			require.ErrorIs(t, try(must(asn1.Marshal(struct{ R, S *big.Int }{r, rest}))), jose.ErrSignature, "DER")
			n := private.Curve.Params().N
			join := func(r, s *big.Int) []byte {
				return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
			}
			require.ErrorIs(t, try(join(new(big.Int), rest)), jose.ErrSignature, "r = 0")
			require.ErrorIs(t, try(join(r, new(big.Int))), jose.ErrSignature, "s = 0")
			require.ErrorIs(t, try(join(n, rest)), jose.ErrSignature, "r = n")
			require.ErrorIs(t, try(join(r, n)), jose.ErrSignature, "s = n")
			require.ErrorIs(t, try(join(n, n)), jose.ErrSignature, "r = s = n")
			require.ErrorIs(t, try(join(rest, r)), jose.ErrSignature, "r and s swapped")
			wide := func(v *big.Int) []byte { return v.FillBytes(make([]byte, size+1)) }
			require.ErrorIs(t, try(append(wide(r), wide(rest)...)), jose.ErrSignature, "wider numbers")
		})
	}
}

// An ECDSA signature contains the numbers r and s. A number can be small, so that its first byte is
// zero. If the code handled such a number wrongly, it would refuse about one of 128 tokens with
// ES256.
func TestECDSASignaturesOfAllLengths(t *testing.T) {
	for algorithm, private := range map[string]*ecdsa.PrivateKey{"ES256": p256(), "ES384": p384(), "ES512": p521()} {
		keys, _ := parse(t, jwk(private)).Find(&jose.Header{Algorithm: algorithm})
		half := (private.Curve.Params().BitSize + 7) / 8
		short, high := 0, 0
		for i := 0; i < 200 || short < 2 || high < 2; i++ {
			require.Less(t, i, 20_000)
			input := b64([]byte(`{"alg":"`+algorithm+`"}`)) + "." + b64(fmt.Append(nil, i))
			signature := signText(private, algorithm, input)
			for _, number := range [][]byte{signature[:half], signature[half:]} {
				if number[0] == 0 {
					short++
				}
				if number[0] >= 0x80 || number[0] == 0 && number[1] >= 0x80 {
					high++
				}
			}
			_, err := split(t, input+"."+b64(signature)).Hash().Verify(algorithm, keys)
			require.NoError(t, err, "%s %x", algorithm, signature)
		}
	}
}

// The salt of a PSS signature must be as long as the hash (RFC 7518, section 3.5).
func TestPSSSaltLength(t *testing.T) {
	private := rsaKey()
	keys, _ := parse(t, jwk(private)).Find(&jose.Header{Algorithm: "PS256"})
	input := b64([]byte(`{"alg":"PS256"}`)) + "." + b64([]byte(`{}`))
	digest := sha256.Sum256([]byte(input))
	for salt, good := range map[int]bool{32: true, 1: false, 20: false, 31: false, 33: false, 64: false} {
		options := rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}
		signature, err := rsa.SignPSS(crand.Reader, private, crypto.SHA256, digest[:], &options)
		require.NoError(t, err)
		_, err = split(t, input+"."+b64(signature)).Hash().Verify("PS256", keys)
		require.Equal(t, good, err == nil, "a salt of %d bytes: %v", options.SaltLength, err)
	}
}

func TestPKCS1IsNotPSS(t *testing.T) {
	token := issueToken(rsaKey(), members{"alg": "PS256"})
	s := parse(t, jwk(rsaKey(), members{"alg": "RS256"}))
	keys, known := s.Find(&jose.Header{Algorithm: "PS256"})
	require.True(t, known)
	require.Empty(t, keys, "a key for RS256 does not fit PS256")
	all, _ := s.Find(&jose.Header{Algorithm: "RS256"})
	_, err := split(t, token).Hash().Verify("PS256", all)
	require.ErrorIs(t, err, jose.ErrSignature, "and it verifies no token of PS256")
}

func TestVerifyReturnsTheKeyThatSigned(t *testing.T) {
	s := parse(t, jwk(p256()), jwk(p256b()))
	keys, _ := s.Find(&jose.Header{Algorithm: "ES256"})
	require.Len(t, keys, 2)
	for i, private := range []*ecdsa.PrivateKey{p256(), p256b()} {
		by, err := split(t, issueToken(private, members{"alg": "ES256"})).Hash().Verify("ES256", keys)
		require.NoError(t, err)
		require.Same(t, keys[i], by)
	}
}

// Tokens are decoded in buffers that are used again for other tokens. A token that another
// goroutine decodes, or an earlier, longer token, must not change the result.
func TestScratchIsNotShared(t *testing.T) {
	huge := "h." + b64([]byte(strings.Repeat("x", 300<<10))) + ".s"
	s := parse(t, jwk(p256()))
	keys, _ := s.Find(&jose.Header{Algorithm: "ES256"})
	token := issueToken(p256(), members{"alg": "ES256"})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			want := strings.Repeat(string(rune('a'+i)), 1000*i)
			for range 50 {
				if i == 0 {
					if p, err := split(t, huge).Payload(); err != nil || len(p) != 300<<10 {
						t.Errorf("huge payload: %d bytes, %v", len(p), err)
					}
				}
				if p, err := split(t, "h."+b64([]byte(want))+".s").Payload(); err != nil || p != want {
					t.Errorf("payload of another: %.10q, %v", p, err)
				}
				if _, err := split(t, token).Hash().Verify("ES256", keys); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
