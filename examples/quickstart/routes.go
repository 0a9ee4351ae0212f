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

// guardedRoute is a route of the API together with its requirement. Only requests that meet the
// requirement may pass.
type guardedRoute struct {
	pattern string
	needs   xenaauth.Requirement
}

// guardedRoutes returns the routes of the API that require an access token.
func guardedRoutes(companies companiesOf) []guardedRoute {
	return []guardedRoute{
		{"GET /Api/User/XenaUserMembership", xenaauth.AnyUser()},
		{"GET /Api/User/FiscalSetup", xenaauth.AllScopes(xenaauth.ScopeTestAPI)},
		{"GET /Api/User/Profile", xenaauth.AllScopes(xenaauth.ScopeTestAPI, xenaauth.ScopeProfile)},
		{"GET /Api/User/Contact", xenaauth.AnyScope(xenaauth.ScopeProfile, xenaauth.ScopeEmail)},
		{"GET /Api/Fiscal/{fiscalId}/Order", xenaauth.AllOf(
			xenaauth.AllScopes(xenaauth.ScopeTestAPI),
			xenaauth.WhereRequest("the user is in the company", companies.allowMember),
		)},
	}
}

// newHandler returns the handler of the API: the guarded routes and two public routes.
func newHandler(v *xenaauth.Validator, auth *xenaauth.Middleware, companies companiesOf) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", readyz(v))
	for _, route := range guardedRoutes(companies) {
		mux.Handle(route.pattern, auth.Require(route.needs)(http.HandlerFunc(whoami)))
	}
	return mux
}

// whoami is the handler of all guarded routes. A real service has other handlers. whoami runs only
// if the user meets the requirement of the route.
func whoami(w http.ResponseWriter, r *http.Request) {
	user, _ := xenaauth.UserFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// An error here means that the client has closed the connection.
	_ = json.NewEncoder(w).Encode(replyBody{Path: r.URL.Path, User: user})
}

// replyBody is the body of the response that the handler whoami writes. The JSON of the user
// contains the subject, the application, the scopes and the time at which the token expires.
type replyBody struct {
	Path string         `json:"path"`
	User *xenaauth.User `json:"user"`
}

// companiesOf lists the companies of each user. The map key is the subject of the user. A real
// service reads the companies from its database.
type companiesOf map[string][]string

// companiesOf.allowMember is the policy of routes that have a company in their path. The policy
// lets only members of the company pass.
func (m companiesOf) allowMember(r *http.Request, user *xenaauth.User) error {
	if !slices.Contains(m[user.Subject()], r.PathValue("fiscalId")) {
		return errors.New("the user is not in this company")
	}
	return nil
}

// healthz handles requests for /healthz. It responds with 200 while the process runs, also if the
// issuer is down.
func healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

// readyz returns the handler of /readyz. The handler responds with 200 if access tokens can be
// checked.
func readyz(v *xenaauth.Validator) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		// the response does not contain the cause of the error: the log has it, and the client does
		// not need it
		if err := v.Warm(ctx); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the issuer can't be reached", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	}
}

// printRoutes prints each route of the API and what the route requires.
func printRoutes(out io.Writer) {
	const line = "  %-34s %s\n"
	fmt.Fprintf(out, line, "GET /healthz", "open")
	fmt.Fprintf(out, line, "GET /readyz", "open")
	for _, route := range guardedRoutes(nil) {
		fmt.Fprintf(out, line, route.pattern, route.needs)
	}
	fmt.Fprintln(out)
}
