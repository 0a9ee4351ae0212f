package bearer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

type panickingValidator struct{}

func (panickingValidator) Validate(context.Context, string) (*xenaauth.User, error) { panic("boom") }

// If a middleware of the service recovers from a panic and writes no response, net/http sends 200.
// A request that the guard refused or did not decide about must not get status 200: a proxy that
// asks the service for a decision would treat 200 as permission and let the request pass.
func TestPanicIsNeverAnswered200(t *testing.T) {
	boom := func(context.Context, *xenaauth.User) error { panic("boom") }
	event := &xenaauth.Options{Event: func(context.Context, xenaauth.Event) { panic("boom") }}
	body := &xenaauth.Options{ErrorBody: func(http.ResponseWriter, *http.Request, *xenaauth.Error) { panic("boom") }}
	late := &xenaauth.Options{ErrorBody: func(w http.ResponseWriter, _ *http.Request, _ *xenaauth.Error) {
		w.Header().Del("WWW-Authenticate")
		panic("boom")
	}}
	table := func(rule routes.Rule) func(*http.Request) (routes.Rule, error) {
		return func(*http.Request) (routes.Rule, error) { return rule, nil }
	}
	newMiddleware := func(opts *xenaauth.Options) *xenaauth.Middleware {
		return xenaauth.NewMiddleware(new(harness.ScopeValidator), opts)
	}
	for name, c := range map[string]struct {
		guard         func(http.Handler) http.Handler
		authorization string
		status        int
	}{
		"ErrorBody":             {newMiddleware(body).Require(xenaauth.AnyUser()), "", 401},
		"ErrorBody, scope":      {newMiddleware(body).Require(xenaauth.AllScopes("a")), "Bearer b", 403},
		"ErrorBody, Optional":   {newMiddleware(body).Optional, "Bearer (", 400},
		"ErrorBody, table":      {routes.NewGuard(newMiddleware(body), table(routes.Rule{Access: routes.Deny()})).Handler, "", 403},
		"ErrorBody, challenge":  {newMiddleware(late).Require(xenaauth.AnyUser()), "", 401},
		"Event, refused":        {newMiddleware(event).Require(xenaauth.AnyUser()), "", 503},
		"Event, allowed":        {newMiddleware(event).Require(xenaauth.AnyUser()), "Bearer a", 503},
		"Event, Optional":       {newMiddleware(event).Optional, "", 503},
		"Event, table":          {routes.NewGuard(newMiddleware(event), table(routes.Rule{Access: routes.Public()})).Handler, "", 503},
		"policy":                {newMiddleware(nil).Require(xenaauth.Where("boom", boom)), "Bearer a", 503},
		"policy, table":         {routes.NewGuard(newMiddleware(nil), table(routes.Rule{Access: routes.Require(xenaauth.Where("boom", boom))})).Handler, "Bearer a", 503},
		"find":                  {routes.NewGuard(newMiddleware(nil), func(*http.Request) (routes.Rule, error) { panic("boom") }).Handler, "", 503},
		"TokenValidator":        {xenaauth.NewMiddleware(panickingValidator{}, nil).Require(xenaauth.AnyUser()), "Bearer a", 503},
		"TokenValidator, maybe": {xenaauth.NewMiddleware(panickingValidator{}, nil).Optional, "Bearer a", 503},
	} {
		t.Run(name, func(t *testing.T) {
			served := false
			h := c.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			func() {
				defer func() { require.Equal(t, "boom", recover(), "the panic goes on") }()
				h.ServeHTTP(w, r)
			}()
			require.Equal(t, c.status, w.Result().StatusCode)
			require.False(t, served)
			require.Equal(t, "no-store", w.Result().Header.Get("Cache-Control"))
			switch c.status {
			case 503:
				require.Equal(t, "1", w.Result().Header.Get("Retry-After"))
				require.Empty(t, w.Result().Header.Get("WWW-Authenticate"))
			case 401:
				require.Equal(t, `Bearer realm="xena"`, w.Result().Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// If the handler behind the guard panics, the guard does not answer 503.
func TestPanicOfTheHandlerIsNotAnswered(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	all := func(*http.Request) (routes.Rule, error) { return routes.Rule{Access: routes.Public()}, nil }
	for name, guard := range map[string]func(http.Handler) http.Handler{
		"Require": m.Require(xenaauth.AnyUser()), "Optional": m.Optional, "Guard": routes.NewGuard(m, all).Handler,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer a")
		func() {
			defer func() { require.Equal(t, "boom", recover()) }()
			guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).ServeHTTP(w, r)
		}()
		require.Empty(t, w.Result().Header.Get("Retry-After"), name)
	}
}
