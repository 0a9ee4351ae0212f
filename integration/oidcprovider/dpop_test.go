package oidcprovider_test

import (
	"slices"
	"strings"
	"testing"
)

var nonceSecret = []byte("a secret for the nonces of this API")

// The function connected starts an issuer and an API that trusts it. If nonces is true, the API
// requires nonces.
func connected(t *testing.T, nonces bool) (issuer string, a *api) {
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

// The function settings returns what client.mjs needs.
func settings(issuer string, a *api, flow, algorithm, resource string) map[string]any {
	return map[string]any{
		"issuer": issuer, "api": a.server.URL, "secret": secret, "flow": flow, "algorithm": algorithm,
		"resource": resource,
	}
}

// The function accepted checks that a request was accepted, and that the API saw the key of the
// client.
func accepted(t *testing.T, what string, got seen, thumbprint, subject, client string) {
	t.Helper()
	if got.Status != 200 || got.Key != thumbprint || got.Subject != subject || got.Client != client {
		t.Errorf("%s: %+v; want the key %s, the user %q and the client %s", what, got, thumbprint, subject, client)
	}
}

// A user logs in, and the client gets tokens that are bound to its key. Issuer and client check each
// other, so the test also shows that the thumbprints of jose, oidc-provider and xenaauth are equal.
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
			issuer, a := connected(t, c.nonces)
			s := settings(issuer, a, "code", "ES256", c.resource)
			s["misuse"], s["nonces"] = true, c.nonces
			r := runClient(t, s)
			if !strings.EqualFold(r.Type, "DPoP") {
				t.Errorf("token_type is %q", r.Type)
			}
			if r.Bound != r.Thumbprint && c.resource == jwtResource {
				t.Errorf("the token is bound to %q, and the key is %q", r.Bound, r.Thumbprint)
			}
			accepted(t, "first", r.First, r.Thumbprint, "ann", "app")
			accepted(t, "second", r.Second, r.Thumbprint, "ann", "app")
			accepted(t, "refreshed", r.Refreshed, r.Thumbprint, "ann", "app")
			// Only the first request lacks a nonce. The client keeps the nonce of the response.
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

// checkMisuse checks the responses to proofs that do not prove possession for their request.
func checkMisuse(t *testing.T, r results, nonces bool) {
	t.Helper()
	for _, good := range []string{"once", "still usable"} {
		accepted(t, good, r.Misuse[good], r.Thumbprint, "ann", "app")
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

// The client acts for itself, with keys of every algorithm that the issuer and the client know.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	issuer, a := connected(t, true)
	for _, algorithm := range []string{"ES256", "ES384", "Ed25519", "PS256", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			r := runClient(t, settings(issuer, a, "service", algorithm, jwtResource))
			if r.Bound != r.Thumbprint || r.Thumbprint == "" {
				t.Errorf("the token is bound to %q, and the key is %q", r.Bound, r.Thumbprint)
			}
			accepted(t, "first", r.First, r.Thumbprint, "", "service")
			accepted(t, "second", r.Second, r.Thumbprint, "", "service")
		})
	}
}

// The user logs out at the issuer, which sends a logout token to the API.
func TestLogout(t *testing.T) {
	t.Parallel()
	issuer, a := connected(t, false)
	s := settings(issuer, a, "code", "ES256", jwtResource)
	s["logout"] = true
	r := runClient(t, s)
	accepted(t, "before", r.First, r.Thumbprint, "ann", "app")
	if r.LoggedOut.Status != 401 || r.LoggedOut.Reason != "revoked" ||
		!slices.Equal(r.LoggedOut.Schemes, []string{"bearer", "dpop"}) {
		t.Errorf("after the logout: %+v", r.LoggedOut)
	}
}
