package echov4auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/echov4auth"
	"github.com/xenaauth/xenaauth/adapters/echov4auth/echov4authtest"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// paramSyntax converts the parameters in the path of a route from the syntax of net/http ("{id}")
// to the syntax of echo (":id").
var paramSyntax = strings.NewReplacer("{", ":", "}", "")

func TestMiddleware(t *testing.T) {
	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
		e := echo.New()
		for _, route := range routes {
			group := e.Group("")
			if route.Group != nil {
				group.Use(echov4auth.Require(m, route.Group...))
			}
			guard := echov4auth.Optional
			if !route.Optional {
				guard = func(m *xenaauth.Middleware) echo.MiddlewareFunc { return echov4auth.Require(m, route.Require...) }
			}
			group.Add(route.Method, paramSyntax.Replace(route.Path), func(c echo.Context) error {
				user, ok := echov4auth.User(c)
				route.Serve(c.Response(), c.Request(), user, ok)
				return nil
			}, guard(m))
		}
		return e
	})
}

func newAuth(t *testing.T) *xenaauth.Middleware {
	t.Helper()
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	return xenaauth.NewMiddleware(v, nil)
}

// TestErrorHandler requires that the error handler of the application gets the refusal, and that
// the response is already committed.
func TestErrorHandler(t *testing.T) {
	auth := newAuth(t)
	for path, guard := range map[string]echo.MiddlewareFunc{
		"/require": echov4auth.Require(auth, xenaauth.AnyUser()), "/optional": echov4auth.Optional(auth),
	} {
		e := echo.New()
		var seen []error
		e.HTTPErrorHandler = func(err error, c echo.Context) {
			seen = append(seen, err)
			e.DefaultHTTPErrorHandler(err, c)
		}
		e.GET(path, func(echo.Context) error {
			t.Errorf("%s: the handler runs after a refusal", path)
			return nil
		}, guard)
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer nonsense")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if len(seen) != 1 {
			t.Fatalf("%s: errors %v", path, seen)
		}
		if refusal, ok := errors.AsType[*xenaauth.Error](seen[0]); !ok || refusal.Reason != xenaauth.ReasonMalformedToken {
			t.Errorf("%s: error %v", path, seen[0])
		}
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// TestBehindWriters puts middleware of echo around the guard. Some of this middleware replaces the
// ResponseWriter, holds the response back, or calls the error handler. The response must still have
// one body and the right status.
func TestBehindWriters(t *testing.T) {
	auth := newAuth(t)
	want, _ := (&xenaauth.Error{Reason: xenaauth.ReasonMissingToken}).MarshalJSON()
	for name, use := range map[string][]echo.MiddlewareFunc{
		"gzip":    {middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 10})},
		"logger":  {middleware.RequestLoggerWithConfig(logger)},
		"both":    {middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 10}), middleware.RequestLoggerWithConfig(logger)},
		"recover": {middleware.Recover()},
	} {
		e := echo.New()
		e.Use(use...)
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, echov4auth.Require(auth, xenaauth.AnyUser()))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Body.String() != string(want) {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
}

var logger = middleware.RequestLoggerConfig{
	HandleError:   true,
	LogValuesFunc: func(echo.Context, middleware.RequestLoggerValues) error { return nil },
}

func TestRoutes(t *testing.T) {
	auth := newAuth(t)
	ok := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
	e := echo.New()
	e.GET("/health", ok)
	api := e.Group("/api")
	api.Use(echov4auth.Require(auth, xenaauth.AllScopes("testapi")))
	api.GET("/invoices/:id", ok)
	api.PUT("/files/*", ok)
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: e, Routes: echov4authtest.Routes(e), Public: []string{"GET /health"},
	})
	var names []string
	for _, a := range table {
		names = append(names, a.Name())
		if a.Source == "" || a.Public != (a.Pattern == "/health") || !a.Public && len(a.Scopes) != 1 {
			t.Errorf("%s: %+v", a.Name(), a)
		}
	}
	if got, want := fmt.Sprint(names), "[PUT /api/files/* GET /api/invoices/:id GET /health]"; got != want {
		t.Errorf("routes %s, want %s", got, want)
	}
}
