//go:build !race

package cost_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header         { return w.header }
func (w nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w nowhere) WriteHeader(int)             {}

// This test counts the allocations of a request exactly. With the race detector, a request makes
// more allocations. So the build tag !race excludes this file from a build with the race detector.
func TestAllocations(t *testing.T) {
	serve := func(h http.Handler, tokens ...string) func() {
		requests := make([]*http.Request, len(tokens))
		for i, token := range tokens {
			requests[i], _ = http.NewRequest("GET", "/", nil)
			requests[i].Header.Set("Authorization", "Bearer "+token)
		}
		w := nowhere{make(http.Header)}
		i := 0
		return func() {
			clear(w.header)
			h.ServeHTTP(w, requests[i%len(requests)])
			i++
		}
	}
	for algorithm, cold := range map[string]float64{"RS256": 17, "ES256": 19, "EdDSA": 8} {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: algorithm})
		v, err := xenaauth.NewValidator(issuer.HybridConfig())
		require.NoError(t, err)
		h := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("testapi"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		token, opaque := issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})
		for _, warm := range []string{token, opaque} {
			run := serve(h, warm)
			run() // at the first request the library verifies the token
			// At the second request the library finds the token in its cache. From then on, the
			// token counts as a token in use.
			run()
			require.LessOrEqual(t, testing.AllocsPerRun(200, run), 1.0, "a token in use")
		}
		require.Zero(t, testing.AllocsPerRun(200, func() { _, _ = v.Validate(t.Context(), token) }), "looking up a token in use")

		unseen := make([]string, 201)
		for i := range unseen {
			unseen[i] = issuer.JWT(xenaauthtest.Token{})
		}
		require.LessOrEqual(t, testing.AllocsPerRun(200, serve(h, unseen...)), cold, "an unseen %s token", algorithm)
		require.LessOrEqual(t, testing.AllocsPerRun(200, serve(h, "e.x.y")), 4.0, "garbage")
	}
}

// Options.Event and proofs of possession cost allocations only in a middleware whose Options
// contain them.
func TestAllocationsWithListenerAndProofs(t *testing.T) {
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	for name, tt := range map[string]struct {
		opts *xenaauth.Options
		most float64
	}{
		"neither":    {nil, 1},
		"a listener": {&xenaauth.Options{Event: func(context.Context, xenaauth.Event) {}}, 3},
		"a proof":    {&xenaauth.Options{Proofs: []xenaauth.Proof{noProof{}}}, 2},
	} {
		h := xenaauth.NewMiddleware(v, tt.opts).Require(xenaauth.AllScopes("testapi"))(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		w := httptest.NewRecorder()
		run := func() { h.ServeHTTP(w, r) }
		run()
		// At the second request the library puts the token into its table of tokens in use.
		run()
		require.LessOrEqual(t, testing.AllocsPerRun(200, run), tt.most, name)
	}
}

// noProof is a proof of possession that confirms no token.
type noProof struct{}

func (noProof) Scheme() string                              { return "Key" }
func (noProof) Member() string                              { return "key" }
func (noProof) Params() map[string]string                   { return nil }
func (noProof) Respond(http.Header, *http.Request, error)   {}
func (noProof) Confirm(*http.Request, string, string) error { return errors.New("no key") }
