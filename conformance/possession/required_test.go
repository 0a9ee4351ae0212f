package possession_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Each of these texts contains the error parameters of a challenge, as the tests expect them.
const (
	unboundError = `error="invalid_token", error_description="This resource needs an access token that is bound to a key."`
	unshownError = `error="invalid_token", error_description="The access token is bound to a key that was not shown."`
	plainError   = `error="invalid_token", error_description="The access token is not bound to a key."`
	requestError = `error="invalid_request", error_description="The Authorization field is malformed."`
)

func requiringProof(v xenaauth.TokenValidator, proofs ...xenaauth.Proof) *xenaauth.Middleware {
	return xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs: proofs, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
	})
}

// If Options.RequireProof is set, or if the requirements of a route contain BoundToken, a token
// must be bound to a key. In both cases, a refusal has challenges only for the authentication
// schemes of the configured proofs. If the request used one of these schemes, the challenge for
// this scheme contains the error. Otherwise each challenge contains the error.
func TestBoundTokenRequired(t *testing.T) {
	s := start(t, nil, newKeyProof(), newCertProof())
	bound := s.token(map[string]any{"key": "k"})
	certified := s.token(map[string]any{"x5t#S256": "c"})
	plain := s.issuer.JWT(xenaauthtest.Token{})
	const bearer, key = `Bearer realm="xena"`, `Key realm="xena"`
	for name, tt := range map[string]struct {
		proofs     []xenaauth.Proof
		lines      []string
		status     int
		challenges []string
	}{
		"bound":                           {[]xenaauth.Proof{newKeyProof()}, []string{"Key " + bound}, 418, nil},
		"bound to a certificate":          {[]xenaauth.Proof{newCertProof()}, []string{"Bearer " + certified}, 418, nil},
		"not bound":                       {[]xenaauth.Proof{newKeyProof()}, []string{"Bearer " + plain}, 401, []string{key + ", " + unboundError}},
		"not bound, Bearer is offered":    {[]xenaauth.Proof{newKeyProof(), newCertProof()}, []string{"Bearer " + plain}, 401, []string{bearer + ", " + unboundError, key}},
		"not bound, the scheme of a key":  {[]xenaauth.Proof{newKeyProof()}, []string{"Key " + plain}, 401, []string{key + ", " + plainError}},
		"bound, as Bearer":                {[]xenaauth.Proof{newKeyProof()}, []string{"Bearer " + bound}, 401, []string{key + ", " + unshownError}},
		"no token":                        {[]xenaauth.Proof{newKeyProof()}, nil, 401, []string{key}},
		"no token, two proofs":            {[]xenaauth.Proof{newKeyProof(), newCertProof()}, nil, 401, []string{bearer, key}},
		"another scheme":                  {[]xenaauth.Proof{newKeyProof()}, []string{"Basic eDp5"}, 401, []string{key}},
		"two fields":                      {[]xenaauth.Proof{newKeyProof()}, []string{"Key " + bound, "Bearer " + plain}, 400, []string{key + ", " + requestError}},
		"two fields, both schemes":        {[]xenaauth.Proof{newKeyProof(), newCertProof()}, []string{"Key " + bound, "Bearer " + bound}, 400, []string{bearer + ", " + requestError, key + ", " + requestError}},
		"a certificate instead of a key":  {[]xenaauth.Proof{newKeyProof()}, []string{"Bearer " + certified}, 401, []string{key + ", " + unshownError}},
		"a malformed field of a key":      {[]xenaauth.Proof{newKeyProof()}, []string{"Key"}, 400, []string{key + ", " + requestError}},
		"a malformed field without a key": {[]xenaauth.Proof{newKeyProof()}, []string{"Bearer"}, 400, []string{key + ", " + requestError}},
	} {
		t.Run(name, func(t *testing.T) {
			all := requiringProof(s.validator, tt.proofs...)
			one := middleware(s.validator, tt.proofs...)
			for form, guarded := range map[string]http.Handler{
				"RequireProof": all.Require(xenaauth.AnyUser())(harness.Teapot),
				"optional":     all.Optional(harness.Teapot),
				"BoundToken":   one.Require(xenaauth.BoundToken())(harness.Teapot),
				"AllOf":        one.Require(xenaauth.AllOf(xenaauth.AnyUser(), xenaauth.BoundToken()))(harness.Teapot),
				"AnyOf":        one.Require(xenaauth.AnyOf(xenaauth.BoundToken(), xenaauth.BoundToken()))(harness.Teapot),
			} {
				for _, proof := range tt.proofs {
					clear(proof.(*fieldProof).used)
				}
				r := newRequest("", "Proof", "k", "Cert", "c")
				r.Header["Authorization"] = tt.lines
				w := send(guarded, r)
				if form == "optional" && (tt.lines == nil || tt.lines[0] == "Basic eDp5") {
					require.Equal(t, 418, w.Code)
					continue
				}
				require.Equal(t, tt.status, w.Code, "%s: %s", form, w.Body)
				if name == "not bound, the scheme of a key" && (form == "RequireProof" || form == "optional") {
					// Here the middleware itself requires a bound token (RequireProof). The error
					// is then the same as for a token with the scheme Bearer: it says that this
					// resource needs a bound token.
					tt.challenges = []string{key + ", " + unboundError}
				} else if name == "not bound, the scheme of a key" {
					tt.challenges = []string{key + ", " + plainError}
				}
				require.Equal(t, tt.challenges, w.Header()["Www-Authenticate"], form)
			}
		})
	}
}

