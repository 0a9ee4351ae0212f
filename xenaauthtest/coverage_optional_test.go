package xenaauthtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// An optional route is declared in Coverage.Optional. Its handler may respond with an error to a
// request without a user. The route still counts as optional then.
func TestRoutesOptional(t *testing.T) {
	auth, token := newMiddleware(t)
	var mux xenaauthtest.Mux
	registerRoutes(&mux, map[string]http.Handler{
		"GET /hello": auth.Optional(answers(200)), "GET /gone": auth.Optional(answers(404)),
		"POST /login": answers(401), "/all": auth.Optional(answers(200)),
	})
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{
		Handler: &mux, Routes: mux.Routes(), Token: token,
		Public: []string{"POST /login"}, Optional: []string{"GET /hello", "GET /gone", "/all"},
	})
	equal(t, "table", table.Markdown(), "| Method | Route | Requires |\n| --- | --- | --- |\n"+
		"| any | `/all` | a token is optional |\n| GET | `/gone` | a token is optional |\n"+
		"| GET | `/hello` | a token is optional |\n| POST | `/login` | nothing: public |\n")
	openAPI := strings.Join(strings.Fields(string(table.OpenAPI(""))), "")
	for _, want := range []string{
		`"/hello":{"get":{"security":[{"accessToken":[]},{}]}}`, `"/login":{"post":{"security":[]}}`,
	} {
		if !strings.Contains(openAPI, want) {
			t.Errorf("OpenAPI lacks %s: %s", want, openAPI)
		}
	}
}

// TestRoutesWronglyOptional has one route for each mistake about optional routes.
func TestRoutesWronglyOptional(t *testing.T) {
	auth, token := newMiddleware(t)
	var mux xenaauthtest.Mux
	registerRoutes(&mux, map[string]http.Handler{
		"GET /undeclared": auth.Optional(answers(200)), "GET /public": auth.Optional(answers(200)),
		"GET /required": auth.Require(xenaauth.AllScopes("api"))(answers(200)), "GET /open": answers(200),
		// This handler refuses every token, but not with the status for a bad token.
		"GET /strange": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				w.Header().Set("WWW-Authenticate", "Bearer")
				w.WriteHeader(403)
			}
		}),
	})
	c := xenaauthtest.Coverage{
		Handler: &mux, Routes: mux.Routes(), Token: token,
		Public: []string{"GET /public"}, Optional: []string{"GET /required", "GET /open", "GET /nowhere"},
	}
	var fake fakeT
	table := xenaauthtest.TestRoutes(&fake, c)
	equal(t, "errors", fake.errors, []string{
		"open: guard these routes, or declare them in Public:\n\t" +
			"GET /strange: /strange answers 200 without a token" + source(c, "/strange"),
		"optional: require a token of these routes, or declare them in Optional:\n\t" +
			"GET /public: /public answers 401 with a bad token, and 200 without a token" + source(c, "/public") + "\n\t" +
			"GET /undeclared: /undeclared answers 401 with a bad token, and 200 without a token" + source(c, "/undeclared"),
		"declared in Optional, but requiring a token: remove these routes from Optional:\n\t" +
			"GET /required: /required answers 401 without a token" + source(c, "/required"),
		"declared in Optional, but not refusing a bad token: guard these routes:\n\t" +
			"GET /open: /open answers 200 with a bad token" + source(c, "/open"),
		"declared, but no such route:\n\tGET /nowhere",
	})
	equal(t, "table", table.Markdown(), "| Method | Route | Requires |\n| --- | --- | --- |\n"+
		"| GET | `/open` | **not guarded** |\n| GET | `/public` | a token is optional |\n"+
		"| GET | `/required` | api |\n| GET | `/strange` | **not guarded** |\n| GET | `/undeclared` | a token is optional |\n")
}
