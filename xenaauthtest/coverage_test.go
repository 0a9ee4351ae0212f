package xenaauthtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// fakeT takes the place of a testing.TB. It records the errors of TestRoutes, and does not fail.
type fakeT struct {
	testing.TB
	errors, logs []string
}

func (t *fakeT) Helper()                  {}
func (t *fakeT) Context() context.Context { return context.Background() }
func (t *fakeT) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}
func (t *fakeT) Logf(format string, args ...any) {
	t.logs = append(t.logs, fmt.Sprintf(format, args...))
}

// newMiddleware returns a middleware for the routes of a test, and a valid token without a scope.
func newMiddleware(t *testing.T) (*xenaauth.Middleware, string) {
	t.Helper()
	issuer := fastIssuer(xenaauthtest.IdentityServer4)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	return xenaauth.NewMiddleware(v, nil), issuer.JWT(xenaauthtest.Token{Scopes: []string{}})
}

func answers(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// registerRoutes registers the routes of a test service. The parameter mux is an interface, so that
// a test can pass an http.ServeMux or an xenaauthtest.Mux.
func registerRoutes(mux interface{ Handle(string, http.Handler) }, routes map[string]http.Handler) {
	for pattern, handler := range routes {
		mux.Handle(pattern, handler)
	}
}

func TestRoutesGuarded(t *testing.T) {
	auth, token := newMiddleware(t)
	outer, admin := auth.Require(xenaauth.AllScopes("api")), auth.Require(xenaauth.AllScopes("api", "admin"))
	user := auth.Require(xenaauth.AnyUser())
	never := auth.Require(xenaauth.Where("never", func(context.Context, *xenaauth.User) error { return errors.New("no") }))
	var mux xenaauthtest.Mux
	registerRoutes(&mux, map[string]http.Handler{
		"GET /health":            answers(200),
		"GET /me":                user(answers(200)),
		"GET /invoices/{id}":     outer(answers(200)),
		"DELETE /invoices/{id}":  user(admin(answers(204))),
		"/files/{rest...}":       outer(answers(200)),
		"GET api.example/secret": never(answers(200)),
		// This route has no guard. Its handler itself sends 401.
		"POST /login":                 answers(401),
		"GET /optional":               auth.Optional(answers(200)),
		"GET /only/numbers/{n}/{m}/x": outer(answers(200)),
	})
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: &mux, Routes: mux.Routes(), Token: token,
		Public:   []string{"GET /health", "POST /login"},
		Optional: []string{"GET /optional"},
		AnyUser:  []string{"GET /me"},
	})
	equal(t, "Markdown", "\n"+table.Markdown(), `
| Method | Route | Requires |
| --- | --- | --- |
| any | `+"`/files/{rest...}`"+` | api |
| GET | `+"`/health`"+` | nothing: public |
| DELETE | `+"`/invoices/{id}`"+` | api and admin |
| GET | `+"`/invoices/{id}`"+` | api |
| POST | `+"`/login`"+` | nothing: public |
| GET | `+"`/me`"+` | any user |
| GET | `+"`/only/numbers/{n}/{m}/x`"+` | api |
| GET | `+"`/optional`"+` | a token is optional |
| GET | `+"`api.example/secret`"+` | a policy |
`)
}

// TestRoutesOpen has one route for each way in which a route can lack a guard.
func TestRoutesOpen(t *testing.T) {
	auth, token := newMiddleware(t)
	guard := auth.Require(xenaauth.AllScopes("api"))
	user := auth.Require(xenaauth.AnyUser())
	onlyGET := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			guard(answers(200)).ServeHTTP(w, r)
		}
	})
	var mux xenaauthtest.Mux
	mux.HandleFunc("GET /a", func(http.ResponseWriter, *http.Request) {})
	registerRoutes(&mux, map[string]http.Handler{
		"GET /b": answers(404), "GET /c": answers(500), "GET /d": answers(401), "GET /e": answers(405),
		"GET /f": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }),
		"/g":     onlyGET,
		"GET /h": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Bearer"`)
			w.WriteHeader(401)
		}),
		"GET /user": user(answers(200)), "GET /guarded": guard(answers(200)), "GET /closed": guard(answers(200)),
	})
	var fake fakeT
	table := xenaauthtest.TestRoutes(&fake, xenaauthtest.Coverage{
		Handler: &mux, Token: token,
		Routes:  append(mux.Routes(), xenaauthtest.Route{Method: "GET", Pattern: "/nowhere", Source: "main.nowhere"}),
		Public:  []string{"GET /closed", "GET /gone"},
		AnyUser: []string{"GET /guarded"},
	})
	text := strings.Join(fake.errors, "\n")
	for _, want := range []string{
		"GET /a: /a answers 200 without a token (", "coverage_test.go:",
		"GET /b: /b answers 404 without a token (", "GET /c: /c answers 500 ",
		"GET /d: /d answers 401 (no challenge) without a token", "GET /e: /e answers 405 ",
		"GET /f: /f panics with boom", "POST /g: /g answers 200 ", "PUT /g:", "PATCH /g:", "DELETE /g:",
		"refused, but not by a guard of xenaauth: leave these routes out of Routes:\n\tGET /h: /h answers 401 (challenge: Basic)",
		"GET /nowhere: /nowhere answers 404 without a token (main.nowhere)",
		"for any user: require a scope of these routes, or declare them in AnyUser:\n\tGET /user: /user answers 200 with a token without a scope",
		"declared in Public, but guarded: remove these routes from Public:\n\tGET /closed: /closed answers 401 without a token",
		"declared in AnyUser, but requiring more:\n\tGET /guarded: /guarded answers 403 with a token",
		"declared, but no such route:\n\tGET /gone",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	equal(t, "lists", len(fake.errors), 6)
	if strings.Contains(text, "GET /g:") {
		t.Errorf("the report has a guarded method:\n%s", text)
	}
	if !strings.Contains(table.Markdown(), "| GET | `/a` | **not guarded** |") {
		t.Errorf("the table hides an open route:\n%s", table.Markdown())
	}

	fake = fakeT{}
	xenaauthtest.TestRoutes(&fake, xenaauthtest.Coverage{Handler: &mux})
	equal(t, "errors without routes", fake.errors, []string{"no route to test"})
	fake = fakeT{}
	xenaauthtest.TestRoutes(&fake, xenaauthtest.Coverage{
		Handler: &mux, Token: "nonsense", Routes: []xenaauthtest.Route{{Method: "GET", Pattern: "/guarded"}},
	})
	equal(t, "errors with a bad token", fake.errors, []string{
		"scopes and AnyUser not tested: Coverage.Token is not valid there:\n\tGET /guarded: /guarded answers 401 with it: The access token is malformed.",
	})
}

