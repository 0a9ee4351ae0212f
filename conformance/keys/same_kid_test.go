package keys_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// publishManyKeys makes an issuer publish n keys. All of these keys have the given kid, or no kid
// if kid is "".
func publishManyKeys(t *testing.T, issuer *xenaauthtest.Issuer, n int, kid string) []*harness.Signer {
	t.Helper()
	signers := make([]*harness.Signer, n)
	keys := make([]map[string]any, n)
	for i := range signers {
		signers[i] = harness.NewSigner(t, kid)
		keys[i] = signers[i].JWK(nil)
		if kid == "" {
			delete(keys[i], "kid")
		}
	}
	harness.Publish(t, issuer, keys...)
	return signers
}

// Several keys of one issuer have the same kid or no kid. Each key still verifies its own tokens.
// The library limits the number of signature checks in a second, and in this test bad tokens use up
// this number. A valid token is still accepted if its key is one of the last four that verified a
// token, even after a refresh of the key set.
func TestManyKeysWithOneKid(t *testing.T) {
	t.Parallel()
	for _, kid := range []string{"", "same"} {
		harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
			signers := publishManyKeys(t, issuer, 12, kid)
			header := map[string]any{"alg": "ES256"}
			if kid != "" {
				header["kid"] = kid
			}
			n := 0
			token := func(s *harness.Signer) string {
				n++
				return s.JWT(t, header, issuer.Claims(xenaauthtest.Token{Claims: map[string]any{"jti": fmt.Sprint(n)}}))
			}
			for _, s := range signers {
				a.Passes(t, token(s))
			}
			forged, inUse := token(harness.NewSigner(t, "x")), signers[8:]
			for range 3 {
				// the library allows no more signature checks in this second
				for range 100 {
					a.Get(t, forged)
				}
				a.Get(t, forged).IsRefusal(t, xenaauth.ReasonUnavailable)
				for _, s := range inUse {
					a.Passes(t, token(s))
				}
				a.Get(t, token(signers[0])).IsRefusal(t, xenaauth.ReasonUnavailable)
				time.Sleep(10 * time.Second)
				// this token starts a refresh of the key set, which returns the same keys
				a.Refuses(t, forged, xenaauth.ReasonSignature)
				time.Sleep(time.Second)
			}
			a.Passes(t, token(signers[0]))
			require.GreaterOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 3)
		})
	}
}
