package possession_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

const ordersURL = "https://api.example/orders"

// dpopAPI is an API that checks DPoP proofs, and a client of this API. The client has a token that
// is bound to the key of the client.
type dpopAPI struct {
	issuer *xenaauthtest.Issuer
	m      *xenaauth.Middleware
	proof  *dpop.Proof
	client *xenaauthtest.Client
	log    *harness.LogRecorder
}

// serveDPoP returns an API that checks DPoP proofs. If required is true, the API refuses each token
// that is not bound to a key. If change is not nil, it changes the configuration of the DPoP check.
func serveDPoP(t testing.TB, required bool, change func(*dpop.Config)) *dpopAPI {
	t.Helper()
	a := &dpopAPI{issuer: harness.NewIssuer(), log: new(harness.LogRecorder)}
	cfg := dpop.Config{PublicOrigins: []string{"https://api.example"}}
	if change != nil {
		change(&cfg)
	}
	var err error
	a.proof, err = dpop.New(cfg)
	require.NoError(t, err)
	a.m = xenaauth.NewMiddleware(harness.NewValidator(t, a.issuer.HybridConfig()), &xenaauth.Options{
		Proofs: []xenaauth.Proof{a.proof}, RequireProof: required, Logger: slog.New(a.log),
	})
	a.client = xenaauthtest.NewDPoPClient(nil)
	a.client.Handler = a.m.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))(harness.Teapot)
	a.client.Token = a.issuer.JWT(xenaauthtest.Token{BoundTo: a.client})
	return a
}

// dpopAPI.get sends a GET request of the client for ordersURL. The parameter fieldPairs contains
// header fields of the request, as pairs of a name and a value. The client adds its token and a
// DPoP proof, unless fieldPairs contains them.
func (a *dpopAPI) get(t testing.TB, fieldPairs ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ordersURL, nil)
	require.NoError(t, err)
	for i := 0; i < len(fieldPairs); i += 2 {
		r.Header.Add(fieldPairs[i], fieldPairs[i+1])
	}
	resp, err := a.client.RoundTrip(r)
	require.NoError(t, err)
	_ = resp.Body.Close()
	return resp
}

// dpopAPI.getEdited sends a GET request of the client for ordersURL. Before the client signs the
// DPoP proof of the request, the function edit changes the header and the claims of the proof.
func (a *dpopAPI) getEdited(t testing.TB, edit func(header, claims map[string]any)) *http.Response {
	t.Helper()
	a.client.Edit = edit
	defer func() { a.client.Edit = nil }()
	return a.get(t)
}

const (
	algs          = `algs="ES256 Ed25519 EdDSA ES384 PS256 PS384 PS512 RS256 RS384 RS512"`
	bareDPoP      = `DPoP realm="xena", scope="testapi", ` + algs
	bareBearer    = `Bearer realm="xena", scope="testapi"`
	badProof      = `error="invalid_dpop_proof", error_description="The proof of possession is missing or wrong."`
	replayedProof = `error="invalid_dpop_proof", error_description="The proof of possession was used before."`
	needsNonce    = `error="use_dpop_nonce", error_description="The proof of possession needs the nonce of this response."`
)

// challengeWithError returns a challenge for an authentication scheme. The text err contains the
// error parameters of the challenge.
func challengeWithError(scheme, err string) string {
	if scheme == "DPoP" {
		return `DPoP realm="xena", ` + err + `, scope="testapi", ` + algs
	}
	return `Bearer realm="xena", ` + err + `, scope="testapi"`
}

// requireChallenges requires that the response resp has the given status and exactly the given
// challenges.
func requireChallenges(t testing.TB, resp *http.Response, status int, challenges ...string) {
	t.Helper()
	require.Equal(t, status, resp.StatusCode)
	require.Equal(t, challenges, resp.Header.Values("WWW-Authenticate"))
}
