package jwt_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A signerAPI is an API together with a signer whose public key is in the JWKS of the issuer. Its
// methods return the header, the claims and the text of a valid token.
type signerAPI struct {
	*harness.API
	issuer *xenaauthtest.Issuer
	signer *harness.Signer
}

func newSignerAPI(t *testing.T) *signerAPI {
	t.Helper()
	issuer, s := harness.NewIssuer(), harness.NewSigner(t, "key-1")
	harness.Publish(t, issuer, s.JWK(nil))
	return &signerAPI{harness.Serve(t, issuer.Config()), issuer, s}
}

func (s *signerAPI) header() map[string]any {
	return map[string]any{"alg": "ES256", "kid": "key-1", "typ": "at+jwt"}
}

func (s *signerAPI) claims() map[string]any { return s.issuer.Claims(xenaauthtest.Token{}) }

// signerAPI.token returns a signed token. The JSON texts header and payload are in the token
// without any change.
func (s *signerAPI) token(t *testing.T, header, payload string) string {
	t.Helper()
	return s.signer.Token(t, "ES256", harness.Base64(header), harness.Base64(payload))
}

func TestJ1_ThreeSegmentsOnly(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	token := s.signer.JWT(t, s.header(), s.claims())
	s.Passes(t, token)
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	general := string(harness.JSON(t, map[string]any{"payload": payload, "signatures": []any{map[string]any{"protected": header, "signature": signature}}}))
	flat := string(harness.JSON(t, map[string]any{"payload": payload, "protected": header, "signature": signature}))
	for _, bad := range []string{
		"", ".", "..", "...", "....", header, header + ".", header + "." + payload, token + ".", "." + token, token + "." + signature,
		token + "..", header + ".." + payload + "." + signature, "." + payload + "." + signature, general, flat, harness.Base64(flat),
	} {
		s.Refuses(t, bad, xenaauth.ReasonMalformedToken)
	}
	// The first of these two tokens has no payload, and the second has no signature.
	s.Refuses(t, header+".."+signature, xenaauth.ReasonMalformedToken)
	s.Refuses(t, header+"."+payload+".", xenaauth.ReasonSignature)
	s.Refuses(t, token[:len(token)-1], xenaauth.ReasonMalformedToken)
	s.Refuses(t, token[:len(token)-2], xenaauth.ReasonSignature)
}

func TestJ1_Length(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	sized := func(n int) string {
		// This loop searches for a token of n characters, or of up to 7 characters less. It cannot
		// calculate the length: one more byte of JSON may make the base64url text longer by more
		// than one character.
		for pad := n * 3 / 4; pad > 0; pad-- {
			token := s.signer.JWT(t, harness.With(s.header(), map[string]any{"x": strings.Repeat("h", n%3+1)}), harness.With(s.claims(), map[string]any{"pad": strings.Repeat("a", pad)}))
			if len(token) <= n {
				require.Greater(t, len(token), n-8)
				return token
			}
			pad -= max(0, (len(token)-n)*3/4-4)
		}
		return ""
	}
	fits := sized(xenaauth.DefaultMaxTokenLength)
	s.Passes(t, fits)
	long := s.signer.JWT(t, s.header(), harness.With(s.claims(), map[string]any{"pad": strings.Repeat("a", 12<<10)}))
	require.Greater(t, len(long), xenaauth.DefaultMaxTokenLength)
	s.Refuses(t, long, xenaauth.ReasonMalformedToken)
	s.Refuses(t, strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1), xenaauth.ReasonMalformedToken)
	s.Refuses(t, "eyJ"+strings.Repeat("a", 9<<10)+".e30.AA", xenaauth.ReasonMalformedToken)

	cfg := s.issuer.Config()
	cfg.MaxTokenLength = 200
	harness.Serve(t, cfg).Refuses(t, s.signer.JWT(t, s.header(), s.claims()), xenaauth.ReasonMalformedToken)
}

