package jose_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// makeModulus returns an odd number with the given number of bits. The number need not be a product
// of two primes, because no test factors it.
func makeModulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	return b64(n.SetBit(n, 0, 1).Bytes())
}

func exponent(text string) string {
	e, _ := new(big.Int).SetString(text, 0)
	return b64(e.Bytes())
}

// flipCoordinate returns the coordinate y of an elliptic-curve key with one bit changed, so that
// the point is not on the curve.
func flipCoordinate(private *ecdsa.PrivateKey) string {
	point := must(private.PublicKey.Bytes())
	point[len(point)-1] ^= 1
	return b64(point[len(point)/2+1:])
}

// withZeroByte returns one member of the JWK of a key, for example the modulus n, with an
// additional zero byte in front. RFC 7518 forbids this form, although it has the same value.
func withZeroByte(private any, member string) string { return withZeroBytes(1, private, member) }

func withZeroBytes(n int, private any, member string) string {
	var m map[string]string
	must(0, json.Unmarshal([]byte(jwk(private)), &m))
	return b64(append(make([]byte, n), must(base64.RawURLEncoding.DecodeString(m[member]))...))
}

// cutZero creates an elliptic-curve key whose coordinate x begins with a zero byte, and returns the
// key with this byte cut off.
func cutZero() string {
	for {
		private := must(ecdsa.GenerateKey(p256().Curve, rand.Reader))
		point := must(private.PublicKey.Bytes())
		if point[1] == 0 {
			return jwk(private, members{"x": b64(point[2:33])})
		}
	}
}

func usableKeys() map[string]string {
	return map[string]string{
		"RSA": jwk(rsaKey()), "P-256": jwk(p256()), "P-384": jwk(p384()), "P-521": jwk(p521()), "Ed25519": jwk(ed()),
		"use sig":                     jwk(p256(), members{"use": "sig"}),
		"use null":                    jwk(p256(), members{"use": json.RawMessage("null")}),
		"key_ops verify":              jwk(p256(), members{"key_ops": []string{"verify"}}),
		"key_ops with more":           jwk(p256(), members{"key_ops": []string{"sign", "verify"}}),
		"key_ops null":                jwk(p256(), members{"key_ops": json.RawMessage("null")}),
		"use and key_ops":             jwk(p256(), members{"use": "sig", "key_ops": []string{"verify"}}),
		"alg that fits":               jwk(p256(), members{"alg": "ES256"}),
		"alg PS512":                   jwk(rsaKey(), members{"alg": "PS512"}),
		"alg EdDSA":                   jwk(ed(), members{"alg": "EdDSA"}),
		"alg Ed25519":                 jwk(ed(), members{"alg": "Ed25519"}),
		"alg null":                    jwk(p256(), members{"alg": json.RawMessage("null")}),
		"d null":                      jwk(p256(), members{"d": json.RawMessage("null")}),
		"certificate that is none":    jwk(rsaKey(), members{"x5c": []string{"AAAA"}, "x5t": "t", "x5u": "https://evil.example"}),
		"certificate of another type": jwk(rsaKey(), members{"x5c": 1, "x5t#S256": []int{1}}),
		"unknown members":             jwk(p256(), members{"exp": 1, "nbf": "x", "ext": true, "a": members{"d": "x"}}),
		"longest kid":                 jwk(p256(), members{"kid": strings.Repeat("k", 512)}),
		"modulus as a signed number":  jwk(rsaKey(), members{"n": withZeroByte(rsaKey(), "n")}),
		"RSA of 2048 bits":            jwk(rsaKey(), members{"n": makeModulus(2048)}),
		"RSA of 2049 bits":            jwk(rsaKey(), members{"n": makeModulus(2049)}),
		"RSA of 8192 bits":            jwk(rsaKey(), members{"n": makeModulus(8192)}),
		"exponent 3":                  jwk(rsaKey(), members{"e": exponent("3")}),
		"exponent 2^31-1":             jwk(rsaKey(), members{"e": exponent("0x7fffffff")}),
		"RSA key with a curve":        jwk(rsaKey(), members{"crv": "P-256"}),
		"space":                       "\n\t" + strings.ReplaceAll(jwk(p256()), ",", " ,\n"),
	}
}

