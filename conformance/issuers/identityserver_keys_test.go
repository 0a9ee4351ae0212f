package issuers_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// decodeSegment returns the bytes of a segment of a token, decoded from base64url.
func decodeSegment(t *testing.T, token string, segment int) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[segment])
	require.NoError(t, err)
	return raw
}

// serveKeys returns an API, its issuer, and a signer with an RSA key. The key set of the issuer
// contains the RSA key once for each element of forms, as a separate JWK. The element of forms
// replaces members of this JWK.
func serveKeys(t *testing.T, forms ...map[string]any) (*xenaauthtest.Issuer, *harness.Signer, *harness.API) {
	t.Helper()
	issuer, r := harness.NewIssuer(), harness.RSASigner("94B666375BA728531FF9B6EB61358E0F8630D1F5RS256")
	var keys []map[string]any
	for _, form := range forms {
		keys = append(keys, r.JWK(form))
	}
	harness.Publish(t, issuer, keys...)
	return issuer, r, harness.Serve(t, issuer.Config())
}

// IdentityServer may put the key of one certificate into its key set twice: as a JWK with the alg
// RS256 and as a JWK with the alg PS256.
func TestIdentityServer_OneCertificateTwice(t *testing.T) {
	t.Parallel()
	const thumb = "94B666375BA728531FF9B6EB61358E0F8630D1F5"
	rs := map[string]any{"kid": thumb + "RS256", "alg": "RS256", "x5t": "lLZmN1unKFMf-bbrYTWOD4Yw0fU"}
	ps := map[string]any{"kid": thumb + "PS256", "alg": "PS256", "x5t": "lLZmN1unKFMf-bbrYTWOD4Yw0fU"}
	for _, forms := range [][]map[string]any{{rs, ps}, {ps, rs}} {
		issuer, r, a := serveKeys(t, forms...)
		token := func(alg, kid string) string {
			return r.JWT(t, map[string]any{"alg": alg, "kid": kid, "typ": "at+jwt", "x5t": "lLZmN1unKFMf-bbrYTWOD4Yw0fU"}, issuer.Claims(xenaauthtest.Token{}))
		}
		a.Passes(t, token("RS256", thumb+"RS256"))
		a.Passes(t, token("PS256", thumb+"PS256"))
		a.Refuses(t, token("PS256", thumb+"RS256"), xenaauth.ReasonAlgorithm)
		a.Refuses(t, token("RS256", thumb+"PS256"), xenaauth.ReasonAlgorithm)
		// The key set contains two JWKs for the key of one certificate. The kid of the next two
		// tokens is the thumbprint of the certificate, and neither JWK has this kid. So the library
		// looks for the x5t of the token, which both JWKs have. Then the alg of the token decides
		// which JWK verifies it.
		a.Passes(t, token("RS256", thumb))
		a.Passes(t, token("PS256", thumb))
	}
}

func TestIdentityServer_KeySetForms(t *testing.T) {
	t.Parallel()
	expired := base64.StdEncoding.EncodeToString(harness.SelfSigned(t, harness.NewSigner(t, "x")))
	for name, form := range map[string]map[string]any{
		"with everything":                {"alg": "RS256", "x5t": "lLZmN1unKFMf-bbrYTWOD4Yw0fU", "x5c": []string{expired}},
		"without alg":                    {"alg": nil},
		"without alg and use":            {"use": nil},
		"an expired certificate":         {"x5c": []string{expired}},
		"another key's certificate":      {"x5c": []string{expired, expired}},
		"a garbage certificate":          {"x5c": []string{"MII…"}},
		"certificates that are no list":  {"x5c": "MII"},
		"a thumbprint that is no string": {"x5t#S256": 7},
	} {
		t.Run(name, func(t *testing.T) {
			issuer, r, a := serveKeys(t, form)
			a.Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": r.KeyID, "typ": "at+jwt"}, issuer.Claims(xenaauthtest.Token{})))
		})
	}
}

func TestIdentityServer_ByThumbprint(t *testing.T) {
	t.Parallel()
	const x5t = "lLZmN1unKFMf-bbrYTWOD4Yw0fU"
	issuer, r, a := serveKeys(t, map[string]any{"x5t": x5t})
	claims := issuer.Claims(xenaauthtest.Token{})
	a.Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": "renamed", "x5t": x5t}, claims))
	a.Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "x5t": x5t}, claims))
	// if a key has the kid of the token, the x5t of the token does not matter
	a.Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": r.KeyID, "x5t": "another"}, claims))
	a.Refuses(t, harness.NewSigner(t, "x").JWT(t, map[string]any{"alg": "ES256", "kid": "renamed", "x5t": x5t}, claims), xenaauth.ReasonAlgorithm)
	a.Refuses(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": "renamed", "x5t": x5t + "A"}, claims), xenaauth.ReasonUnknownKey)
}

func TestIdentityServer_KidsOfEachVersion(t *testing.T) {
	t.Parallel()
	for i, issuer := range versionIssuers() {
		want := map[xenaauthtest.Version]string{
			xenaauthtest.IdentityServer3:   "^[A-Za-z0-9_-]{27}$",
			xenaauthtest.IdentityServer4v1: "^[0-9A-F]{40}$",
			xenaauthtest.IdentityServer4v3: "^[0-9A-F]{40}$",
			xenaauthtest.IdentityServer4:   "^[0-9A-F]{40}RS256$",
			xenaauthtest.Duende:            "^[0-9A-F]{32}$",
		}[xenaauthtest.Version(i)]
		// Each version of IdentityServer has its own form of kid. The issuer imitates one version,
		// so its kid must have the form of that version.
		require.Regexp(t, want, issuer.KeyID())
		harness.Serve(t, issuer.Config()).Passes(t, issuer.JWT(xenaauthtest.Token{}))
	}
	issuer, r := harness.NewIssuer(), harness.RSASigner("signing-key-5656 of the operator's own/=")
	harness.Publish(t, issuer, r.JWK(nil))
	harness.Serve(t, issuer.Config()).Passes(t, r.JWT(t, map[string]any{"alg": "RS256", "kid": r.KeyID}, issuer.Claims(xenaauthtest.Token{})))
}
