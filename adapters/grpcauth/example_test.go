package grpcauth_test

import (
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	table, err := routes.New([]routes.Rule{
		{Pattern: "/grpc.health.v1.Health/Watch", Access: routes.Require(xenaauth.AllScopes("testapi"))},
		{Pattern: "/grpc.health.v1.Health/Check", Access: routes.Public()},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}

	guard := grpcauth.New(auth, table.Find)
	server := grpc.NewServer(guard.ServerOptions()...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	fmt.Println(table.Audit(grpcauth.Methods(server.GetServiceInfo())...))
	// Output: routes: no rule matches /grpc.health.v1.Health/List: each call is refused
}