func TestJ2_CanonicalBase64url(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	claims := s.claims()
	delete(claims, "pad")
	// The JSON text in each segment has 3k+1 bytes for some number k. So the last base64url
	// character of the segment has unused bits, and with padding the segment would end in "==".
	fit := func(m map[string]any) string {
		for pad := "x"; ; pad += "x" {
			if text := harness.JSON(t, harness.With(m, map[string]any{"pad": pad})); len(text)%3 == 1 {
				return string(text)
			}
		}
	}
	header, payload := harness.Base64(fit(s.header())), harness.Base64(fit(claims))
	good := s.signer.Token(t, "ES256", header, payload)
	s.Passes(t, good)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	// setUnusedBit sets an unused bit in the last character of a segment. The decoded bytes of the
	// segment do not change.
	setUnusedBit := func(segment string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, segment[len(segment)-1])
		changed := segment[:len(segment)-1] + string(alphabet[last^1])
		require.NotEqual(t, segment, changed)
		return changed
	}
	spoil := map[string]func(string) string{
		"stray bits":    setUnusedBit,
		"padding":       func(s string) string { return s + "==" },
		"half padding":  func(s string) string { return s + "=" },
		"line feed":     func(s string) string { return s[:5] + "\n" + s[5:] },
		"line end":      func(s string) string { return s + "\n" },
		"carriage":      func(s string) string { return s[:5] + "\r\n" + s[5:] },
		"space":         func(s string) string { return s[:5] + " " + s[5:] },
		"tab":           func(s string) string { return s + "\t" },
		"not base64":    func(s string) string { return s[:5] + "!" + s[6:] },
		"percent":       func(s string) string { return s[:5] + "%2E" + s[5:] },
		"NUL":           func(s string) string { return s + "\x00" },
		"no such size":  func(s string) string { return s + "AAA" },
		"not ASCII":     func(s string) string { return s + "\u00e9" },
		"standard plus": func(s string) string { return s[:5] + "+" + s[6:] },
	}
	for name, spoiled := range spoil {
		t.Run(name, func(t *testing.T) {
			// The first of these tokens has a malformed header, and the second has a malformed
			// payload. Their signatures are made over the malformed text and are valid. So the
			// malformed text is the only reason for the refusal. The third token has a malformed
			// signature.
			s.Refuses(t, s.signer.Token(t, "ES256", spoiled(header), payload), xenaauth.ReasonMalformedToken)
			s.Refuses(t, s.signer.Token(t, "ES256", header, spoiled(payload)), xenaauth.ReasonMalformedToken)
			s.Refuses(t, header+"."+payload+"."+spoiled(signature), xenaauth.ReasonMalformedToken)
		})
	}
	standard := base64.RawStdEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"key-1","x":"???>>>"}`))
	require.Contains(t, standard, "/")
	s.Refuses(t, s.signer.Token(t, "ES256", standard, payload), xenaauth.ReasonMalformedToken)
	for _, around := range []string{"\n" + good, good + "\n", " " + good, good + " ", good + "\x00"} {
		require.NotEmpty(t, harness.ReasonOf(t, s.Validator, around), "%q", around)
	}
}

func TestJ3_StrictJSON(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	header, payload := string(harness.JSON(t, s.header())), string(harness.JSON(t, s.claims()))
	s.Passes(t, s.token(t, header, payload))
	// White space is allowed after the JSON text of the header, and around that of the payload.
	s.Passes(t, s.token(t, header+" ", "\t"+payload+"\r\n "))
	// White space is also allowed before the JSON text of the header.
	for _, space := range []string{" ", "  ", "   ", "\t", "\n", "\r", "\r\n\t ", strings.Repeat(" ", 300)} {
		s.Passes(t, s.token(t, space+header, space+payload))
		s.Passes(t, s.token(t, space+strings.ReplaceAll(header, ",", space+","+space)+space, payload))
	}
	spoil := map[string]func(string) string{
		"BOM":                  func(s string) string { return "\ufeff" + s },
		"trailing object":      func(s string) string { return s + "{}" },
		"trailing brace":       func(s string) string { return s + "}" },
		"trailing comma":       func(s string) string { return s[:len(s)-1] + ",}" },
		"trailing NUL":         func(s string) string { return s + "\x00" },
		"array":                func(s string) string { return "[" + s + "]" },
		"null":                 func(string) string { return "null" },
		"string":               func(s string) string { return strconv.Quote(s) },
		"nothing":              func(string) string { return "" },
		"cut":                  func(s string) string { return s[:len(s)-1] },
		"invalid UTF-8":        func(s string) string { return s[:len(s)-1] + ",\"x\":\"\xff\"}" },
		"invalid UTF-8 name":   func(s string) string { return s[:len(s)-1] + ",\"\xc0\xae\":1}" },
		"surrogate in UTF-8":   func(s string) string { return s[:len(s)-1] + ",\"x\":\"\xed\xa0\x80\"}" },
		"half a pair":          func(s string) string { return s[:len(s)-1] + `,"x":"\ud800"}` },
		"wrong half":           func(s string) string { return s[:len(s)-1] + `,"x":"\udc00\ud800"}` },
		"control in string":    func(s string) string { return s[:len(s)-1] + ",\"x\":\"a\nb\"}" },
		"bad escape":           func(s string) string { return s[:len(s)-1] + `,"x":"\x41"}` },
		"comment":              func(s string) string { return s + "/**/" },
		"single quotes":        func(s string) string { return s[:len(s)-1] + `,'x':1}` },
		"NaN":                  func(s string) string { return s[:len(s)-1] + `,"x":NaN}` },
		"leading zero":         func(s string) string { return s[:len(s)-1] + `,"x":01}` },
		"twice":                func(s string) string { return s[:len(s)-1] + `,"x":1,"x":1}` },
		"twice, once escaped":  func(s string) string { return s[:len(s)-1] + `,"x":1,"\u0078":1}` },
		"twice inside":         func(s string) string { return s[:len(s)-1] + `,"x":[{"y":1,"y":1}]}` },
		"twice empty":          func(s string) string { return s[:len(s)-1] + `,"":1,"":2}` },
		"deep arrays":          func(s string) string { return s[:len(s)-1] + `,"x":` + harness.DeepJSON("[", "]", 3000) + "}" },
		"deep objects":         func(s string) string { return s[:len(s)-1] + `,"x":` + harness.DeepJSON(`{"a":`, "}", 1000) + "}" },
		"unfinished deep":      func(s string) string { return s[:len(s)-1] + `,"x":` + strings.Repeat("[", 4000) },
		"twice far apart":      func(s string) string { return s[:len(s)-1] + members(300) + `,"m0":1}` },
		"duplicate, then more": func(s string) string { return s[:len(s)-1] + `,"m1":1,"m1":2` + members(40)[8:] + "}" },
	}
	for name, spoiled := range spoil {
		t.Run(name, func(t *testing.T) {
			s.Refuses(t, s.token(t, spoiled(header), payload), xenaauth.ReasonMalformedToken)
			s.Refuses(t, s.token(t, header, spoiled(payload)), xenaauth.ReasonMalformedToken)
		})
	}
	t.Run("hundreds of members", func(t *testing.T) {
		s.Passes(t, s.token(t, header, payload[:len(payload)-1]+members(480)+"}"))
		s.Refuses(t, s.token(t, header, payload[:len(payload)-1]+members(513)+"}"), xenaauth.ReasonMalformedToken)
		s.Passes(t, s.token(t, header[:len(header)-1]+members(100)+"}", payload))
		s.Refuses(t, s.token(t, header[:len(header)-1]+members(129)+"}", payload), xenaauth.ReasonMalformedToken)
	})
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + strconv.Itoa(i) + `":1`)
	}
	return b.String()
}

