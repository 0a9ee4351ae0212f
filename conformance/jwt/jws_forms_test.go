package jwt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestJ7_CriticalExtensions(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	for _, extension := range []map[string]any{
		{"crit": []string{"exp"}, "exp": 1}, {"crit": []string{}}, {"crit": "exp"}, {"crit": harness.RawJSON("null")}, {"crit": []string{"b64"}, "b64": false},
		{"crit": []string{"b64"}, "b64": true}, {"b64": false}, {"b64": true}, {"b64": harness.RawJSON("null")}, {"crit": []string{"alg"}},
		{"crit": []string{"http://example.invalid/UNDEFINED"}, "http://example.invalid/UNDEFINED": true},
	} {
		s.Refuses(t, s.signer.JWT(t, harness.With(s.header(), extension), s.claims()), xenaauth.ReasonAlgorithm)
	}
	h := harness.With(s.header(), map[string]any{"b64": false, "crit": []string{"b64"}})
	s.Refuses(t, s.signer.Token(t, "ES256", harness.Base64(harness.JSON(t, h)), "plain"), xenaauth.ReasonAlgorithm)
	s.Passes(t, s.signer.JWT(t, harness.With(s.header(), map[string]any{"unknown": 1}), s.claims()))
}

func TestJ8_KeysInTheHeader(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	evil := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer evil.Close()
	attacker := harness.NewSigner(t, "key-1")
	mine := attacker.JWK(map[string]any{"alg": "ES256"})
	harness.Publish(t, evil, mine)
	for name, extra := range map[string]map[string]any{
		"jwk":  {"jwk": mine},
		"jku":  {"jku": evil.Addr() + "/.well-known/openid-configuration/jwks"},
		"x5u":  {"x5u": evil.Addr() + "/.well-known/openid-configuration/jwks"},
		"x5c":  {"x5c": []string{base64.StdEncoding.EncodeToString(harness.SelfSigned(t, attacker))}},
		"none": {"x": 1},
	} {
		t.Run(name, func(t *testing.T) {
			header := harness.With(s.header(), extra)
			s.Refuses(t, attacker.JWT(t, header, s.claims()), xenaauth.ReasonSignature)
			delete(header, "kid")
			s.Refuses(t, attacker.JWT(t, header, s.claims()), xenaauth.ReasonSignature)
			header["kid"] = "another"
			s.Refuses(t, attacker.JWT(t, header, s.claims()), xenaauth.ReasonUnknownKey)
			// The kid and the signature of this token are good. So the library accepts the token
			// and ignores the additional parameters in its header.
			s.Passes(t, s.signer.JWT(t, harness.With(s.header(), extra), s.claims()))
		})
	}
	require.Zero(t, evil.Calls(xenaauthtest.All))
}