func unusableKeys() map[string]string {
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader))
	list := map[string]string{
		"no object": `1`, "null": `null`, "string": `"key"`, "array": `[]`, "empty": `{}`,
		"no kty":                     jwk(p256(), members{"kty": nil}),
		"kty null":                   jwk(p256(), members{"kty": json.RawMessage("null")}),
		"kty a number":               jwk(p256(), members{"kty": 1}),
		"kty unknown":                jwk(p256(), members{"kty": "ec"}),
		"kty of another key":         jwk(p256(), members{"kty": "RSA"}),
		"symmetric":                  `{"kty":"oct","k":"c2VjcmV0"}`,
		"symmetric for HMAC":         `{"kty":"oct","k":"c2VjcmV0","alg":"HS256","use":"sig"}`,
		"k in a public key":          jwk(p256(), members{"k": "c2VjcmV0"}),
		"use enc":                    jwk(rsaKey(), members{"use": "enc"}),
		"use empty":                  jwk(rsaKey(), members{"use": ""}),
		"use in capitals":            jwk(rsaKey(), members{"use": "SIG"}),
		"use a list":                 jwk(rsaKey(), members{"use": []string{"sig"}}),
		"key_ops without verify":     jwk(rsaKey(), members{"key_ops": []string{"encrypt", "wrapKey"}}),
		"key_ops empty":              jwk(rsaKey(), members{"key_ops": []string{}}),
		"key_ops of numbers":         jwk(rsaKey(), members{"key_ops": []int{1}}),
		"use sig, key_ops not":       jwk(rsaKey(), members{"use": "sig", "key_ops": []string{"sign"}}),
		"alg of encryption":          jwk(rsaKey(), members{"alg": "RSA-OAEP"}),
		"alg none":                   jwk(rsaKey(), members{"alg": "none"}),
		"alg HS256":                  jwk(rsaKey(), members{"alg": "HS256"}),
		"alg of another type":        jwk(rsaKey(), members{"alg": "ES256"}),
		"alg of another curve":       jwk(p256(), members{"alg": "ES384"}),
		"alg of EC for Ed25519":      jwk(ed(), members{"alg": "ES256"}),
		"alg of RSA for EC":          jwk(p256(), members{"alg": "RS256"}),
		"alg a number":               jwk(p256(), members{"alg": 1}),
		"kid a number":               jwk(p256(), members{"kid": 1}),
		"kid too long":               jwk(p256(), members{"kid": strings.Repeat("k", 513)}),
		"x5t too long":               jwk(p256(), members{"x5t": strings.Repeat("k", 513)}),
		"RSA of 1024 bits":           jwk(rsaKey(), members{"n": makeModulus(1024)}),
		"RSA of 2047 bits":           jwk(rsaKey(), members{"n": makeModulus(2047)}),
		"RSA of 8193 bits":           jwk(rsaKey(), members{"n": makeModulus(8193)}),
		"RSA of 65536 bits":          jwk(rsaKey(), members{"n": makeModulus(65536)}),
		"even modulus":               jwk(rsaKey(), members{"n": b64(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())}),
		"no modulus":                 jwk(rsaKey(), members{"n": nil}),
		"empty modulus":              jwk(rsaKey(), members{"n": ""}),
		"modulus a number":           jwk(rsaKey(), members{"n": 12345}),
		"no exponent":                jwk(rsaKey(), members{"e": nil}),
		"exponent 0":                 jwk(rsaKey(), members{"e": "AA"}),
		"exponent 1":                 jwk(rsaKey(), members{"e": exponent("1")}),
		"exponent 2":                 jwk(rsaKey(), members{"e": exponent("2")}),
		"exponent 65536":             jwk(rsaKey(), members{"e": exponent("65536")}),
		"exponent 2^31+1":            jwk(rsaKey(), members{"e": exponent("0x80000001")}),
		"exponent 2^32+1":            jwk(rsaKey(), members{"e": exponent("0x100000001")}),
		"exponent 2^63+1":            jwk(rsaKey(), members{"e": exponent("0x8000000000000001")}),
		"exponent 2^64+65537":        jwk(rsaKey(), members{"e": exponent("0x10000000000010001")}),
		"exponent as a number":       jwk(rsaKey(), members{"e": 65537}),
		"point beside the curve":     jwk(p256(), members{"y": flipCoordinate(p256())}),
		"P-384 beside the curve":     jwk(p384(), members{"y": flipCoordinate(p384())}),
		"P-521 beside the curve":     jwk(p521(), members{"y": flipCoordinate(p521())}),
		"point of another curve":     jwk(p256(), members{"crv": "P-384"}),
		"the point at infinity":      jwk(p256(), members{"x": "AA", "y": "AA"}),
		"coordinate beyond p":        jwk(p256(), members{"x": b64([]byte(strings.Repeat("\xff", 32)))}),
		"coordinate far beyond p":    jwk(p256(), members{"x": b64([]byte(strings.Repeat("\xff", 1000)))}),
		"x with a zero in front":     jwk(p256(), members{"x": withZeroByte(p256(), "x")}),
		"y with a zero in front":     jwk(p256(), members{"y": withZeroByte(p256(), "y")}),
		"P-384, zero in front of x":  jwk(p384(), members{"x": withZeroByte(p384(), "x")}),
		"P-521, zero in front of y":  jwk(p521(), members{"y": withZeroByte(p521(), "y")}),
		"x without its first zero":   cutZero(),
		"modulus, two in front":      jwk(rsaKey(), members{"n": withZeroBytes(2, rsaKey(), "n")}),
		"exponent, zero in front":    jwk(rsaKey(), members{"e": withZeroByte(rsaKey(), "e")}),
		"Ed25519, zero in front":     jwk(ed(), members{"x": withZeroByte(ed(), "x")}),
		"alg Ed25519 for EC":         jwk(p256(), members{"alg": "Ed25519"}),
		"alg Ed448":                  jwk(ed(), members{"alg": "Ed448"}),
		"alg Ed25519 in capitals":    jwk(ed(), members{"alg": "ED25519"}),
		"no x":                       jwk(p256(), members{"x": nil}),
		"no y":                       jwk(p256(), members{"y": nil}),
		"no crv":                     jwk(p256(), members{"crv": nil}),
		"crv unknown":                jwk(p256(), members{"crv": "P-224"}),
		"crv secp256k1":              jwk(p256(), members{"crv": "secp256k1"}),
		"crv of an OKP":              jwk(p256(), members{"crv": "Ed25519"}),
		"X25519":                     `{"kty":"OKP","crv":"X25519","x":"` + b64(x25519.PublicKey().Bytes()) + `"}`,
		"Ed448":                      `{"kty":"OKP","crv":"Ed448","x":"` + b64(make([]byte, 57)) + `"}`,
		"OKP of an EC curve":         jwk(ed(), members{"crv": "P-256"}),
		"Ed25519 too short":          jwk(ed(), members{"x": b64(make([]byte, 31))}),
		"Ed25519 too long":           jwk(ed(), members{"x": b64(make([]byte, 33))}),
		"Ed25519 empty":              jwk(ed(), members{"x": ""}),
		"repeated member":            strings.Replace(jwk(p256()), "{", `{"kty":"EC",`, 1),
		"member in capitals":         strings.Replace(jwk(p256()), "{", `{"KTY":"oct",`, 1),
		"repeated member inside":     strings.Replace(jwk(p256()), "{", `{"a":{"b":1,"b":2},`, 1),
		"kid with the Kelvin sign":   strings.Replace(jwk(p256()), "{", "{\"\u212aid\":\"x\",", 1),
		"standard base64 in n":       jwk(rsaKey(), members{"n": "+/" + makeModulus(2048)}),
		"padding in e":               jwk(rsaKey(), members{"e": "AQAB===="}),
		"stray bits in e":            jwk(rsaKey(), members{"e": "AR"}),
		"line break in x":            jwk(p256(), members{"x": b64(make([]byte, 16)) + "\n" + b64(make([]byte, 16))}),
		"line break behind x":        jwk(ed(), members{"x": b64(make([]byte, 32)) + "\n"}),
		"private, as a JWK has them": jwk(p256(), members{"d": "AQ"}),
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		list["private "+name] = jwk(rsaKey(), members{name: "AQ"})
		list["private and empty "+name] = jwk(rsaKey(), members{name: ""})
	}
	list["private oth, an array"] = jwk(rsaKey(), members{"oth": []members{{"r": "AQ"}}})
	return list
}

