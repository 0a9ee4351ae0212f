package forwardauth_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// In this example, nginx sends a subrequest with the method GET. The subrequest has the fields of
// the client, and fields that describe the original request.
func Example() {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /orders/{id}", Access: routes.Require(xenaauth.AllScopes("testapi"))},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	id, err := identity.New(identity.Config{})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := forwardauth.New(forwardauth.Config{
		Middleware:   xenaauth.NewMiddleware(v, nil),
		Find:         table.Find,
		Dialect:      forwardauth.Nginx,
		TrustedPeers: forwardauth.Loopback(),
		Identity:     id,
	})
	if err != nil {
		log.Fatal(err)
	}

	token := issuer.JWT(xenaauthtest.Token{Subject: "104711"})
	for _, uri := range []string{"/orders/7", "/orders/7/../../admin", "/invoices/7"} {
		r := httptest.NewRequest("GET", "/verify", nil)
		r.RemoteAddr = "127.0.0.1:40000"
		r.Header = http.Header{
			"X-Original-Method": {"GET"}, "X-Original-Host": {"api.example.com"}, "X-Original-Uri": {uri},
			"Authorization": {"Bearer " + token}, "X-Auth-User": {"root"},
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(uri, w.Code, w.Header()["X-Auth-User"], w.Body.Len() > 0)
	}
	// Output:
	// /orders/7 200 [104711] false
	// /orders/7/../../admin 401 [] true
	// /invoices/7 403 [] true
}