func TestJ3_LookalikeNames(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	header, payload := string(harness.JSON(t, s.header())), string(harness.JSON(t, s.claims()))
	for _, name := range []string{
		"ISS", "Iss", "Sub", "\u017fub", "\\u017fub", "EXP", "eXp", "Aud", "AUD", "Client_Id", "CLIENT_ID", "Scope", "\u017fcope", "Nbf", "Iat",
		"Cnf", "Events", "NONCE", "Scp", "Azp", "Jti", "Sid", "\u017fid",
	} {
		s.Refuses(t, s.token(t, header, payload[:len(payload)-1]+`,"`+name+`":"x"}`), xenaauth.ReasonMalformedToken)
	}
	for _, member := range []string{
		`"iss":"x"`, `"sub":"x"`, `"aud":"x"`, `"exp":1`, `"scope":"x"`, `"client_id":"x"`, `"\u0069ss":"x"`, `"s\u0075b":"x"`, `"nbf":1`,
	} {
		s.Refuses(t, s.token(t, header, payload[:len(payload)-1]+`,`+member+`}`), xenaauth.ReasonMalformedToken)
		s.Refuses(t, s.token(t, header, `{`+member+`,`+payload[1:]), xenaauth.ReasonMalformedToken)
	}
	for _, name := range []string{"ALG", "Alg", "\u212aid", "Kid", "TYP", "Crit", "\\u0063rIt", "B64", "Zip", "X5T", "alg", "kid", "typ", "\\u0061lg"} {
		s.Refuses(t, s.token(t, header[:len(header)-1]+`,"`+name+`":"x"}`, payload), xenaauth.ReasonMalformedToken)
		s.Refuses(t, s.token(t, `{"`+name+`":"x",`+header[1:], payload), xenaauth.ReasonMalformedToken)
	}
	// A claim name may have a registered name as a part: "issuer" contains "iss". A nested object
	// may have a member with a registered name. A token with these names is accepted.
	s.Passes(t, s.token(t, header, payload[:len(payload)-1]+`,"issuer":"x","Role":"y","ISS_":1,"x":{"ISS":1}}`))
}

