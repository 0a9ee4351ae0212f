package echoauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/echoauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestPathValues requires that a policy gets the same path values as the handler gets from echo's
// Param. The guard is on all routes, on a group or on one route, and the paths are unusual.
func TestPathValues(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	token := "Bearer " + issuer.JWT(xenaauthtest.Token{})
	for _, c := range []struct {
		route, target string
		want          map[string]string
	}{
		{"/a/:id", "/a/7", map[string]string{"id": "7", "other": ""}},
		{"/a/:id", "/a/x%20y", map[string]string{"id": "x y"}},
		// echo does not decode "%2F" in a path value. So the policy and the handler both get
		// "x%2Fy".
		{"/a/:id", "/a/x%2Fy", map[string]string{"id": "x%2Fy"}},
		{"/a/:id/*", "/a/7/b/c", map[string]string{"id": "7", "*": "b/c"}},
		{"/a/:order-id", "/a/7", map[string]string{"order-id": "7"}},
		{"/a/:größe", "/a/7", map[string]string{"größe": "7"}},
	} {
		for _, place := range []string{"all", "group", "route"} {
			var seen *http.Request
			look := xenaauth.WhereRequest("look", func(r *http.Request, _ *xenaauth.User) error { seen = r; return nil })
			guard := echoauth.Require(auth, look)
			e := echo.New()
			group := e.Group("")
			var onRoute []echo.MiddlewareFunc
			switch place {
			case "all":
				e.Use(guard)
			case "group":
				group.Use(guard)
			case "route":
				onRoute = append(onRoute, guard)
			}
			group.GET(c.route, func(ec *echo.Context) error {
				for name := range c.want {
					if ec.Request().PathValue(name) != ec.Param(name) {
						t.Errorf("%s: PathValue(%q) is %q, Param is %q", c.target, name, ec.Request().PathValue(name), ec.Param(name))
					}
				}
				return nil
			}, onRoute...)
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header.Set("Authorization", token)
			e.ServeHTTP(httptest.NewRecorder(), r)
			if seen == nil {
				t.Fatalf("%s on %s: the policy didn't run for %s", c.route, place, c.target)
			}
			if seen.Pattern != c.route {
				t.Errorf("%s on %s: Pattern %q", c.route, place, seen.Pattern)
			}
			for name, want := range c.want {
				if got := seen.PathValue(name); got != want {
					t.Errorf("%s on %s: the policy sees %s = %q for %s, want %q", c.route, place, name, got, c.target, want)
				}
			}
		}
	}
}

// TestContextWithoutRoute runs the guard with an echo.Context for which no router has looked for a
// route. The request then has no path values.
func TestContextWithoutRoute(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/a/7", nil)
	c := echo.New().NewContext(r, httptest.NewRecorder())
	_ = echoauth.Require(newAuth(t), xenaauth.AnyUser())(func(*echo.Context) error { return nil })(c)
	if got := c.Request().PathValue("id"); got != "" {
		t.Errorf("PathValue is %q", got)
	}
}
