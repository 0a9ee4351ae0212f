package ginauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestPathValues requires that a policy gets the same path values as the handler gets from gin's
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
		{"/a/:id", "/a/%2e%2e", map[string]string{"id": ".."}},
		{"/a/:id/*rest", "/a/7/b/c", map[string]string{"id": "7", "rest": "/b/c"}},
		{"/a/:order-id", "/a/7", map[string]string{"order-id": "7"}},
		{"/a/:größe", "/a/7", map[string]string{"größe": "7"}},
	} {
		for _, place := range []string{"engine", "group", "route"} {
			var seen *http.Request
			look := xenaauth.WhereRequest("look", func(r *http.Request, _ *xenaauth.User) error { seen = r; return nil })
			guard := ginauth.Require(auth, look)
			engine := gin.New()
			group := engine.Group("")
			handlers := []gin.HandlerFunc{func(c *gin.Context) {
				for _, param := range c.Params {
					key := param.Key
					if c.Request.PathValue(key) != c.Param(key) {
						t.Errorf("%s: PathValue(%q) is %q, Param is %q", c.Request.URL, key, c.Request.PathValue(key), c.Param(key))
					}
				}
			}}
			switch place {
			case "engine":
				engine.Use(guard)
				group = engine.Group("")
			case "group":
				group.Use(guard)
			case "route":
				handlers = append([]gin.HandlerFunc{guard}, handlers...)
			}
			group.GET(c.route, handlers...)
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header.Set("Authorization", token)
			engine.ServeHTTP(httptest.NewRecorder(), r)
			if seen == nil {
				t.Fatalf("%s on the %s: the policy didn't run for %s", c.route, place, c.target)
			}
			if seen.Pattern != c.route {
				t.Errorf("%s on the %s: Pattern %q", c.route, place, seen.Pattern)
			}
			for name, want := range c.want {
				if got := seen.PathValue(name); got != want {
					t.Errorf("%s on the %s: the policy sees %s = %q for %s, want %q", c.route, place, name, got, c.target, want)
				}
			}
		}
	}
}
