package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// A limitVerifier verifies tokens with the least possible work: it decodes the payload and the
// signature, computes the hash, and calls the standard library. No verifier that uses the standard
// library can take less time.
type limitVerifier struct {
	verify    func(input, signature []byte) bool
	payload   [1 << 10]byte
	signature [512]byte
}

func newLimitVerifier(f *fixture) *limitVerifier { return limitVerifierFor(f.publicKey()) }

// limitVerifierFor returns a limitVerifier for the tokens of one issuer. The parameter public is
// the public key of the issuer, for the algorithm RS256, ES256 or EdDSA.
func limitVerifierFor(public crypto.PublicKey) *limitVerifier {
	l := new(limitVerifier)
	switch k := public.(type) {
	case *rsa.PublicKey:
		l.verify = func(input, signature []byte) bool {
			d := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, d[:], signature) == nil
		}
	case *ecdsa.PublicKey:
		l.verify = func(input, signature []byte) bool {
			d := sha256.Sum256(input)
			var r, s big.Int
			return ecdsa.Verify(k, d[:], r.SetBytes(signature[:32]), s.SetBytes(signature[32:]))
		}
	case ed25519.PublicKey:
		l.verify = func(input, signature []byte) bool { return ed25519.Verify(k, input, signature) }
	}
	return l
}

// limitVerifier.verifyToken reports whether the signature of a token is valid. It does no other
// check.
func (l *limitVerifier) verifyToken(token []byte) bool {
	first := slices.Index(token, '.')
	second := first + 1 + slices.Index(token[first+1:], '.')
	if _, err := base64.RawURLEncoding.Decode(l.payload[:], token[first+1:second]); err != nil {
		return false
	}
	n, err := base64.RawURLEncoding.Decode(l.signature[:], token[second+1:])
	return err == nil && l.verify(token[:second], l.signature[:n])
}

// fixture.publicKey returns the public key that verifies the tokens of this test issuer. It reads
// the key from the published key set.
func (f *fixture) publicKey() crypto.PublicKey {
	var set struct {
		Keys []struct{ Kid, N, X, Y string }
	}
	must(json.Unmarshal(f.JWKS(), &set))
	number := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		must(err)
		return b
	}
	for _, k := range set.Keys {
		if k.Kid != f.KeyID() {
			continue
		}
		switch f.algorithm {
		case "RS256":
			return &rsa.PublicKey{N: new(big.Int).SetBytes(number(k.N)), E: 65537}
		case "ES256":
			point := slices.Concat([]byte{4}, number(k.X), number(k.Y))
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
			must(err)
			return public
		default:
			return ed25519.PublicKey(number(k.X))
		}
	}
	panic("the signing key is not published")
}

func byteTokens(tokens []string) [][]byte {
	all := make([][]byte, len(tokens))
	for i, t := range tokens {
		all[i] = []byte(strings.Clone(t))
	}
	return all
}

// BenchmarkLimit measures the least time that a verifier with Go's standard cryptography can take
// for one token.
func BenchmarkLimit(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run("alg="+algorithm, func(b *testing.B) {
			f := issuerFor(algorithm)
			tokens := byteTokens(f.tokens(coldTokens))
			l := newLimitVerifier(f)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if !l.verifyToken(tokens[i]) {
					b.Fatal("bad signature")
				}
				i = (i + 1) % len(tokens)
			}
			b.ReportMetric(float64(len(tokens[0])), "token-B")
		})
	}
}

// blockSize is the number of requests in one measurement. A benchmark that compares two kinds of
// requests measures them in turn, one block of requests at a time. A block takes about a
// millisecond, and in that time the load of a shared machine changes little.
const blockSize = 40

// comparePair calls runBase and runOther in turn. It reports how many times longer an operation of
// runOther takes than an operation of runBase. The result is the median of all rounds. Other load
// on the machine slows both functions down, so it changes this ratio little.
func comparePair(b *testing.B, unit string, baseOps int, runBase func(), otherOps int, runOther func()) {
	b.Helper()
	runBase()
	runOther()
	var ratios []float64
	for b.Loop() {
		at := time.Now()
		runBase()
		one := time.Since(at)
		at = time.Now()
		runOther()
		two := time.Since(at)
		ratios = append(ratios, float64(two)/float64(otherOps)/(float64(one)/float64(baseOps)))
	}
	b.ReportMetric(median(ratios), unit)
	b.ReportMetric(0, "ns/op")
}

func median(numbers []float64) float64 {
	slices.Sort(numbers)
	return numbers[len(numbers)/2]
}