func TestKeys(t *testing.T) {
	for name, key := range usableKeys() {
		s, err := jose.ParseKeySet(setOf(key))
		require.NoError(t, err, name)
		require.Equal(t, 1, s.Len(), name)
		require.Empty(t, s.Skipped, name)
	}
}

// A bad key does not affect the other keys of a key set. The test puts the bad key before the good
// key, after it, and both.
func TestUnusableKeysAreSkipped(t *testing.T) {
	good := jwk(p256b(), members{"kid": "good"})
	token := issueToken(p256b(), members{"alg": "ES256", "kid": "good"})
	for name, bad := range unusableKeys() {
		_, err := jose.ParseKeySet(setOf(bad))
		require.ErrorContains(t, err, "no usable key", name)
		for _, set := range []string{setOf(bad, good), setOf(good, bad), setOf(bad, good, bad)} {
			s, err := jose.ParseKeySet(set)
			require.NoError(t, err, name)
			require.Equal(t, 1, s.Len(), name)
			require.NotEmpty(t, s.Skipped, name)
			_, err = verifyToken(t, s, token)
			require.NoError(t, err, name)
		}
	}
}

func TestSkippedKeysAreNamedByTheirPlace(t *testing.T) {
	s := parse(t, `1`, jwk(p256()), `{"kty":"oct","k":"AQ"}`)
	require.Len(t, s.Skipped, 2)
	require.Contains(t, s.Skipped[0], "key 1: ")
	require.Contains(t, s.Skipped[1], "key 3: private or symmetric")
	many := append(slices.Repeat([]string{`1`}, 500), jwk(p256()))
	require.Len(t, parse(t, many...).Skipped, 8, "the number of reasons is bounded")
}