func TestRoutePatterns(t *testing.T) {
	var got []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.Host+r.URL.EscapedPath())
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(401)
	})
	colon := func(pattern string) xenaauthtest.Route {
		return xenaauthtest.Route{Method: "GET", Pattern: pattern, Template: xenaauthtest.ColonTemplate(pattern)}
	}
	brace := func(pattern string) xenaauthtest.Route { return xenaauthtest.Route{Method: "GET", Pattern: pattern} }
	for _, test := range []struct {
		route          xenaauthtest.Route
		path, template string
	}{
		{brace("/"), "example.com/", "/"},
		{brace("/{$}"), "example.com/", "/"},
		{brace("/a b/{id}/c"), "example.com/a%20b/1/c", "/a b/{id}/c"},
		{brace("/files/{rest...}"), "example.com/files/1", "/files/{rest}"},
		{brace("api.example/x/"), "api.example/x/", "/x/"},
		{brace("/{year:[0-9]{4}}-{slug:[a-z]+}"), "example.com/1-spring%20time", "/{year}-{slug}"},
		{brace("/static/*"), "example.com/static/1", "/static/{path}"},
		{brace("/items:batch"), "example.com/items:batch", "/items:batch"},
		{brace("/broken/{id"), "example.com/broken/1", "/broken/{id}"},
		{colon("/invoices/:id/lines/:line"), "example.com/invoices/1/lines/1", "/invoices/{id}/lines/{line}"},
		{colon("/files/*rest"), "example.com/files/1", "/files/{rest}"},
		{colon("/*"), "example.com/1", "/{path}"},
		{xenaauthtest.Route{Method: "GET", Pattern: "/{id}", Path: "/7?x=y"}, "example.com/7", "/{id}"},
	} {
		got = nil
		table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
			Handler: handler, Routes: []xenaauthtest.Route{test.route}, Params: map[string]string{"slug": "spring time"},
		})
		equal(t, "request for "+test.route.Pattern, got, []string{"GET " + test.path})
		if text := string(table.OpenAPI("")); !strings.Contains(text, `"`+test.template+`": {`) {
			t.Errorf("%s: OpenAPI lacks the path %q: %s", test.route.Pattern, test.template, text)
		}
	}
}

func TestRouteTableOpenAPI(t *testing.T) {
	table := xenaauthtest.RouteTable{
		{Route: xenaauthtest.Route{Method: "GET", Pattern: "/health"}, Public: true},
		{Route: xenaauthtest.Route{Method: "GET", Pattern: "/me"}},
		{Route: xenaauthtest.Route{Method: "CONNECT", Pattern: "/me"}},
		{Route: xenaauthtest.Route{Method: "PUT", Pattern: "/me", Require: []xenaauth.Requirement{
			xenaauth.AllScopes("a"), xenaauth.AnyScope("b", "c"),
		}}, Scopes: []string{"a", "b"}},
	}
	equal(t, "OpenAPI", string(table.OpenAPI("https://id.example/.well-known/openid-configuration")), `{
  "components": {
    "securitySchemes": {
      "accessToken": {
        "openIdConnectUrl": "https://id.example/.well-known/openid-configuration",
        "type": "openIdConnect"
      }
    }
  },
  "paths": {
    "/health": {
      "get": {
        "security": []
      }
    },
    "/me": {
      "get": {
        "security": [
          {
            "accessToken": []
          }
        ]
      },
      "put": {
        "security": [
          {
            "accessToken": [
              "a",
              "b"
            ]
          },
          {
            "accessToken": [
              "a",
              "c"
            ]
          }
        ]
      }
    }
  }
}
`)
	if text := table.Markdown(); !strings.Contains(text, "| PUT | `/me` | a and (b or c) |") {
		t.Errorf("Markdown %s", text)
	}
	if text := string(table.OpenAPI("")); !strings.Contains(text, `"scheme": "bearer"`) {
		t.Errorf("OpenAPI %s", text)
	}
	text := string(xenaauthtest.RouteTable{{Route: xenaauthtest.Route{Pattern: "/x"}}}.OpenAPI(""))
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		if !strings.Contains(text, `"`+method+`": {`) {
			t.Errorf("a route of every method lacks %s: %s", method, text)
		}
	}
}