func TestJ4_Algorithms(t *testing.T) {
	t.Parallel()
	s := newSignerAPI(t)
	claims := s.claims()
	for _, alg := range []any{
		"none", "None", "NONE", "nOnE", "none ", "nil", "HS256", "HS384", "HS512", "hs256", "es256", "ES256 ", " ES256", "ES256K",
		"RS1", "RSA1_5", "A128KW", "dir", "EdDsa", "ed25519", "Ed448", "ES256\u0000", "SHA256withECDSA",
	} {
		token := s.signer.JWT(t, harness.With(s.header(), map[string]any{"alg": alg}), claims)
		s.Refuses(t, token, xenaauth.ReasonAlgorithm)
		s.Refuses(t, token[:strings.LastIndexByte(token, '.')+1], xenaauth.ReasonAlgorithm)
	}
	for _, alg := range []any{true, 1, []string{"ES256"}, map[string]any{"x": "ES256"}, harness.RawJSON("null"), strings.Repeat("A", 513)} {
		token := s.signer.Token(t, "ES256", harness.Base64(harness.JSON(t, harness.With(s.header(), map[string]any{"alg": alg}))), harness.Base64(harness.JSON(t, claims)))
		s.Refuses(t, token, xenaauth.ReasonAlgorithm)
	}
	s.Refuses(t, s.signer.JWT(t, harness.With(s.header(), map[string]any{"alg": ""}), claims), xenaauth.ReasonMalformedToken)
	s.Refuses(t, s.signer.JWT(t, map[string]any{"kid": "key-1", "typ": "at+jwt"}, claims), xenaauth.ReasonAlgorithm)
	// The tokens are signed with an EC key on the curve P-256, which is a key for ES256 only. The
	// alg in the header names another algorithm, so the library must refuse the token.
	for _, alg := range []string{"RS256", "PS256", "ES384", "ES512", "EdDSA", "Ed25519", "RS512"} {
		s.Refuses(t, s.signer.JWT(t, harness.With(s.header(), map[string]any{"alg": alg}), claims), xenaauth.ReasonAlgorithm)
	}
	t.Run("narrowed", func(t *testing.T) {
		cfg := s.issuer.Config()
		cfg.Algorithms = []string{"RS256"}
		a := harness.Serve(t, cfg)
		a.Refuses(t, s.signer.JWT(t, s.header(), claims), xenaauth.ReasonAlgorithm)
	})
	// RFC 9864 gives EdDSA a second name: if one of the two names is configured, tokens with either
	// name are accepted.
	t.Run("two names", func(t *testing.T) {
		for _, inToken := range []string{"EdDSA", "Ed25519"} {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: inToken})
			for _, configured := range []string{"EdDSA", "Ed25519"} {
				cfg := issuer.Config()
				cfg.Algorithms = []string{configured}
				harness.Serve(t, cfg).Passes(t, issuer.JWT(xenaauthtest.Token{}))
				harness.Serve(t, cfg).Passes(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"alg": configured}}))
			}
			cfg := issuer.Config()
			cfg.Algorithms = []string{"ES256"}
			harness.Serve(t, cfg).Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonAlgorithm)
		}
	})
	t.Run("each of the list", func(t *testing.T) {
		for _, alg := range []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519"} {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: alg})
			harness.Serve(t, issuer.Config()).Passes(t, issuer.JWT(xenaauthtest.Token{}))
		}
		r := harness.RSASigner("r")
		harness.Publish(t, s.issuer, r.JWK(nil))
		a := harness.Serve(t, s.issuer.Config())
		for alg, hash := range map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512} {
			h := map[string]any{"alg": alg, "kid": "r"}
			input := harness.Base64(harness.JSON(t, h)) + "." + harness.Base64(harness.JSON(t, claims))
			a.Passes(t, input+"."+harness.Base64(rsaSign(t, hash, nil, input)))
			h["alg"] = "P" + alg[1:]
			input = harness.Base64(harness.JSON(t, h)) + "." + harness.Base64(harness.JSON(t, claims))
			a.Passes(t, input+"."+harness.Base64(rsaSign(t, hash, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}, input)))
		}
	})
}

