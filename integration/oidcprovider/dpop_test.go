package oidcprovider_test

import (
	"slices"
	"strings"
	"testing"
)

var nonceSecret = []byte("a secret for the nonces of this API")

// startPair starts an issuer, and an API that accepts the tokens of this issuer. If nonces is true,
// the API requires a nonce in each DPoP proof.
func startPair(t *testing.T, nonces bool) (issuer string, a *api) {
	t.Helper()
	a, connect := startAPI(t)
	issuer = startIssuer(t, a.server.URL+"/backchannel-logout")
	if nonces {
		connect(issuer, nonceSecret)
	} else {
		connect(issuer)
	}
	return issuer, a
}

// clientSettings returns the settings that the program client.mjs reads.
func clientSettings(issuer string, a *api, flow, algorithm, resource string) map[string]any {
	return map[string]any{
		"issuer": issuer, "api": a.server.URL, "secret": secret, "flow": flow, "algorithm": algorithm,
		"resource": resource,
	}
}

// checkAccepted fails the test unless the API accepted a request, and the key, the subject and the
// client in the response are the expected ones.
func checkAccepted(t *testing.T, what string, got apiResponse, thumbprint, subject, client string) {
	t.Helper()
	if got.Status != 200 || got.Key != thumbprint || got.Subject != subject || got.Client != client {
		t.Errorf("%s: %+v; want the key %s, the user %q and the client %s", what, got, thumbprint, subject, client)
	}
}

// A user logs in, and the client gets tokens that are bound to its key. The client computes the
// thumbprint of this key with jose, the issuer with oidc-provider, and the API with xenaauth. The
// test passes only if the three thumbprints are equal. For an opaque token, the test compares only
// those of the client and the API.
func TestUserWithDPoP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resource string
		nonces   bool
	}{
		"JWT":                {jwtResource, false},
		"JWT, nonces":        {jwtResource, true},
		"opaque":             {opaqueResource, false},
		"opaque, with nonce": {opaqueResource, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer, a := startPair(t, c.nonces)
			s := clientSettings(issuer, a, "code", "ES256", c.resource)
			s["misuse"], s["nonces"] = true, c.nonces
			r := runClient(t, s)
			if !strings.EqualFold(r.Type, "DPoP") {
				t.Errorf("token_type is %q", r.Type)
			}
			if r.Bound != r.Thumbprint && c.resource == jwtResource {
				t.Errorf("the token is bound to %q, and the key is %q", r.Bound, r.Thumbprint)
			}
			checkAccepted(t, "first", r.First, r.Thumbprint, "ann", "app")
			checkAccepted(t, "second", r.Second, r.Thumbprint, "ann", "app")
			checkAccepted(t, "refreshed", r.Refreshed, r.Thumbprint, "ann", "app")
			// If the API requires nonces, only the first request must be repeated: the client
			// learns the nonce from the first response and uses it in the later requests.
			want := 1
			if c.nonces {
				want = 2
			}
			if r.First.Requests != want || r.Second.Requests != 1 || r.Refreshed.Requests != 1 {
				t.Errorf("%d, %d and %d requests", r.First.Requests, r.Second.Requests, r.Refreshed.Requests)
			}
			checkMisuse(t, r, c.nonces)
		})
	}
}

// checkMisuse checks the responses to requests with a missing or wrong DPoP proof: for example, the
// proof was used before, was made for another request, or has another key. Requests with a good
// proof must still pass.
func checkMisuse(t *testing.T, r clientResults, nonces bool) {
	t.Helper()
	for _, good := range []string{"once", "still usable"} {
		checkAccepted(t, good, r.Misuse[good], r.Thumbprint, "ann", "app")
	}
	wants := map[string]struct{ reason, code string }{
		"twice":                  {"proof_replayed", "invalid_dpop_proof"},
		"as Bearer":              {"confirmation", "invalid_token"},
		"as Bearer with a proof": {"confirmation", "invalid_token"},
		"without a proof":        {"proof", "invalid_dpop_proof"},
		"key of a thief":         {"confirmation", "invalid_token"},
		"another path":           {"proof", "invalid_dpop_proof"},
		"another method":         {"proof", "invalid_dpop_proof"},
		"another token":          {"proof", "invalid_dpop_proof"},
		"no token hash":          {"proof", "invalid_dpop_proof"},
	}
	if nonces {
		wants["another nonce"] = struct{ reason, code string }{"proof_nonce", "use_dpop_nonce"}
	}
	for name, want := range wants {
		got := r.Misuse[name]
		if got.Status != 401 || got.Reason != want.reason ||
			!strings.Contains(got.Challenge, `error="`+want.code+`"`) || !strings.Contains(got.Challenge, "DPoP ") {
			t.Errorf("%s: %+v; want 401 %s and %s", name, got, want.reason, want.code)
		}
	}
}

// The client gets a token for itself, without a user (client credentials grant). The test repeats
// this with a key for each signature algorithm that both the issuer and the client support.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	issuer, a := startPair(t, true)
	for _, algorithm := range []string{"ES256", "ES384", "Ed25519", "PS256", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			r := runClient(t, clientSettings(issuer, a, "service", algorithm, jwtResource))
			if r.Bound != r.Thumbprint || r.Thumbprint == "" {
				t.Errorf("the token is bound to %q, and the key is %q", r.Bound, r.Thumbprint)
			}
			checkAccepted(t, "first", r.First, r.Thumbprint, "", "service")
			checkAccepted(t, "second", r.Second, r.Thumbprint, "", "service")
		})
	}
}

// The user logs out at the issuer, which sends a logout token to the API. After that, the API
// refuses the user's access token.
func TestLogout(t *testing.T) {
	t.Parallel()
	issuer, a := startPair(t, false)
	s := clientSettings(issuer, a, "code", "ES256", jwtResource)
	s["logout"] = true
	r := runClient(t, s)
	checkAccepted(t, "before", r.First, r.Thumbprint, "ann", "app")
	if r.LoggedOut.Status != 401 || r.LoggedOut.Reason != "revoked" ||
		!slices.Equal(r.LoggedOut.Schemes, []string{"bearer", "dpop"}) {
		t.Errorf("after the logout: %+v", r.LoggedOut)
	}
}
