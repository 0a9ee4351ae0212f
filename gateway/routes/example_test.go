package routes_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// In this example, one table guards all requests to a gateway, because a gateway has no handlers of
// its own. Package routesfile reads a table from a file.
func ExampleGuard_Handler() {
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /health", Access: routes.Public()},
		{Pattern: "/Api/", Access: routes.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))},
		{Pattern: "/Api/Internal/", Access: routes.Deny()},
	}, &routes.Options{IgnoreCase: true})
	if err != nil {
		log.Fatal(err)
	}
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	upstream := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	gateway := routes.NewGuard(xenaauth.NewMiddleware(v, nil), table.Find).Handler(upstream)

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

// In this example, Lint finds rules that are legal but are probably a mistake.
func ExampleTable_Lint() {
	table, err := routes.New([]routes.Rule{
		{Pattern: "/", Access: routes.Require(xenaauth.AnyUser()), Source: "routes.yaml:2"},
		{Pattern: "GET /Api/Order", Access: routes.Require(xenaauth.AllScopes("testapi")), Source: "routes.yaml:4"},
		{Pattern: "/Api/Report", Access: routes.Public(), Source: "routes.yaml:6"},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range table.Lint() {
		fmt.Println(f)
	}
	// Output:
	// routes.yaml:4 (GET /Api/Order) guards one method (testapi), and other methods fall to the looser routes.yaml:2 (/) (any user)
	// routes.yaml:6 (/Api/Report) requires less (public) than the wider routes.yaml:2 (/) (any user)
}
