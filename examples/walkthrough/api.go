package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/xenaauth/xenaauth"
)

// The company of the demo's user.
const company = "22000"

// newAPI returns the API: Xena's paths with made-up data. Each route says what it requires.
func newAPI(v *xenaauth.Validator, event func(context.Context, xenaauth.Event)) http.Handler {
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: event})
	full := xenaauth.AllScopes(xenaauth.ScopeTestAPI)
	mux := http.NewServeMux()
	guarded := func(pattern string, needs xenaauth.Requirement, data func(*http.Request, *xenaauth.User) any) {
		mux.Handle(pattern, auth.Require(needs)(answer(data)))
	}
	guarded("GET /Api/User/XenaUserMembership", xenaauth.AnyUser(), membership)
	guarded("GET /Api/User/FiscalSetup", full, fiscalSetup)
	guarded("GET /Api/User/Profile", xenaauth.AllScopes(xenaauth.ScopeTestAPI, xenaauth.ScopeProfile), profile)
	guarded("GET /Api/Fiscal/{fiscalId}/Order",
		xenaauth.AllOf(full, xenaauth.WhereRequest("the user is in the company", isMember)), orders)
	return mux
}

// answer is a handler for an allowed request. It responds with data as JSON.
func answer(data func(*http.Request, *xenaauth.User) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(data(r, user)) // fails if the client has closed the connection
	})
}

// isMember is the policy of routes with a company: only the API knows who is in which company.
func isMember(r *http.Request, _ *xenaauth.User) error {
	if r.PathValue("fiscalId") != company {
		return errors.New("the user is not in this company")
	}
	return nil
}

func membership(_ *http.Request, user *xenaauth.User) any {
	return map[string]any{"UserId": user.Subject(), "Memberships": []string{company}}
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
