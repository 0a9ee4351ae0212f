package jose_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/internal/jose"
)

func segment(header string) string { return base64.RawURLEncoding.EncodeToString([]byte(header)) }

// This test computes the thumbprints of keys in RFCs, and compares them with the thumbprints that
// the RFCs give.
func TestEmbeddedThumbprints(t *testing.T) {
	for name, tt := range map[string]struct{ alg, jwk, want string }{
		"RFC 7638, section 3.1": {"RS256", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 8037, A.3":         {"EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
		"RFC 9449, section 6.1": {"ES256", `{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}`, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	} {
		h, err := jose.ParseEmbedded(segment(`{"alg":"` + tt.alg + `","typ":"x","jwk":` + tt.jwk + `}`))
		if err != nil || h.Thumbprint != tt.want || h.Algorithm != tt.alg || h.Type != "x" {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

// A public key can be a point that is not on its curve. Such a key is refused only when a signature
// is verified.
func TestEmbeddedPointNotOnCurve(t *testing.T) {
	x := strings.Repeat("A", 42) + "E"
	h, err := jose.ParseEmbedded(segment(`{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := jose.Split("e30.e30." + strings.Repeat("A", 86))
	if err := h.Verify(token); err != jose.ErrUnusableKey {
		t.Error(err)
	}
}

// The modulus of an RSA key must be odd and have at least 2048 bits, and only one of its possible
// encodings is accepted.
func TestEmbeddedModulus(t *testing.T) {
	odd := append([]byte{0x80}, make([]byte, 255)...)
	odd[255] = 1
	for name, tt := range map[string]struct {
		n    []byte
		want error
	}{
		"2048 bits":                   {odd, nil},
		"a zero byte in front":        {append([]byte{0}, odd...), jose.ErrUnusableKey},
		"a zero byte and a small one": {append([]byte{0, 1}, odd...), jose.ErrUnusableKey},
		"even":                        {append([]byte{0x80}, make([]byte, 255)...), jose.ErrUnusableKey},
		"2047 bits":                   {append([]byte{0x7f}, odd[1:]...), jose.ErrUnusableKey},
		"2041 bits":                   {odd[1:], jose.ErrUnusableKey},
		"empty":                       {nil, jose.ErrUnusableKey},
	} {
		n := base64.RawURLEncoding.EncodeToString(tt.n)
		_, err := jose.ParseEmbedded(segment(`{"alg":"PS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + n + `"}}`))
		if err != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
