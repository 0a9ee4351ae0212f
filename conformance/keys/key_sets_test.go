package keys_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestJ5_WithoutKid(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	claims := issuer.Claims(xenaauthtest.Token{})
	bare := map[string]any{"alg": "ES256"}
	first, second, r := harness.NewSigner(t, "a"), harness.NewSigner(t, "b"), harness.RSASigner("c")
	t.Run("one key fits", func(t *testing.T) {
		harness.Publish(t, issuer, r.JWK(nil), first.JWK(nil))
		a := harness.Serve(t, issuer.Config())
		a.Passes(t, first.JWT(t, bare, claims))
		a.Refuses(t, second.JWT(t, bare, claims), xenaauth.ReasonSignature)
		a.Refuses(t, first.JWT(t, map[string]any{"alg": "EdDSA"}, claims), xenaauth.ReasonAlgorithm)
	})
	t.Run("two keys fit", func(t *testing.T) {
		harness.Publish(t, issuer, first.JWK(nil), r.JWK(nil), second.JWK(nil))
		a := harness.Serve(t, issuer.Config())
		a.Passes(t, first.JWT(t, bare, claims))
		a.Passes(t, second.JWT(t, bare, claims))
	})
	t.Run("many keys fit", func(t *testing.T) {
		var keys []map[string]any
		for i := range 8 {
			keys = append(keys, harness.NewSigner(t, fmt.Sprint(i)).JWK(nil))
		}
		harness.Publish(t, issuer, append(keys, first.JWK(nil))...)
		a := harness.Serve(t, issuer.Config())
		a.Passes(t, first.JWT(t, bare, claims))
		a.Passes(t, first.JWT(t, harness.With(bare, map[string]any{"kid": "a"}), claims))
		a.Refuses(t, second.JWT(t, bare, claims), xenaauth.ReasonSignature)
	})
	t.Run("keys without kid", func(t *testing.T) {
		harness.Publish(t, issuer, first.JWK(map[string]any{"kid": nil}))
		a := harness.Serve(t, issuer.Config())
		a.Passes(t, first.JWT(t, bare, claims))
	})
}

func TestJ5_ByKid(t *testing.T) {
	t.Parallel()
	// this test needs fake time, because a token with an unknown kid waits for a fetch of the keys
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		claims := issuer.Claims(xenaauthtest.Token{})
		first, second := harness.NewSigner(t, "a"), harness.NewSigner(t, "b")
		harness.Publish(t, issuer, first.JWK(nil), second.JWK(nil))
		a := harness.Mount(t, issuer.Config())
		token := func(s *harness.Signer, kid string) string {
			return s.JWT(t, map[string]any{"alg": "ES256", "kid": kid}, claims)
		}
		a.Passes(t, token(first, "a"))
		a.Passes(t, token(second, "b"))
		a.Refuses(t, token(first, "b"), xenaauth.ReasonSignature)
		a.Refuses(t, token(second, "a"), xenaauth.ReasonSignature)
		for _, kid := range []string{"A", "a ", "c", "../a", "a\u0000", "' or 1=1", strings.Repeat("k", 512)} {
			a.Refuses(t, token(first, kid), xenaauth.ReasonUnknownKey)
		}
	})
}

// A token that another issuer has signed is refused, even if the token has the kid of a trusted
// key.
func TestJ5_AnotherIssuersKey(t *testing.T) {
	t.Parallel()
	issuer, other := harness.NewIssuer(), harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	token := other.JWT(xenaauthtest.Token{Header: map[string]any{"kid": issuer.KeyID()}})
	a.Refuses(t, token, xenaauth.ReasonSignature)
	a.Refuses(t, other.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnknownKey)
}

