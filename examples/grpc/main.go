// Grpc is a gRPC server that is protected by xenaauth, with the issuer that the environment names: XENA_ISSUER,
// XENA_AUDIENCE and whatever else [xenaauth.ConfigFromEnv] reads. ADDR is the address to listen on, localhost:8080
// unless set. It has no TLS: keep it on loopback, or put what has TLS in front.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, out io.Writer) error {
	cfg, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return err
	}
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	guard := grpcauth.New(xenaauth.NewMiddleware(v, nil), grpcauth.Rules{
		Require: map[string]xenaauth.Requirement{"/example.v1.Users/WhoAmI": xenaauth.AllScopes(xenaauth.ScopeTestAPI)},
		Public:  []string{"/grpc.health.v1.Health/*"},
	})
	server := grpc.NewServer(guard.ServerOptions()...)
	server.RegisterService(&users, nil)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	if err := guard.Check(server.GetServiceInfo()); err != nil {
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

// users stands for what protoc generates of a service.
var users = grpc.ServiceDesc{ServiceName: "example.v1.Users", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
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
