package xenaauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A gateway has no handlers of its own to guard, so it holds all requests to one table. Package routesfile reads such a
// table from a file.
func ExampleMiddleware_Guard() {
	table, err := xenaauth.NewRoutes([]xenaauth.Rule{
		{Pattern: "GET /health", Public: true},
		{Pattern: "/Api/", Require: xenaauth.AllScopes(xenaauth.ScopeTestAPI)},
		{Pattern: "/Api/Internal/", Deny: true},
	}, &xenaauth.RoutesOptions{IgnoreCase: true})
	if err != nil {
		log.Fatal(err)
	}
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	upstream := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	gateway := xenaauth.NewMiddleware(v, nil).Guard(table.Find)(upstream)

	for _, path := range []string{"/health", "/api/Order/7", "/Api/internal/keys", "/Api/..%2finternal/keys", "/other"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, r)
		fmt.Println(path, w.Code)
	}
	// Output:
	// /health 200
	// /api/Order/7 200
	// /Api/internal/keys 403
	// /Api/..%2finternal/keys 400
	// /other 403
}

// The linter finds what is legal and probably a mistake.
func ExampleRoutes_Lint() {
	table, err := xenaauth.NewRoutes([]xenaauth.Rule{
		{Pattern: "/", Require: xenaauth.AnyUser(), Source: "routes.yaml:2"},
		{Pattern: "GET /Api/Order", Require: xenaauth.AllScopes("testapi"), Source: "routes.yaml:4"},
		{Pattern: "/Api/Report", Public: true, Source: "routes.yaml:6"},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range table.Lint() {
		fmt.Println(f)
	}
	// Output:
	// routes.yaml:4 (GET /Api/Order) guards one method (testapi), and others fall to the looser routes.yaml:2 (/) (any user)
	// routes.yaml:6 (/Api/Report) asks for less (public) than the wider routes.yaml:2 (/) (any user)
}
