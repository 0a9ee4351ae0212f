// Command chi is a small API that uses the router chi. Its routes require scopes. The environment
// variables configure the issuer: XENA_AUDIENCE is required, and [xenaauth.ConfigFromEnv] lists all
// variables. ADDR is the address to listen on. The default of ADDR is localhost:8080.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/xenaauth/xenaauth"
)

func main() {
	handler, err := newService()
	if err != nil {
		log.Fatal(err)
	}
	addr := cmp.Or(os.Getenv("ADDR"), "localhost:8080")
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatalf("%v: ADDR is the address to listen on", server.ListenAndServe())
}

// newService returns the API. If the issuer is down, newService returns no error: requests get 503
// until the issuer is back.
func newService() (chi.Router, error) {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return nil, err
	}
	validator, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return nil, err
	}
	auth := xenaauth.NewMiddleware(validator, nil)

	r := chi.NewRouter()
	r.Get("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r.Group(func(r chi.Router) {
		r.Use(auth.Require(xenaauth.AnyUser()))
		r.Get("/me", me)
		r.With(auth.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))).Get("/invoices/{id}", invoice)
	})
	return r, nil
}

func me(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	_, _ = fmt.Fprintf(w, "user %s\n", user.Subject())
}

func invoice(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	_, _ = fmt.Fprintf(w, "invoice %s for %s\n", chi.URLParam(r, "id"), user.Subject())
}
