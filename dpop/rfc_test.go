package dpop_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

// These DPoP proofs are examples in RFC 9449. The line breaks are left out.
const (
	// resourceProof is figure 13 in section 7.1 of RFC 9449: a proof for an API.
	resourceProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj" +
		"oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z" +
		"WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF" +
		"c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E" +
		"OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	// tokenEndpointProof is figure 5 in section 5 of RFC 9449: a proof for the token endpoint of
	// the issuer.
	tokenEndpointProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj" +
		"oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia" +
		"WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg" +
		"4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	// exampleKey is the thumbprint of the key in resourceProof and in tokenEndpointProof (RFC 9449,
	// section 6.1).
	exampleKey = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

// The DPoP proof in section 7.1 of RFC 9449 is accepted once, if the clock shows the time of the
// example, and only together with the token, the key, the method and the URL of the example.
func TestExampleOfRFC9449(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1562262618, 0)))
		p, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://resource.example.org"}})
		require.NoError(t, err)
		request := func(method, path, proof string) *http.Request {
			r := httptest.NewRequest(method, path, nil)
			r.Host = "resource.example.org"
			r.Header.Set("DPoP", proof)
			return r
		}
		const path = "/protectedresource"
		for _, tt := range []struct {
			r             *http.Request
			token, key    string
			reason, cause string
		}{
			{request("POST", path, resourceProof), accessToken, exampleKey, "proof", "htm"},
			{request("GET", path+"/", resourceProof), accessToken, exampleKey, "proof", "htu"},
			{request("GET", path, resourceProof), accessToken + "x", exampleKey, "proof", "ath"},
			{request("GET", path, resourceProof), accessToken, exampleKey[:42] + "J", "confirmation", "cnf.jkt"},
			{request("POST", "/token", tokenEndpointProof), accessToken, exampleKey, "proof", "ath is missing"},
			{request("GET", path, resourceProof), accessToken, exampleKey, "", ""},
			{request("GET", path, resourceProof), accessToken, exampleKey, "proof_replayed", "jti"},
		} {
			err := p.Confirm(tt.r, tt.token, tt.key)
			if tt.reason == "" {
				require.NoError(t, err)
				continue
			}
			wantRefusal(t, err, xenaauth.Reason(tt.reason), tt.cause)
		}
		time.Sleep(2 * time.Minute)
		wantRefusal(t, p.Confirm(request("GET", path, resourceProof), accessToken, exampleKey), "proof",
			"iat is 2019-07-04T17:50:18Z, the time here is 2019-07-04T17:52:18Z")
	})
}
