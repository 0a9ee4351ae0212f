package ginauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth"
	"github.com/xenaauth/xenaauth/adapters/ginauth/ginauthtest"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// paramSyntax converts the parameters in the path of a route from the syntax of net/http ("{id}")
// to the syntax of gin (":id").
var paramSyntax = strings.NewReplacer("{", ":", "}", "")

func TestMiddleware(t *testing.T) {
	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
		engine := gin.New()
		for _, route := range routes {
			group := engine.Group("")
			if route.Group != nil {
				group.Use(ginauth.Require(m, route.Group...))
			}
			guard := ginauth.Optional
			if !route.Optional {
				guard = func(m *xenaauth.Middleware) gin.HandlerFunc { return ginauth.Require(m, route.Require...) }
			}
			group.Handle(route.Method, paramSyntax.Replace(route.Path), guard(m), func(c *gin.Context) {
				user, ok := ginauth.User(c)
				route.Serve(c.Writer, c.Request, user, ok)
			})
		}
		return engine
	})
}

// TestErrors requires that the guard attaches the refusal to the gin.Context as a private error,
// and aborts the chain.
func TestErrors(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	for path, guard := range map[string]gin.HandlerFunc{
		"/require": ginauth.Require(auth, xenaauth.AnyUser()), "/optional": ginauth.Optional(auth),
	} {
		engine := gin.New()
		var seen []*gin.Error
		aborted := false
		engine.Use(func(c *gin.Context) {
			c.Next()
			seen, aborted = c.Errors.ByType(gin.ErrorTypePrivate), c.IsAborted()
		})
		engine.GET(path, guard, func(*gin.Context) { t.Errorf("%s: the handler runs after a refusal", path) })
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer nonsense")
		engine.ServeHTTP(httptest.NewRecorder(), r)
		if !aborted || len(seen) != 1 {
			t.Fatalf("%s: aborted %t, errors %v", path, aborted, seen)
		}
		if refusal, ok := errors.AsType[*xenaauth.Error](seen[0]); !ok || refusal.Reason != xenaauth.ReasonMalformedToken {
			t.Errorf("%s: error %v", path, seen[0])
		}
	}
}

func TestRoutes(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	ok := func(c *gin.Context) { c.Status(http.StatusOK) }
	engine := gin.New()
	engine.GET("/health", ok)
	api := engine.Group("/api", ginauth.Require(auth, xenaauth.AllScopes("testapi")))
	api.GET("/invoices/:id", ok)
	api.Any("/files/*name", ok)
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: engine, Routes: ginauthtest.Routes(engine), Public: []string{"GET /health"},
	})
	if len(table) != len(engine.Routes()) {
		t.Errorf("%d routes, want %d", len(table), len(engine.Routes()))
	}
	for _, a := range table {
		if a.Source == "" || a.Public != (a.Pattern == "/health") || !a.Public && len(a.Scopes) != 1 {
			t.Errorf("%s: %+v", a.Name(), a)
		}
	}
}
