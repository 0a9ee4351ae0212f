package possession_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
)

// Each case describes a way in which the check of a proof of possession can fail, and the response
// that the client gets.
func TestProofErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"an error that is no refusal": {errors.New("redis://secret@db is away"), 503},
		"an ended context":            {context.DeadlineExceeded, 503},
		"a nil refusal":               {(*xenaauth.Error)(nil), 503},
		"a refusal":                   {&xenaauth.Error{Reason: xenaauth.ReasonConfirmation}, 401},
		"a refusal of the request":    {&xenaauth.Error{Reason: xenaauth.ReasonMalformedRequest}, 400},
		"a refusal inside":            {errors.Join(errors.New("x"), &xenaauth.Error{Reason: xenaauth.ReasonConfirmation}), 401},
	} {
		proof := newKeyProof()
		proof.err = tt.err
		s := start(t, nil, proof)
		w := send(s.guardedHandler(), newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k"))
		require.Equal(t, tt.status, w.Code, name)
		require.NotContains(t, w.Body.String(), "secret", name)
	}
}

// A refusal has one challenge for each authentication scheme that the middleware accepts. The
// challenge for the scheme of the request contains the error. If the request has more than one
// Authorization field, its scheme is unclear, and each challenge contains the error.
func TestChallenges(t *testing.T) {
	proof := newKeyProof()
	proof.params = map[string]string{"algs": "ES256 EdDSA"}
	s := start(t, nil, proof, newCertProof())
	bound := s.token(map[string]any{"key": "k"})
	for name, tt := range map[string]struct {
		authorization []string
		status        int
		challenges    []string
	}{
		"none":         {nil, 401, []string{`Bearer realm="xena"`, `Key realm="xena", algs="ES256 EdDSA"`}},
		"other scheme": {[]string{"Basic YTpi"}, 401, []string{`Bearer realm="xena"`, `Key realm="xena", algs="ES256 EdDSA"`}},
		"bad proof": {[]string{"Key " + bound}, 401, []string{
			`Bearer realm="xena"`,
			`Key realm="xena", error="bad_key", error_description="The access token is bound to a key that was not shown.", algs="ES256 EdDSA"`,
		}},
		"scheme alone": {[]string{"Key"}, 400, []string{
			`Bearer realm="xena"`,
			`Key realm="xena", error="invalid_request", error_description="The Authorization field is malformed.", algs="ES256 EdDSA"`,
		}},
		"bad Bearer token": {[]string{"Bearer x"}, 401, []string{
			`Bearer realm="xena", error="invalid_token", error_description="The access token is not active."`,
			`Key realm="xena", algs="ES256 EdDSA"`,
		}},
		"two fields": {[]string{"Key " + bound, "Bearer " + bound}, 400, []string{
			`Bearer realm="xena", error="invalid_request", error_description="The Authorization field is malformed."`,
			`Key realm="xena", error="invalid_request", error_description="The Authorization field is malformed.", algs="ES256 EdDSA"`,
		}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.authorization != nil {
			r.Header["Authorization"] = tt.authorization
		}
		// The loop sends the same request twice. For the second request, the middleware reads the
		// challenges, which are the values of WWW-Authenticate, from its cache.
		for range 2 {
			w := send(s.guardedHandler(), r)
			require.Equal(t, tt.status, w.Code, name)
			require.Equal(t, tt.challenges, w.Header().Values("WWW-Authenticate"), name)
		}
	}
}

// If a request is accepted, each proof of possession that was confirmed can set header fields of
// the response. This is true for the handlers of the middleware, and for adapters that call Check
// and Challenge.
func TestRespond(t *testing.T) {
	s := start(t, nil, newKeyProof(), newCertProof())
	both := s.token(map[string]any{"key": "k", "x5t#S256": "c"})
	got := send(s.guardedHandler(), newRequest("Key "+both, "Proof", "k", "Cert", "c")).Header().Values("Confirmed")
	slices.Sort(got)
	require.Equal(t, []string{"key", "x5t#S256"}, got)

	allowed, err := s.m.Check(newRequest("Key "+s.token(map[string]any{"key": "k3"}), "Proof", "k3"))
	require.NoError(t, err)
	h := make(http.Header)
	require.Equal(t, 200, s.m.Challenge(h, allowed, nil))
	require.Equal(t, http.Header{"Confirmed": {"key"}}, h)

	h = make(http.Header)
	require.Equal(t, 503, s.m.Challenge(h, nil, nil), "neither a request nor an error")
}

// If the method Confirm of a proof of possession panics, the request is refused with 503.
func TestPanickingProof(t *testing.T) {
	proof := newKeyProof()
	proof.used = nil // the write to this nil map panics
	s := start(t, nil, proof)
	w := httptest.NewRecorder()
	require.Panics(t, func() {
		s.guardedHandler().ServeHTTP(w, newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k"))
	})
	require.Equal(t, 503, w.Code)
}

// If a proof of possession in Options.Proofs cannot work, for example because its scheme is "",
// NewMiddleware panics.
func TestProofMistakes(t *testing.T) {
	for name, proofs := range map[string][]xenaauth.Proof{
		"nil":                       {nil},
		"a nil pointer":             {(*fieldProof)(nil)},
		"no scheme":                 {&fieldProof{member: "key"}},
		"an illegal scheme":         {&fieldProof{scheme: "a b", member: "key"}},
		"no member":                 {&fieldProof{scheme: "Key"}},
		"two proofs for one member": {newKeyProof(), newKeyProof()},
		"an illegal parameter":      {&fieldProof{scheme: "Key", member: "key", params: map[string]string{"a b": "c"}}},
		"a parameter of the middleware": {
			&fieldProof{scheme: "Key", member: "key", params: map[string]string{"realm": "c"}},
		},
	} {
		require.Panics(t, func() { middleware(harness.FixedValidator{}, proofs...) }, name)
	}
}
