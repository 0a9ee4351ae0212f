// Grpc is a gRPC server that xenaauth guards. Environment variables configure the issuer:
// XENA_ISSUER, XENA_AUDIENCE, and the other variables that [xenaauth.ConfigFromEnv] reads. ADDR is
// the address to listen on. The default is localhost:8080. The server has no TLS, so keep it on the
// loopback interface, or put a proxy with TLS in front of it.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runServer(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// runServer starts the gRPC server, and stops the server when ctx ends.
func runServer(ctx context.Context, out io.Writer) error {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return err
	}
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	table, err := routes.New([]routes.Rule{
		{Pattern: "/example.v1.Users/WhoAmI", Access: routes.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))},
		{Pattern: "/grpc.health.v1.Health/", Access: routes.Public()},
	}, nil)
	if err != nil {
		return err
	}
	guard := grpcauth.New(xenaauth.NewMiddleware(v, nil), table.Find)
	server := grpc.NewServer(guard.ServerOptions()...)
	server.RegisterService(&usersService, nil)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	if err := table.Audit(grpcauth.Methods(server.GetServiceInfo())...); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "localhost:8080"))
	if err != nil {
		return fmt.Errorf("%w: ADDR is the address to listen on", err)
	}
	defer context.AfterFunc(ctx, server.Stop)()
	fmt.Fprintln(out, listener.Addr())
	return server.Serve(listener)
}

// usersService describes the gRPC service of the example. In a real program, protoc generates this
// description.
var usersService = grpc.ServiceDesc{ServiceName: "example.v1.Users", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
	MethodName: "WhoAmI",
	Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		in, info := new(emptypb.Empty), &grpc.UnaryServerInfo{FullMethod: "/example.v1.Users/WhoAmI"}
		if err := decode(in); err != nil {
			return nil, err
		}
		return interceptor(ctx, in, info, func(ctx context.Context, _ any) (any, error) {
			user, _ := xenaauth.UserFromContext(ctx)
			return wrapperspb.String(user.Subject()), nil
		})
	},
}}}
