package possession_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A validator of the service may return users from its own cache. A request with a bound token
// still needs a proof of possession, even if the user of the token comes from this cache.
func TestCachedUserNeedsProof(t *testing.T) {
	s := start(t, nil)
	v := userCache{s.validator, make(map[string]*xenaauth.User)}
	token := s.token(map[string]any{"key": "k"})
	with := middleware(v, newKeyProof()).Require(xenaauth.AnyUser())(harness.Teapot)
	without := middleware(v).Require(xenaauth.AnyUser())(harness.Teapot)
	require.Equal(t, 401, send(with, newRequest("Key "+token)).Code)
	require.Equal(t, 418, send(with, newRequest("Key "+token, "Proof", "k")).Code)
	require.Contains(t, v.users, token)
	require.Equal(t, 401, send(with, newRequest("Key "+token)).Code)
	require.Equal(t, 401, send(with, newRequest("Bearer "+token, "Proof", "k")).Code)
	require.Equal(t, 401, send(without, newRequest("Bearer "+token, "Proof", "k")).Code)
}

// A proof of possession may be valid only once. If a request passes several guards, the first guard
// checks the proof for all of them, even if the guards belong to two middlewares that have the same
// Proof.
func TestNestedGuardsConfirmOnce(t *testing.T) {
	proof := newKeyProof()
	s := start(t, nil, proof)
	token := s.token(map[string]any{"key": "k"})
	other := middleware(s.validator, proof)
	h := s.m.Require(xenaauth.AnyUser())(s.m.Optional(other.Require(xenaauth.AnyUser())(s.m.Require(xenaauth.AnyUser())(harness.Teapot))))
	w := send(h, newRequest("Key "+token, "Proof", "k"))
	require.Equal(t, 418, w.Code)
	require.Equal(t, []string{token}, proof.calls)
	require.Equal(t, 401, send(h, newRequest("Key "+token, "Proof", "k")).Code, "another request with the same proof")
}

// A request goes through the guards of two middlewares, which check different proofs of possession.
// The outer middleware confirms its proof. The inner middleware still requires the other proof.
func TestTwoMiddlewaresWithDifferentProofs(t *testing.T) {
	outer, inner := newKeyProof(), newKeyProof()
	inner.field = "Other-Proof"
	s := start(t, nil, outer)
	h := s.m.Require(xenaauth.AnyUser())(middleware(s.validator, inner).Require(xenaauth.AnyUser())(harness.Teapot))
	token := s.token(map[string]any{"key": "k"})
	require.Equal(t, 401, send(h, newRequest("Key "+token, "Proof", "k")).Code)
	clear(outer.used)
	require.Equal(t, 418, send(h, newRequest("Key "+token, "Proof", "k", "Other-Proof", "k")).Code)

	// An inner middleware without proofs of possession refuses the bound token, although the outer
	// middleware has accepted it.
	clear(outer.used)
	h = s.m.Require(xenaauth.AnyUser())(middleware(s.validator).Require(xenaauth.AnyUser())(harness.Teapot))
	require.Equal(t, 401, send(h, newRequest("Key "+token, "Proof", "k")).Code)
}

// A handler may use the context of its accepted request for a second request with other
// credentials. The second request still needs its own proof of possession.
func TestBorrowedContextNeedsProof(t *testing.T) {
	proof := newKeyProof()
	s := start(t, nil, proof)
	token, stolen := s.token(map[string]any{"key": "k"}), s.token(map[string]any{"key": "k", "stolen": true})
	inner := s.guardedHandler()
	var codes []int
	outer := s.m.Require(xenaauth.AnyUser())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, authorization := range []string{"Key " + stolen, "Bearer " + token, "key " + token, ""} {
			codes = append(codes, send(inner, newRequest(authorization).WithContext(r.Context())).Code)
		}
		// Here the handler itself calls Validate. No proof of possession was checked for this
		// token, so the token is refused.
		_, err := s.validator.Validate(r.Context(), stolen)
		require.ErrorAs(t, err, new(*xenaauth.Error))
	}))
	require.Equal(t, 200, send(outer, newRequest("Key "+token, "Proof", "k")).Code)
	require.Equal(t, []int{401, 401, 401, 400}, codes)
}

// The function Config.Subject may call Validate with another bound token than the token of the
// request. Validate refuses that token, because no proof of possession was checked for it.
func TestSubjectResolverNeedsProof(t *testing.T) {
	var s *testService
	var stolen string
	calls := 0
	s = start(t, func(c *xenaauth.Config) {
		c.Subject = func(ctx context.Context, _ *xenaauth.User) (string, error) {
			calls++
			_, err := s.validator.Validate(ctx, stolen)
			require.Error(t, err)
			return "ann", nil
		}
	}, newKeyProof())
	stolen = s.token(map[string]any{"key": "k"})
	token := s.issuer.JWT(xenaauthtest.Token{Machine: true, Claims: map[string]any{"cnf": map[string]any{"key": "k"}}})
	require.Equal(t, 418, send(s.guardedHandler(), newRequest("Key "+token, "Proof", "k")).Code)
	require.Equal(t, 1, calls)
}

// Another package may put a user into the context of a request. The request still needs a valid
// token and, if the token is bound to a key, a proof of possession.
func TestPlantedUserNeedsProof(t *testing.T) {
	s := start(t, nil, newKeyProof())
	user, err := xenaauth.NewUser(map[string]any{"sub": "mallory", "cnf": map[string]any{"key": "k"}})
	require.NoError(t, err)
	r := newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k2")
	require.Equal(t, 401, send(s.guardedHandler(), r.WithContext(xenaauth.ContextWithUser(r.Context(), user))).Code)
}