func TestJ6_UnfitKeysAreNotUsed(t *testing.T) {
	t.Parallel()
	ec, r := harness.NewSigner(t, "ec"), harness.RSASigner("rsa")
	good := harness.NewSigner(t, "good")
	small := newSmallRSASigner(t)
	exponent := func(e ...byte) map[string]any { return map[string]any{"e": harness.Base64(e)} }
	for name, c := range map[string]struct {
		signer *harness.Signer
		alg    string
		jwk    map[string]any
	}{
		"use enc":             {ec, "ES256", ec.JWK(map[string]any{"use": "enc"})},
		"use unknown":         {ec, "ES256", ec.JWK(map[string]any{"use": "SIG"})},
		"key_ops sign":        {ec, "ES256", ec.JWK(map[string]any{"key_ops": []string{"sign", "encrypt"}})},
		"key_ops none":        {ec, "ES256", ec.JWK(map[string]any{"key_ops": []string{}})},
		"key_ops no list":     {ec, "ES256", ec.JWK(map[string]any{"key_ops": 7})},
		"kty":                 {ec, "ES256", ec.JWK(map[string]any{"kty": "RSA"})},
		"kty case":            {ec, "ES256", ec.JWK(map[string]any{"kty": "ec"})},
		"kty missing":         {ec, "ES256", ec.JWK(map[string]any{"kty": nil})},
		"kty oct":             {ec, "ES256", ec.JWK(map[string]any{"kty": "oct"})},
		"crv":                 {ec, "ES256", ec.JWK(map[string]any{"crv": "P-384"})},
		"crv secp256k1":       {ec, "ES256", ec.JWK(map[string]any{"crv": "secp256k1"})},
		"crv missing":         {ec, "ES256", ec.JWK(map[string]any{"crv": nil})},
		"off the curve":       {ec, "ES256", ec.JWK(map[string]any{"y": ec.JWK(nil)["x"]})},
		"at infinity":         {ec, "ES256", ec.JWK(map[string]any{"x": harness.Base64(make([]byte, 32)), "y": harness.Base64(make([]byte, 32))})},
		"x, zero in front":    {ec, "ES256", ec.JWK(map[string]any{"x": prependZero(t, ec, "x")})},
		"y, zero in front":    {ec, "ES256", ec.JWK(map[string]any{"y": prependZero(t, ec, "y")})},
		"e, zero in front":    {r, "RS256", r.JWK(exponent(0, 1, 0, 1))},
		"x missing":           {ec, "ES256", ec.JWK(map[string]any{"x": nil})},
		"x padded":            {ec, "ES256", ec.JWK(map[string]any{"x": ec.JWK(nil)["x"].(string) + "="})},
		"x a number":          {ec, "ES256", ec.JWK(map[string]any{"x": 5})},
		"alg of another type": {ec, "ES256", ec.JWK(map[string]any{"alg": "RS256"})},
		"alg none":            {ec, "ES256", ec.JWK(map[string]any{"alg": "none"})},
		"alg HS256":           {r, "RS256", r.JWK(map[string]any{"alg": "HS256"})},
		"alg RSA-OAEP":        {r, "RS256", r.JWK(map[string]any{"alg": "RSA-OAEP"})},
		"RSA 1024":            {small, "RS256", small.JWK(nil)},
		"RSA even exponent":   {r, "RS256", r.JWK(exponent(4))},
		"RSA exponent 1":      {r, "RS256", r.JWK(exponent(1))},
		"RSA exponent 0":      {r, "RS256", r.JWK(exponent(0))},
		"RSA exponent absent": {r, "RS256", r.JWK(map[string]any{"e": nil})},
		// the low 64 bits of this RSA exponent are the number 65537
		"RSA huge exponent":   {r, "RS256", r.JWK(exponent(1, 0, 0, 0, 0, 0, 1, 0, 1))},
		"RSA even modulus":    {r, "RS256", r.JWK(map[string]any{"n": harness.Base64(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())})},
		"RSA huge modulus":    {r, "RS256", r.JWK(map[string]any{"n": harness.Base64([]byte(strings.Repeat("\xff", 2000)))})},
		"private":             {r, "RS256", r.JWK(map[string]any{"d": "AQAB"})},
		"private EC":          {ec, "ES256", ec.JWK(map[string]any{"d": harness.Base64(make([]byte, 32))})},
		"symmetric":           {ec, "ES256", ec.JWK(map[string]any{"k": "AAAA"})},
		"twice the same name": {ec, "ES256", ec.JWK(map[string]any{"USE": "sig"})},
		"kid too long":        {ec, "ES256", ec.JWK(map[string]any{"kid": strings.Repeat("k", 513)})},
		"kid a number":        {ec, "ES256", ec.JWK(map[string]any{"kid": 7})},
	} {
		t.Run(name, func(t *testing.T) {
			// this test needs fake time: a token with an unknown kid waits for a fetch of the keys
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				claims := issuer.Claims(xenaauthtest.Token{})
				harness.Publish(t, issuer, c.jwk, good.JWK(nil))
				a := harness.Mount(t, issuer.Config())
				header := map[string]any{"alg": c.alg, "kid": c.signer.KeyID}
				a.Refuses(t, c.signer.JWT(t, header, claims), xenaauth.ReasonUnknownKey)
				// The key set has one bad key and one good key. The library checks a token without
				// kid with the good key, because any key may be the key of this token.
				delete(header, "kid")
				require.Contains(t, []xenaauth.Reason{xenaauth.ReasonSignature, xenaauth.ReasonAlgorithm},
					harness.ReasonOf(t, a.Validator, c.signer.JWT(t, header, claims)))
				// the good key still verifies the tokens that were signed with it
				a.Passes(t, good.JWT(t, map[string]any{"alg": "ES256", "kid": "good"}, claims))
			})
		})
	}
}

// prependZero returns a number from the JWK of a signer, encoded again with a zero byte in front.
func prependZero(t *testing.T, s *harness.Signer, member string) string {
	t.Helper()
	number, err := base64.RawURLEncoding.DecodeString(s.JWK(nil)[member].(string))
	require.NoError(t, err)
	return harness.Base64(append([]byte{0}, number...))
}