func TestParseKeySetRefuses(t *testing.T) {
	good := jwk(p256())
	for name, tt := range map[string]struct{ text, why string }{
		"nothing":                 {``, "strict JSON"},
		"array":                   {`[` + good + `]`, "strict JSON"},
		"key":                     {good, `"keys" is missing`},
		"empty object":            {`{}`, `"keys" is missing`},
		"keys empty":              {`{"keys":[]}`, "no usable key"},
		"keys null":               {`{"keys":null}`, "strict JSON"},
		"keys an object":          {`{"keys":{}}`, "strict JSON"},
		"keys twice":              {`{"keys":[` + good + `],"keys":[` + good + `]}`, "strict JSON"},
		"keys in capitals":        {`{"KEYS":[` + good + `]}`, "strict JSON"},
		"keys in capitals, too":   {`{"keys":[` + good + `],"Keys":[]}`, "strict JSON"},
		"keys with a Kelvin":      {"{\"\u212aeys\":[" + good + `]}`, "strict JSON"},
		"trailing data":           {setOf(good) + `x`, "strict JSON"},
		"cut off":                 {strings.TrimSuffix(setOf(good), "}"), "strict JSON"},
		"no JSON in a key":        {setOf(good, `{"kty":}`), "strict JSON"},
		"no JSON in a member":     {`{"a":x,"keys":[` + good + `]}`, "strict JSON"},
		"comma at the end":        {`{"keys":[` + good + `,]}`, "strict JSON"},
		"1001 keys":               {setOf(append(slices.Repeat([]string{`{}`}, 1000), good)...), "more than 1000"},
		"1001 keys, a good first": {setOf(append([]string{good}, slices.Repeat([]string{`1`}, 1000)...)...), "more than 1000"},
	} {
		s, err := jose.ParseKeySet(tt.text)
		require.ErrorContains(t, err, tt.why, name)
		require.Nil(t, s, name)
	}
	s := parse(t, append(slices.Repeat([]string{`{}`}, 999), good)...)
	require.Equal(t, 1, s.Len(), "1000 keys are not too many")
	s, err := jose.ParseKeySet(`{"a":[{"keys":[]}],"keys":[` + good + `],"b":1}`)
	require.NoError(t, err, "other members")
	require.Equal(t, 1, s.Len())
}

// tryIssue returns a token that is signed with the key. ok is false if the key can't be used with
// the algorithm.
func tryIssue(private any, algorithm string) (token string, ok bool) {
	k, isEC := private.(*ecdsa.PrivateKey)
	if isEC != (algorithm[0] == 'E') || isEC && (algorithm != "ES256" || k.Curve != p256().Curve) {
		return "", false
	}
	return issueToken(private, members{"alg": algorithm}), true
}

// FuzzKeySet adds a random key to a set with a good key. If the set is valid JSON, the good key
// must be found.
func FuzzKeySet(f *testing.F) {
	for _, keys := range []map[string]string{usableKeys(), unusableKeys()} {
		for _, name := range slices.Sorted(maps.Keys(keys)) {
			if len(keys[name]) < 2000 {
				f.Add(keys[name])
			}
		}
	}
	good := jwk(p256b(), members{"kid": "good key"})
	token := issueToken(p256b(), members{"alg": "ES256", "kid": "good key"})
	f.Fuzz(func(t *testing.T, stranger string) {
		_, _ = jose.ParseKeySet(stranger)
		for _, text := range []string{setOf(stranger, good), setOf(good, stranger)} {
			s, err := jose.ParseKeySet(text)
			if !json.Valid([]byte(text)) {
				require.Error(t, err)
				continue
			}
			strict := claims.Object(`{"a":[`+stranger+`]}`, nil, func(_ string, d *claims.Decoder) error {
				return d.Elements(func(d *claims.Decoder) error {
					if _, ok := d.Lax(); !ok {
						return claims.ErrSyntax
					}
					return nil
				})
			})
			// The key set is refused in these cases: the text is not UTF-8, has half of a surrogate
			// pair, or is nested too deeply.
			if strict != nil {
				require.Error(t, err)
				continue
			}
			if err != nil {
				require.ErrorContains(t, err, "more than 1000 keys")
				continue
			}
			_, err = verifyToken(t, s, token)
			require.NoError(t, err)
		}
	})
}
