package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// problemType returns the value of the member "type" in the JSON body of a refusal (problem
// details, RFC 9457). It returns "" if the body has no such member.
func problemType(t *testing.T, body []byte) string {
	t.Helper()
	var problem struct{ Type string }
	require.NoError(t, json.Unmarshal(body, &problem))
	return problem.Type
}

// If Options.ProblemTypes is set, the JSON body of a refusal has the member "type". Its value
// depends on the reason of the refusal. A reason that the library does not know gets the type of
// ReasonUnavailable. If the option is not set, the body has no member "type".
func TestProblemTypes(t *testing.T) {
	const types = "https://api.example/problems#"
	quiet := xenaauth.Options{Logger: harness.NoLog}
	typed := quiet
	typed.ProblemTypes = types
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &typed)
	plain := xenaauth.NewMiddleware(new(harness.ScopeValidator), &quiet)
	deny := func(m *xenaauth.Middleware, err error) string {
		w := httptest.NewRecorder()
		m.Deny(w, httptest.NewRequest("GET", "/", nil), err)
		return problemType(t, w.Body.Bytes())
	}
	for reason := range harness.Refusals {
		err := &xenaauth.Error{Reason: reason}
		// The test makes the middleware refuse a request twice with the same error. The middleware
		// reads the second response from its cache. Both responses must have the same problem type.
		for range 2 {
			require.Equal(t, types+string(reason), deny(m, err))
		}
		require.Empty(t, deny(plain, err))
		require.Empty(t, deny(plain, m.Refuse(httptest.NewRequest("GET", "/", nil), err)), "the type belongs to the middleware that responds")
	}
	for _, err := range []error{errors.New("down"), &xenaauth.Error{Reason: "of my own"}, nil} {
		require.Equal(t, types+"unavailable", deny(m, err))
	}
}

// The JSON encoding of an Error contains the problem type. The service can write this JSON into the
// response: in the function Options.ErrorBody, or after a call of Check.
func TestProblemTypesInErrors(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{
		Logger: harness.NoLog, ProblemTypes: "urn:example:",
		ErrorBody: func(w http.ResponseWriter, _ *http.Request, e *xenaauth.Error) { _ = json.NewEncoder(w).Encode(e) },
	})
	w := harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
	require.Equal(t, "urn:example:missing_token", problemType(t, w.Body.Bytes()))
	_, err := m.Check(httptest.NewRequest("GET", "/", nil))
	body, err := json.Marshal(err)
	require.NoError(t, err)
	require.Equal(t, "urn:example:missing_token", problemType(t, body))
}

// The middleware keeps the body of a refusal, and sends it again for equal refusals. The first of
// these refusals may come through the method Challenge, which writes no body. This happens after a
// panic of a policy, or if an adapter reports an outage. The error of this first refusal may have
// no problem type, or the problem type of another middleware. The body of a later, equal refusal
// must still have the problem type of the middleware that responds.
func TestProblemTypesAfterChallenge(t *testing.T) {
	const types = "https://api.example/problems#"
	newMiddleware := func(types string) *xenaauth.Middleware {
		return xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Logger: harness.NoLog, ProblemTypes: types})
	}
	panicking := xenaauth.Where("boom", func(context.Context, *xenaauth.User) error { panic("boom") })
	serve := func(guarded http.Handler) {
		defer func() { require.Equal(t, "boom", recover()) }()
		harness.Send(guarded, t.Context(), "GET", "Bearer a")
	}
	outage := &xenaauth.Error{Reason: xenaauth.ReasonUnavailable}
	for name, first := range map[string]func(*xenaauth.Middleware){
		"a panic": func(m *xenaauth.Middleware) { serve(m.Require(panicking)(harness.Teapot)) },
		"a panic behind a table": func(m *xenaauth.Middleware) {
			rule := routes.Rule{Access: routes.Require(panicking)}
			serve(routes.NewGuard(m, func(*http.Request) (routes.Rule, error) { return rule, nil }).Handler(harness.Teapot))
		},
		"Challenge": func(m *xenaauth.Middleware) {
			require.Equal(t, 503, m.Challenge(make(http.Header), nil, outage))
		},
		"Challenge with the error of another middleware": func(m *xenaauth.Middleware) {
			r := httptest.NewRequest("GET", "/", nil)
			require.Equal(t, 503, m.Challenge(make(http.Header), r, newMiddleware("urn:other:").Refuse(r, outage)))
		},
	} {
		m, plain := newMiddleware(types), newMiddleware("")
		for m, want := range map[*xenaauth.Middleware]string{m: types + "unavailable", plain: ""} {
			first(m)
			w := httptest.NewRecorder()
			m.Deny(w, httptest.NewRequest("GET", "/", nil), outage)
			require.Equal(t, 503, w.Code, name)
			require.Equal(t, want, problemType(t, w.Body.Bytes()), name)
		}
	}
}

// NewMiddleware panics if Options.ProblemTypes followed by a reason is not an absolute URI.
func TestProblemTypesMustBeURIs(t *testing.T) {
	for _, wrong := range []string{"problems/", "//api.example/", "https://api.example/\n", "https://api.example/é", ":", `https://a.example/"`, "https://a.example/a b"} {
		require.Panics(t, func() {
			xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{ProblemTypes: wrong})
		}, wrong)
	}
	for _, good := range []string{"", "https://api.example/problems/", "urn:problem:", "https://" + strings.Repeat("a", 60) + "/#"} {
		require.NotPanics(t, func() {
			xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{ProblemTypes: good})
		}, good)
	}
}