func TestJ9_SignatureForms(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	input := harness.Base64(harness.JSON(t, s.header())) + "." + harness.Base64(harness.JSON(t, s.claims()))
	digest := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, s.signer.Key.(*ecdsa.PrivateKey), digest[:])
	require.NoError(t, err)
	good, err := base64.RawURLEncoding.DecodeString(s.signer.Sign(t, "ES256", input))
	require.NoError(t, err)
	n := s.signer.Key.(*ecdsa.PrivateKey).Params().N
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	zero := make([]byte, 32)
	s.Passes(t, input+"."+harness.Base64(good))
	for name, signature := range map[string][]byte{
		"DER": der, "zero": make([]byte, 64), "r zero": join(zero, good[32:]), "s zero": join(good[:32], zero),
		"r is n": join(n.Bytes(), good[32:]), "s is n": join(good[:32], n.Bytes()),
		"short": good[:63], "shorter": good[:32], "long": join(good, []byte{0}), "long in front": join([]byte{0}, good),
		"padded halves": join([]byte{0}, good[:32], []byte{0}, good[32:]), "empty": nil, "swapped": join(good[32:], good[:32]),
		"flipped": join(good[:63], []byte{good[63] ^ 1}), "flipped first": join([]byte{good[0] ^ 0x80}, good[1:]), "huge": make([]byte, 4096),
	} {
		t.Run(name, func(t *testing.T) { s.Refuses(t, input+"."+harness.Base64(signature), xenaauth.ReasonSignature) })
	}
	// An ECDSA signature consists of the numbers r and s. The number n is the order of the elliptic
	// curve. A check that only calculates modulo n would also accept r+n in place of r, or s+n in
	// place of s. On the curve of ES256, r+n is almost always too long for a signature. On the
	// curve of ES512, r+n always fits, so this test uses ES512.
	t.Run("beyond n", func(t *testing.T) {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES512"})
		a := harness.Serve(t, issuer.Config())
		token := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, token)
		cut := strings.LastIndexByte(token, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(token[cut:])
		require.NoError(t, err)
		r, s := signature[:66], signature[66:]
		addOrder := func(v []byte) []byte {
			sum := new(big.Int).Add(new(big.Int).SetBytes(v), elliptic.P521().Params().N)
			return sum.FillBytes(make([]byte, 66))
		}
		for _, bad := range [][]byte{join(addOrder(r), s), join(r, addOrder(s)), join(addOrder(r), addOrder(s))} {
			a.Refuses(t, token[:cut]+harness.Base64(bad), xenaauth.ReasonSignature)
		}
	})
	t.Run("EdDSA", func(t *testing.T) {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "EdDSA"})
		a := harness.Serve(t, issuer.Config())
		token := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, token)
		cut := strings.LastIndexByte(token, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(token[cut:])
		require.NoError(t, err)
		for _, bad := range [][]byte{signature[:63], join(signature, []byte{0}), make([]byte, 64), nil, join(signature[:63], []byte{signature[63] ^ 1})} {
			a.Refuses(t, token[:cut]+harness.Base64(bad), xenaauth.ReasonSignature)
		}
	})
	t.Run("RSA", func(t *testing.T) {
		issuer := harness.NewIssuer()
		r := harness.RSASigner("r")
		harness.Publish(t, issuer, r.JWK(nil))
		a := harness.Serve(t, issuer.Config())
		token := r.JWT(t, map[string]any{"alg": "RS256", "kid": "r"}, issuer.Claims(xenaauthtest.Token{}))
		a.Passes(t, token)
		cut := strings.LastIndexByte(token, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(token[cut:])
		require.NoError(t, err)
		same := new(big.Int).Add(new(big.Int).SetBytes(signature), harness.RSAKey().N)
		for _, bad := range [][]byte{
			signature[:255], join([]byte{0}, signature), join(signature, []byte{0}), make([]byte, 256), nil, {1}, harness.RSAKey().N.Bytes(), same.Bytes(),
			join(signature[:255], []byte{signature[255] ^ 1}),
		} {
			a.Refuses(t, token[:cut]+harness.Base64(bad), xenaauth.ReasonSignature)
		}
	})
}

func TestJ10_EncryptedAndNested(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	inner := s.signer.JWT(t, s.header(), s.claims())
	for _, cty := range []string{"JWT", "jwt", "application/jwt", "application/JWT", "at+jwt", "application/at+jwt"} {
		h := harness.With(s.header(), map[string]any{"cty": cty})
		s.Refuses(t, s.signer.Token(t, "ES256", harness.Base64(harness.JSON(t, h)), harness.Base64(inner)), xenaauth.ReasonAlgorithm)
		s.Refuses(t, s.signer.JWT(t, h, s.claims()), xenaauth.ReasonAlgorithm)
	}
	s.Refuses(t, s.signer.Token(t, "ES256", harness.Base64(harness.JSON(t, s.header())), harness.Base64(inner)), xenaauth.ReasonMalformedToken)
	for _, extra := range []map[string]any{{"zip": "DEF"}, {"zip": ""}, {"enc": "A256GCM"}, {"alg": "dir", "enc": "A256GCM"}, {"zip": harness.RawJSON("null")}} {
		s.Refuses(t, s.signer.JWT(t, harness.With(s.header(), extra), s.claims()), xenaauth.ReasonAlgorithm)
	}
	jwe := harness.Base64(`{"alg":"RSA-OAEP","enc":"A256GCM","kid":"key-1"}`) + ".b3Zlcg.aXY.Y2lwaGVy.dGFn"
	s.Refuses(t, jwe, xenaauth.ReasonMalformedToken)
	s.Refuses(t, harness.Base64(`{"alg":"dir","enc":"A256GCM"}`)+"..aXY.Y2lwaGVy.dGFn", xenaauth.ReasonMalformedToken)
	cfg := s.issuer.HybridConfig()
	// A token of five segments (a JWE) counts as opaque, so the library introspects it.
	harness.Serve(t, cfg).Refuses(t, jwe, xenaauth.ReasonInactive)
}

func TestJ7_HeaderOfRawJSON(t *testing.T) {
	t.Parallel()
	var m map[string]any
	s := newSignerAPI(t)
	require.NoError(t, json.Unmarshal(harness.JSON(t, s.header()), &m))
	for _, kid := range []any{1, true, []string{"key-1"}, map[string]any{}, harness.RawJSON("null"), strings.Repeat("k", 513)} {
		h := harness.With(m, map[string]any{"kid": kid})
		s.Refuses(t, s.signer.Token(t, "ES256", harness.Base64(harness.JSON(t, h)), harness.Base64(harness.JSON(t, s.claims()))), xenaauth.ReasonMalformedToken)
	}
}