// newSmallRSASigner returns a signer whose RSA key is shorter than the library accepts.
func newSmallRSASigner(t *testing.T) *harness.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return &harness.Signer{KeyID: "small", Key: key}
}

func TestJ6_GoodKeysInEveryForm(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	claims := issuer.Claims(xenaauthtest.Token{})
	ec := harness.NewSigner(t, "ec")
	expired := base64.StdEncoding.EncodeToString(harness.SelfSigned(t, ec))
	for name, changes := range map[string]map[string]any{
		"plain": nil, "no use": {"use": nil}, "null use": {"use": harness.RawJSON("null")}, "key_ops": {"key_ops": []string{"verify"}, "use": nil},
		"alg": {"alg": "ES256"}, "null alg": {"alg": harness.RawJSON("null")}, "x5t": {"x5t": "abc", "x5t#S256": "def"},
		"expired certificate": {"x5c": []string{expired}}, "garbage certificate": {"x5c": []string{"garbage"}},
		"strange certificate": {"x5c": 7, "x5u": "http://169.254.169.254/", "exp": 1},
	} {
		t.Run(name, func(t *testing.T) {
			harness.Publish(t, issuer, ec.JWK(changes))
			harness.Serve(t, issuer.Config()).Passes(t, ec.JWT(t, map[string]any{"alg": "ES256", "kid": "ec"}, claims))
		})
	}
}

func TestJ16_OneBadKeySpoilsNoOther(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	claims := issuer.Claims(xenaauthtest.Token{})
	good := harness.NewSigner(t, "good")
	key := string(harness.JSON(t, good.JWK(nil)))
	for _, bad := range []string{
		`{}`, `null`, `7`, `"key"`, `[]`, `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}`, `{"kty":7}`, `{"kty":"RSA"}`, `{"kty":"oct","k":"AAAA"}`,
		`{"kty":"OKP","crv":"X25519","x":"AA"}`, `{"kty":"OKP","crv":"Ed25519","x":"AA"}`, `{"kty":"EC","kty":"EC"}`, `{"kty":"RSA","n":"!","e":"AQAB"}`,
	} {
		issuer.SetJWKS([]byte(`{"keys":[` + bad + `,` + key + `,` + bad + `],"extra":{"a":[1]}}`))
		harness.Serve(t, issuer.Config()).Passes(t, good.JWT(t, map[string]any{"alg": "ES256", "kid": "good"}, claims))
	}
}

func TestJ16_OneKidForSeveralKeys(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	claims := issuer.Claims(xenaauthtest.Token{})
	ec, r := harness.NewSigner(t, "same"), harness.RSASigner("same")
	second := harness.NewSigner(t, "same")
	harness.Publish(t, issuer, r.JWK(nil), ec.JWK(nil), second.JWK(nil), ec.JWK(nil))
	a := harness.Serve(t, issuer.Config())
	for alg, s := range map[string]*harness.Signer{"ES256": ec, "RS256": r, "PS256": r} {
		a.Passes(t, s.JWT(t, map[string]any{"alg": alg, "kid": "same"}, claims))
	}
	a.Passes(t, second.JWT(t, map[string]any{"alg": "ES256", "kid": "same"}, claims))
	a.Refuses(t, harness.NewSigner(t, "same").JWT(t, map[string]any{"alg": "ES256", "kid": "same"}, claims), xenaauth.ReasonSignature)
}

func TestJ16_InvalidKeySets(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	good := harness.NewSigner(t, "good")
	key := string(harness.JSON(t, good.JWK(nil)))
	token := good.JWT(t, map[string]any{"alg": "ES256", "kid": "good"}, issuer.Claims(xenaauthtest.Token{}))
	many := func(n int) string {
		return `{"keys":[` + strings.Repeat(`{"kty":"none"},`, n-1) + key + `]}`
	}
	for name, set := range map[string]string{
		"empty object": `{}`, "no keys": `{"keys":[]}`, "null": `{"keys":null}`, "object": `{"keys":{}}`, "array": `[` + key + `]`,
		"a key itself": key, "twice": `{"keys":[` + key + `],"keys":[]}`, "cut": `{"keys":[` + key, "trailing": `{"keys":[` + key + `]}x`,
		"case": `{"Keys":[` + key + `]}`, "no usable one": `{"keys":[{"kty":"oct","k":"AAAA"}]}`, "BOM": "\ufeff" + `{"keys":[` + key + `]}`,
		"too many": many(1001), "HTML": "<html></html>", "deep": `{"keys":[` + key + `],"x":` + harness.DeepJSON("[", "]", 2000) + `}`,
		"too long": `{"keys":[` + key + `]` + strings.Repeat(" ", 1<<20) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			issuer.SetJWKS([]byte(set))
			harness.Serve(t, issuer.Config()).Refuses(t, token, xenaauth.ReasonUnavailable)
		})
	}
	issuer.SetJWKS([]byte(many(1000)))
	harness.Serve(t, issuer.Config()).Passes(t, token)
}
