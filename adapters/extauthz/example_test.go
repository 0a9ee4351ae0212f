package extauthz_test

import (
	"context"
	"fmt"
	"log"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /health", Access: routes.Public()},
		{Pattern: "/Api/", Access: routes.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	headers, err := identity.New(identity.Config{})
	if err != nil {
		log.Fatal(err)
	}

	service, err := extauthz.New(extauthz.Config{Middleware: auth, Find: table.Find, Identity: headers})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, service)
	// Call server.Serve with a listener that only Envoy can reach, for example net.Listen("unix",
	// …).

	// This is the response to Envoy for one request:
	http := &authv3.AttributeContext_HttpRequest{Method: "GET", Host: "api.example", Path: "/Api/Invoices"}
	out, err := service.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: http},
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.GetDeniedResponse().GetStatus().GetCode())
	for _, h := range out.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == "www-authenticate" {
			fmt.Println(h.GetHeader().GetValue())
		}
	}
	// Output:
	// Unauthorized
	// Bearer realm="xena", scope="testapi"
}
