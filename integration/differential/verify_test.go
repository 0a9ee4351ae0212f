package differential

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A side is an issuer that signs tokens with one algorithm, together with a Validator that accepts
// these tokens, and the issuer's public key in the form that go-jose uses.
type side struct {
	algorithm string
	issuer    *xenaauthtest.Issuer
	validator *xenaauth.Validator
	key       any
	// placeholderReplacer replaces placeholders such as $ISS in the texts from which the tests make
	// tokens; the values are different in each process
	placeholderReplacer *strings.Replacer
}

func sides(t testing.TB) (all []*side) {
	t.Helper()
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: algorithm})
		cfg := issuer.Config()
		cfg.Logger = slog.New(slog.DiscardHandler)
		validator, err := xenaauth.NewValidator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(issuer.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		found := set.Key(issuer.KeyID())
		if len(found) != 1 {
			t.Fatalf("go-jose finds %d keys", len(found))
		}
		now := time.Now().Unix()
		all = append(all, &side{algorithm, issuer, validator, found[0].Key, strings.NewReplacer(
			"$ALG", algorithm, "$KID", issuer.KeyID(), "$ISS", issuer.URL(), "$AUD", issuer.API(),
			"$NOW", fmt.Sprint(now-5), "$EXP", fmt.Sprint(now+1800),
		)})
	}
	return all
}

// The tests make valid tokens from these texts. Before that, they replace placeholders such as $ISS
// in the texts.
var (
	headers = []string{
		`{"alg":"$ALG","kid":"$KID","typ":"at+jwt"}`,
		` {"typ":"application/at+jwt", "kid":"$KID","alg":"$ALG","a":[1,{"b":null}]} `,
		`{"\u0061lg":"$ALG","kid":"$KID","typ":"JWT"}`,
	}
	payloads = []string{
		`{"iss":"$ISS","aud":"$AUD","exp":$EXP,"nbf":$NOW,"iat":$NOW,"sub":"ann","client_id":"app","scope":"testapi","jti":"1"}`,
		`{"iss":"$ISS","aud":["x","$AUD"],"exp":$EXP.5,"iat":$NOW,"sub":"\u0061nn","azp":"app","scope":["testapi"],"a":{"b":[1.5e3]}}`,
		` { "scp" : "testapi" , "client_id" : "app" , "sub" : "ann" , "nbf" : $NOW , "exp" : $EXP , "aud" : [ "$AUD" ] , "iss" : "$ISS" } `,
	}
)

// side.verifyWithGoJose verifies a token with the library go-jose and returns the token's payload.
func (s *side) verifyWithGoJose(token string) ([]byte, error) {
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.algorithm)})
	if err != nil {
		return nil, err
	}
	return parsed.Verify(s.key)
}

// side.verifyWithGolangJWT verifies a token with the library golang-jwt and returns the token's
// claims.
func (s *side) verifyWithGolangJWT(token string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return s.key, nil },
		jwt.WithValidMethods([]string{s.algorithm}), jwt.WithIssuer(s.issuer.URL()), jwt.WithAudience(s.issuer.API()),
		jwt.WithExpirationRequired(), jwt.WithLeeway(30*time.Second), jwt.WithStrictDecoding())
	return claims, err
}

// hasNewName reports whether the alg in the header of a token is Ed25519, the name from RFC 9864.
// The libraries go-jose and golang-jwt may not support this name.
func hasNewName(token string) bool {
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header struct {
		Alg string `json:"alg"`
	}
	return err == nil && json.Unmarshal(text, &header) == nil && header.Alg == "Ed25519"
}