func rsaSign(t *testing.T, hash crypto.Hash, opts crypto.SignerOpts, input string) []byte {
	t.Helper()
	h := hash.New()
	h.Write([]byte(input))
	if opts == nil {
		opts = hash
	}
	signature, err := harness.RSAKey().Sign(rand.Reader, h.Sum(nil), opts)
	require.NoError(t, err)
	return signature
}

// An attacker signs a token with HMAC and uses the public key of the issuer as the HMAC secret. The
// library refuses the token, whatever encoding of the public key was the secret.
func TestJ4_PublicKeyAsSecret(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	r := harness.RSASigner("r")
	harness.Publish(t, issuer, r.JWK(nil))
	a := harness.Serve(t, issuer.Config())
	claims := issuer.Claims(xenaauthtest.Token{})
	a.Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": "r"}, claims))
	public := harness.RSAKey().PublicKey
	pkix, err := x509.MarshalPKIXPublicKey(&public)
	require.NoError(t, err)
	pkcs1 := x509.MarshalPKCS1PublicKey(&public)
	for _, secret := range [][]byte{
		pkix, pkcs1, public.N.Bytes(), []byte(harness.Base64(public.N.Bytes())), nil, harness.JSON(t, r.JWK(nil)), issuer.JWKS(),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}), pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
	} {
		for _, alg := range []string{"HS256", "RS256", "PS256"} {
			input := harness.Base64(harness.JSON(t, map[string]any{"alg": alg, "kid": "r"})) + "." + harness.Base64(harness.JSON(t, claims))
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			want := xenaauth.ReasonSignature
			if alg == "HS256" {
				want = xenaauth.ReasonAlgorithm
			}
			a.Refuses(t, input+"."+harness.Base64(mac.Sum(nil)), want)
		}
	}
}

// An RSA key can sign with both RS256 and PS256. But if the JWK of the key has the alg RS256, the
// key verifies no token with another alg, for example PS256.
func TestJ4_AlgorithmOfTheKey(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	claims := issuer.Claims(xenaauthtest.Token{})
	r := harness.RSASigner("r")
	token := func(header, made string) string {
		return r.Token(t, made, harness.Base64(harness.JSON(t, map[string]any{"alg": header, "kid": "r"})), harness.Base64(harness.JSON(t, claims)))
	}
	harness.Publish(t, issuer, r.JWK(nil))
	free := harness.Serve(t, issuer.Config())
	free.Passes(t, token("RS256", "RS256"))
	free.Passes(t, token("PS256", "PS256"))
	free.Refuses(t, token("RS256", "PS256"), xenaauth.ReasonSignature)
	free.Refuses(t, token("PS256", "RS256"), xenaauth.ReasonSignature)
	harness.Publish(t, issuer, r.JWK(map[string]any{"alg": "RS256"}))
	bound := harness.Serve(t, issuer.Config())
	bound.Passes(t, token("RS256", "RS256"))
	bound.Refuses(t, token("PS256", "PS256"), xenaauth.ReasonAlgorithm)
	bound.Refuses(t, token("RS512", "RS256"), xenaauth.ReasonAlgorithm)
}
