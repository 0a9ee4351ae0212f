package grpcauth_test

import (
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
)

func Example() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)

	guard := grpcauth.New(auth, grpcauth.Rules{
		Require: map[string]xenaauth.Requirement{"/grpc.health.v1.Health/Watch": xenaauth.AllScopes("testapi")},
		Public:  []string{"/grpc.health.v1.Health/Check"},
	})
	server := grpc.NewServer(guard.ServerOptions()...)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	fmt.Println(guard.Check(server.GetServiceInfo()))
	// Output: grpcauth: /grpc.health.v1.Health/List has no rule, so it is refused to everybody
}