// side.compareToken fails the test if xenaauth accepts a token that go-jose or golang-jwt refuses,
// or if xenaauth and one of these libraries read different users from the token. It reports whether
// xenaauth accepts the token.
func (s *side) compareToken(t *testing.T, token string) bool {
	t.Helper()
	user, err := s.validator.Validate(t.Context(), token)
	if err != nil {
		return false
	}
	if hasNewName(token) {
		public, ok := s.key.(ed25519.PublicKey)
		at := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.Strict().DecodeString(token[at+1:])
		if !ok || err != nil || !ed25519.Verify(public, []byte(token[:at]), signature) {
			t.Fatalf("%s: crypto/ed25519 refuses %s", s.algorithm, token)
		}
		return true
	}
	payload, err := s.verifyWithGoJose(token)
	if err != nil {
		t.Fatalf("%s: go-jose refuses an accepted token: %v: %s", s.algorithm, err, token)
	}
	claims, err := s.verifyWithGolangJWT(token)
	if err != nil {
		t.Fatalf("%s: golang-jwt refuses an accepted token: %v: %s", s.algorithm, err, token)
	}
	var theirs struct {
		Sub, Iss string
		ClientID string `json:"client_id"`
		Azp      string
	}
	if err := json.Unmarshal(payload, &theirs); err != nil {
		t.Fatalf("%s: %v: %s", s.algorithm, err, payload)
	}
	subject, _ := claims["sub"].(string)
	if user.Subject() != theirs.Sub || user.Subject() != subject || user.Issuer() != theirs.Iss ||
		user.ClientID() != theirs.ClientID && user.ClientID() != theirs.Azp {
		t.Fatalf("%s: %v of %s, and theirs is %+v", s.algorithm, user, user.Issuer(), theirs)
	}
	return true
}

// TestGoodTokensAreGoodToAll requires that xenaauth, go-jose and golang-jwt accept valid tokens. If
// one of the other libraries refused valid tokens, FuzzVerify would prove nothing.
func TestGoodTokensAreGoodToAll(t *testing.T) {
	for _, s := range sides(t) {
		for _, header := range headers {
			for _, payload := range payloads {
				token := s.issuer.SignBytes([]byte(s.placeholderReplacer.Replace(header)), []byte(s.placeholderReplacer.Replace(payload)))
				if !s.compareToken(t, token) {
					_, err := s.validator.Validate(t.Context(), token)
					t.Errorf("%s: %s.%s: %v", s.algorithm, header, payload, err)
				}
			}
		}
	}
}

// FuzzVerify makes a token: it signs an arbitrary header and payload, and then changes at most one
// byte. If xenaauth accepts the token, compareToken must find no difference.
func FuzzVerify(f *testing.F) {
	all := sides(f)
	for i, header := range headers {
		for _, payload := range payloads {
			f.Add(header, payload, uint8(i), 0, byte(0))
			f.Add(header, payload, uint8(i), -1, byte(1))
			f.Add(header, payload, uint8(i), 40, byte(' '))
		}
	}
	f.Add(`{"alg":"Ed25519","kid":"$KID","typ":"at+jwt"}`, payloads[0], uint8(1), 0, byte(0))
	f.Add(`{"alg":"none","kid":"$KID"}`, payloads[0], uint8(0), 0, byte(0))
	f.Add(`{"alg":"$ALG","alg":"none","kid":"$KID"}`, payloads[0], uint8(0), 0, byte(0))
	f.Add(`{"alg":"$ALG","kid":"$KID","crit":["exp"]}`, payloads[0], uint8(0), 0, byte(0))
	f.Add(`{"alg":"HS256","kid":"$KID"}`, payloads[0], uint8(2), 0, byte(0))
	f.Add(headers[0], strings.Replace(payloads[0], `"exp":$EXP`, `"exp":1e-1`, 1), uint8(0), 0, byte(0))
	f.Add(headers[0], strings.Replace(payloads[0], `"aud":"$AUD"`, `"aud":{"$AUD":1}`, 1), uint8(0), 0, byte(0))
	f.Add(headers[0], strings.Replace(payloads[0], `"sub"`, `"Sub":"eve","sub"`, 1), uint8(0), 0, byte(0))
	f.Fuzz(func(t *testing.T, header, payload string, which uint8, at int, change byte) {
		s := all[int(which)%len(all)]
		token := []byte(s.issuer.SignBytes([]byte(s.placeholderReplacer.Replace(header)), []byte(s.placeholderReplacer.Replace(payload))))
		if change != 0 {
			token[uint(at)%uint(len(token))] ^= change
		}
		s.compareToken(t, string(token))
	})
}
