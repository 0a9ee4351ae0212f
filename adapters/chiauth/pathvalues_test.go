package chiauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestPathValues compares the path values that a policy gets with those that chi gives the handler.
// They are equal if the guard is on the route or on a group. A guard that is added with Use gets
// only the values that outer routers have found.
func TestPathValues(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	type values struct{ company, id, rest string }
	for place, want := range map[string]values{
		"With": {"acme", "7", "b/c"}, "Group": {"acme", "7", "b/c"}, "Use": {company: "acme", rest: "orders/7/b/c"},
	} {
		var seen values
		guard := auth.Require(xenaauth.WhereRequest("look", func(r *http.Request, _ *xenaauth.User) error {
			seen = values{r.PathValue("company"), r.PathValue("id"), r.PathValue("*")}
			return nil
		}))
		served := false
		serve := func(_ http.ResponseWriter, r *http.Request) {
			served = true
			inHandler := values{chi.URLParam(r, "company"), chi.URLParam(r, "id"), chi.URLParam(r, "*")}
			if place != "Use" && inHandler != seen {
				t.Errorf("%s: the policy sees %v, the handler %v", place, seen, inHandler)
			}
		}
		const route = "/orders/{id:[0-9]+}/*"
		router := chi.NewRouter()
		router.Route("/companies/{company}", func(r chi.Router) {
			switch place {
			case "With":
				r.With(guard).Get(route, serve)
			case "Group":
				r.Group(func(r chi.Router) {
					r.Use(guard)
					r.Get(route, serve)
				})
			case "Use":
				r.Use(guard)
				r.Get(route, serve)
			}
		})
		r := httptest.NewRequest(http.MethodGet, "/companies/acme/orders/7/b/c", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		router.ServeHTTP(httptest.NewRecorder(), r)
		if !served || seen != want {
			t.Errorf("%s: served %t, the policy sees %+v, want %+v", place, served, seen, want)
		}
	}
}
