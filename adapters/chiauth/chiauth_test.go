package chiauth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/chiauth/chiauthtest"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestMiddleware(t *testing.T) {
	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
		router := chi.NewRouter()
		for _, route := range routes {
			router.Group(func(group chi.Router) {
				if route.Group != nil {
					group.Use(m.Require(route.Group...))
				}
				guard := m.Optional
				if !route.Optional {
					guard = m.Require(route.Require...)
				}
				group.With(guard).MethodFunc(route.Method, route.Path, func(w http.ResponseWriter, r *http.Request) {
					user, ok := xenaauth.UserFromContext(r.Context())
					route.Serve(w, r, user, ok)
				})
			})
		}
		return router
	})
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestRoutes(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	full := auth.Require(xenaauth.AllScopes("testapi"))

	r := chi.NewRouter()
	r.Get("/health", ok)
	r.Route("/api", func(r chi.Router) {
		r.Use(full)
		r.Get("/invoices/{id:[0-9]{1,9}}", ok)
		r.With(auth.Require(xenaauth.AllScopes("admin"))).Delete("/invoices/{id}", ok)
	})
	sub := chi.NewRouter()
	sub.Post("/", ok)
	sub.Handle("/inline", full(http.HandlerFunc(ok)))
	r.Mount("/mounted", sub)
	r.Mount("/plain", full(http.FileServer(http.Dir(t.TempDir()))))

	public := []string{"GET /health", "POST /mounted/"}
	table := xenaauthtest.TestRoutes(t, xenaauthtest.Coverage{Handler: r, Routes: chiauthtest.Routes(r), Public: public})
	for _, want := range []string{
		"GET /health", "GET /api/invoices/{id:[0-9]{1,9}}", "DELETE /api/invoices/{id}", "POST /mounted/",
		"PATCH /mounted/inline", "GET /plain/*",
	} {
		i := slices.IndexFunc(table, func(a xenaauthtest.RouteAccess) bool { return a.Name() == want })
		if i < 0 {
			t.Errorf("no route %s in %+v", want, table)
			continue
		}
		if a := table[i]; a.Public != slices.Contains(public, want) || !a.Public && a.Scopes[0] != "testapi" {
			t.Errorf("%s: %+v", want, a)
		}
		if want == "GET /health" && !strings.HasPrefix(table[i].Source, "github.com/xenaauth/xenaauth/adapters/chiauth_test.ok, ") {
			t.Errorf("source %q", table[i].Source)
		}
	}
}
