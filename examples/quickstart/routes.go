package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/xenaauth/xenaauth"
)

// route is a protected route and what it requires.
type route struct {
	pattern string
	needs   xenaauth.Requirement
}

// protected are the routes that need an access token.
func protected(companies memberships) []route {
	return []route{
		{"GET /Api/User/XenaUserMembership", xenaauth.AnyUser()},
		{"GET /Api/User/FiscalSetup", xenaauth.AllScopes(xenaauth.ScopeTestAPI)},
		{"GET /Api/User/Profile", xenaauth.AllScopes(xenaauth.ScopeTestAPI, xenaauth.ScopeProfile)},
		{"GET /Api/User/Contact", xenaauth.AnyScope(xenaauth.ScopeProfile, xenaauth.ScopeEmail)},
		{"GET /Api/Fiscal/{fiscalId}/Order", xenaauth.AllOf(
			xenaauth.AllScopes(xenaauth.ScopeTestAPI),
			xenaauth.WhereRequest("the user is in the company", companies.allow),
		)},
	}
}

// newHandler is the API: the protected routes and two that are open to everybody.
func newHandler(v *xenaauth.Validator, auth *xenaauth.Middleware, companies memberships) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", readyz(v))
	for _, route := range protected(companies) {
		mux.Handle(route.pattern, auth.Require(route.needs)(http.HandlerFunc(whoami)))
	}
	return mux
}

// whoami stands for the real handlers. It runs only for users that meet the route's requirement.
func whoami(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(reply{Path: r.URL.Path, User: user}) // a client that has gone needs no answer
}

// reply is what whoami answers: of the user, who it is, by which application, with which scopes and until when.
type reply struct {
	Path string         `json:"path"`
	User *xenaauth.User `json:"user"`
}

// memberships are the companies that each user works for, by subject: a stand-in for the service's own database.
type memberships map[string][]string

// allow is the policy of routes with a company in their path.
func (m memberships) allow(r *http.Request, user *xenaauth.User) error {
	if !slices.Contains(m[user.Subject()], r.PathValue("fiscalId")) {
		return errors.New("the user is not in this company")
	}
	return nil
}

// healthz says that the process is alive, whatever its issuer is up to.
func healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

// readyz says whether access tokens can be checked.
func readyz(v *xenaauth.Validator) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := v.Warm(ctx); err != nil { // the validator's logger is told why
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the issuer can't be reached", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	}
}

// printRoutes lists all routes with what they require.
func printRoutes(out io.Writer) {
	const line = "  %-34s %s\n"
	fmt.Fprintf(out, line, "GET /healthz", "open")
	fmt.Fprintf(out, line, "GET /readyz", "open")
	for _, route := range protected(nil) {
		fmt.Fprintf(out, line, route.pattern, route.needs)
	}
	fmt.Fprintln(out)
}
