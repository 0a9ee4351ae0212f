package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/xenaauth/xenaauth"
)

// company is the only company to which the user of the demo belongs.
const company = "22000"

// route is a route of the API: the scopes and the policy that it requires, and its data. The policy
// may be nil.
type route struct {
	pattern string
	scopes  []string
	policy  func(*http.Request, *xenaauth.User) error
	data    func(*http.Request, *xenaauth.User) any
}

// routes are some of Xena's routes, with made-up data.
var routes = []route{
	{"GET /Api/User/FiscalSetup", []string{xenaauth.ScopeTestAPI}, nil, fiscalSetup},
	{"GET /Api/User/Profile", []string{xenaauth.ScopeTestAPI, xenaauth.ScopeProfile}, nil, profile},
	{"GET /Api/Fiscal/{fiscalId}/Order", []string{xenaauth.ScopeTestAPI}, isMember, orders},
}

// findRouteNeeds returns the scopes of the route with this pattern, and whether it has a policy.
func findRouteNeeds(pattern string) (scopes []string, policy bool) {
	for _, r := range routes {
		if r.pattern == pattern {
			return r.scopes, r.policy != nil
		}
	}
	return nil, false
}

// newAPI returns the API. Every route of the API has a guard.
func newAPI(v *xenaauth.Validator, event func(context.Context, xenaauth.Event)) http.Handler {
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: event})
	mux := http.NewServeMux()
	for _, r := range routes {
		needs := xenaauth.AllScopes(r.scopes...)
		if r.policy != nil {
			needs = xenaauth.AllOf(needs, xenaauth.WhereRequest("the user is in the company", r.policy))
		}
		mux.Handle(r.pattern, auth.Require(needs)(routeHandler(r.data)))
	}
	return mux
}

// routeHandler returns the handler of a route. The handler runs only if the request may pass.
func routeHandler(data func(*http.Request, *xenaauth.User) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(data(r, user)) // Encode fails only if the client is gone
	})
}

// isMember is the policy of routes with a company in the path. A token does not say which companies
// its user may see, so a real API asks its database.
func isMember(r *http.Request, _ *xenaauth.User) error {
	if r.PathValue("fiscalId") != company {
		return errors.New("the user is not in this company")
	}
	return nil
}

func fiscalSetup(_ *http.Request, user *xenaauth.User) any {
	return map[string]any{
		"UserId":  user.Subject(),
		"Fiscals": []map[string]string{{"FiscalId": company, "Name": "Berg Bicycles"}},
	}
}

func profile(_ *http.Request, user *xenaauth.User) any {
	return map[string]any{"UserId": user.Subject(), "Culture": "en-GB", "Picture": nil}
}

func orders(r *http.Request, _ *xenaauth.User) any {
	return map[string]any{
		"FiscalId": r.PathValue("fiscalId"),
		"Orders":   []map[string]any{{"Number": 1001, "Description": "Two city bikes", "Total": 1498}},
	}
}
