//go:build !race

package cost_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// routesToRefuse returns the requirements of several routes. The simplest route requires one scope,
// and the largest has the highest allowed number of scope combinations.
func routesToRefuse() map[string][]xenaauth.Requirement {
	return map[string][]xenaauth.Requirement{
		"one scope":              {xenaauth.AllScopes("a")},
		"two requirements":       {xenaauth.AllScopes("a"), xenaauth.AllScopes("b")},
		"two choices of 16":      {harness.OneOfScopes("a", 16), harness.OneOfScopes("b", 16)},
		"two choices of 16, all": {xenaauth.AllOf(harness.OneOfScopes("a", 16), harness.OneOfScopes("b", 16))},
		"eight choices of 2": {
			harness.OneOfScopes("a", 2), harness.OneOfScopes("b", 2), harness.OneOfScopes("c", 2), harness.OneOfScopes("d", 2), harness.OneOfScopes("e", 2), harness.OneOfScopes("f", 2), harness.OneOfScopes("g", 2), harness.OneOfScopes("h", 2),
		},
	}
}

func refusing(t testing.TB, guard func(*xenaauth.Middleware, []xenaauth.Requirement) http.Handler, rs []xenaauth.Requirement) (run func()) {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	run = forgery(t, issuer.JWT(xenaauthtest.Token{}), guard(xenaauth.NewMiddleware(v, nil), rs))
	run()
	// At the second request the library puts the token into its table of tokens in use.
	run()
	return run
}

func requireHandler(m *xenaauth.Middleware, rs []xenaauth.Requirement) http.Handler {
	return m.Require(rs...)(http.HandlerFunc(harness.Hello))
}

// checkHandler returns a handler that calls Check with the requirements rs for each request.
// Adapters for other protocols do the same.
func checkHandler(m *xenaauth.Middleware, rs []xenaauth.Requirement) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Check(r, rs...)
		m.Deny(w, r, err)
	})
}

// Adapters for other protocols call Check with the requirements of the route for each request. So
// Check must not compute all combinations of scopes for a refusal. The same is true for the
// handlers of Require.
func TestRefusalsAllocateLittle(t *testing.T) {
	for name, rs := range routesToRefuse() {
		for _, guard := range []func(*xenaauth.Middleware, []xenaauth.Requirement) http.Handler{requireHandler, checkHandler} {
			run := refusing(t, guard, rs)
			require.LessOrEqual(t, testing.AllocsPerRun(50, run), 20.0, name)
		}
	}
}

// Before the library logs a refusal, it replaces the words of the Authorization field in the log
// line by "[credentials]". In this test the field repeats the word "dential", which is a part of
// "[credentials]". So after a replacement the line is longer and still contains the word. The
// library makes only few replacements for one line. So the refusal of a field of a megabyte costs
// no more to log than the refusal of a short field.
func TestLongFieldIsCheapToLog(t *testing.T) {
	field := "Bearer Options.MaxTokenLength " + strings.Repeat("dential ", 1<<17)
	requests := make(chan *http.Request, 4)
	for range cap(requests) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", field)
		requests <- r
	}
	log := new(harness.JSONLog)
	guarded := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: log.Logger()}).Require(xenaauth.AnyUser())(harness.Teapot)
	allocs := testing.AllocsPerRun(cap(requests)-1, func() { guarded.ServeHTTP(httptest.NewRecorder(), <-requests) })
	require.Less(t, allocs, 300.0)
	require.Len(t, log.Take(t), cap(requests))
}

func BenchmarkRefusal(b *testing.B) {
	for name, rs := range routesToRefuse() {
		b.Run("Require/"+name, func(b *testing.B) {
			b.ReportAllocs()
			run := refusing(b, requireHandler, rs)
			for b.Loop() {
				run()
			}
		})
		b.Run("Check/"+name, func(b *testing.B) {
			b.ReportAllocs()
			run := refusing(b, checkHandler, rs)
			for b.Loop() {
				run()
			}
		})
	}
}