// This route accepts a bound token, or a token with the scope admin. Because a token with the scope
// admin need not be bound, the challenges of this route are the same as without BoundToken.
func TestBoundTokenIsOneOfTwoWays(t *testing.T) {
	s := start(t, nil, newKeyProof())
	either := s.m.Require(xenaauth.AnyOf(xenaauth.BoundToken(), xenaauth.AllScopes("admin")))(harness.Teapot)
	require.Equal(t, 418, send(either, newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k")).Code)
	admin := s.issuer.JWT(xenaauthtest.Token{Scopes: []string{"admin"}})
	require.Equal(t, 418, send(either, newRequest("Bearer "+admin)).Code)
	w := send(either, newRequest("Bearer "+s.issuer.JWT(xenaauthtest.Token{})))
	require.Equal(t, 403, w.Code)
	require.Len(t, w.Header()["Www-Authenticate"], 2)
}

// If a token is refused because it is not bound to a key, the challenge also names the scopes that
// the route requires.
func TestBoundTokenAndScopes(t *testing.T) {
	s := start(t, nil, newKeyProof())
	h := s.m.Require(xenaauth.BoundToken(), xenaauth.AllScopes("pay"))(harness.Teapot)
	w := send(h, newRequest("Bearer "+s.issuer.JWT(xenaauthtest.Token{})))
	require.Equal(t, 401, w.Code)
	require.Equal(t, []string{`Key realm="xena", ` + unboundError + `, scope="pay"`}, w.Header()["Www-Authenticate"])
	require.Contains(t, w.Body.String(), `"reason":"confirmation"`)
	// If a bound token lacks a scope, the challenge for the scheme of the proof names the scope.
	w = send(h, newRequest("Key "+s.token(map[string]any{"key": "k"}), "Proof", "k"))
	require.Equal(t, 403, w.Code)
	require.Len(t, w.Header()["Www-Authenticate"], 1)
	require.Contains(t, w.Header().Get("WWW-Authenticate"), `Key realm="xena", error="insufficient_scope"`)
}

// The method Check of the requirement BoundToken decides by the user only. It needs no HTTP
// request.
func TestBoundTokenWithoutARequest(t *testing.T) {
	bound, err := xenaauth.NewUser(map[string]any{"sub": "ann", "cnf": map[string]any{"jkt": "k"}})
	require.NoError(t, err)
	plain, err := xenaauth.NewUser(map[string]any{"sub": "ann"})
	require.NoError(t, err)
	r := xenaauth.BoundToken()
	require.NoError(t, r.Check(t.Context(), bound))
	var refusal *xenaauth.Error
	require.ErrorAs(t, r.Check(t.Context(), plain), &refusal)
	require.Equal(t, xenaauth.ReasonConfirmation, refusal.Reason)
	require.Equal(t, 401, refusal.StatusCode())
	require.ErrorContains(t, refusal, "cnf")
	require.ErrorAs(t, r.Check(t.Context(), nil), &refusal)
	require.Equal(t, xenaauth.ReasonMissingToken, refusal.Reason)
	require.ErrorAs(t, r.Check(t.Context(), new(xenaauth.User)), &refusal, "the zero user is not bound")

	require.Equal(t, "bound token", r.String())
	require.Equal(t, []string{"bound token"}, r.Policies())
	require.Equal(t, [][]string{nil}, r.Alternatives())
	require.Equal(t, "bound token and pay", xenaauth.AllOf(r, xenaauth.AllScopes("pay")).String())
}

// A route or a middleware may require a bound token although the middleware checks no proofs of
// possession. It could then accept no token at all. This mistake in the configuration causes a
// panic when the service starts. A policy with the name of BoundToken causes a panic too.
func TestBoundTokenWithoutProofs(t *testing.T) {
	s := start(t, nil)
	require.Panics(t, func() { s.m.Require(xenaauth.BoundToken()) })
	require.Panics(t, func() { s.m.Require(xenaauth.AnyUser(), xenaauth.AllOf(xenaauth.BoundToken())) })
	require.Panics(t, func() { requiringProof(s.validator) })
	require.Panics(t, func() {
		xenaauth.Where("bound token", func(context.Context, *xenaauth.User) error { return nil })
	})
	require.Panics(t, func() {
		xenaauth.WhereRequest("bound token", func(*http.Request, *xenaauth.User) error { return errors.New("no") })
	})
	// Here a route requires a bound token, but the middleware checks no proofs of possession. Check
	// gets the requirements only with a request, for example from a table of routes. So it cannot
	// panic when the service starts. Instead it refuses every token for this route.
	_, err := s.m.Check(newRequest("Bearer "+s.issuer.JWT(xenaauthtest.Token{})), xenaauth.BoundToken())
	var refusal *xenaauth.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, xenaauth.ReasonConfirmation, refusal.Reason)
	h := make(http.Header)
	require.Equal(t, 401, s.m.Challenge(h, nil, err))
	require.Equal(t, []string{`Bearer realm="xena", ` + unboundError}, h["Www-Authenticate"])
}
