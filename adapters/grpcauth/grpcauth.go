// Package grpcauth guards the methods of a gRPC server with [xenaauth], by a table of routes:
//
//	table, err := routes.New([]routes.Rule{
//		{Pattern: "/invoices.v1.Invoices/", Access: routes.Require(xenaauth.AllScopes("testapi"))},
//		{Pattern: "/grpc.health.v1.Health/", Access: routes.Public()},
//	}, nil)
//	if err != nil {
//		log.Fatal(err)
//	}
//	guard := grpcauth.New(auth, table.Find)
//	server := grpc.NewServer(guard.ServerOptions()...)
//
// The token is in the metadata "authorization". Its syntax is that of the Authorization field of
// HTTP. A handler finds the user with [xenaauth.UserFromContext]. A call of a method that no rule
// matches is refused. [routes.Table.Audit] lists such methods.
//
// # Rules
//
// A call is a POST request to the full name of its method. The pattern "/invoices.v1.Invoices/Get"
// matches one method, and "/invoices.v1.Invoices/" every method of the service. One table can
// contain these rules together with the rules of REST routes and of [connectauth].
//
// Rules and policies ([xenaauth.WhereRequest]) see the POST request of a call: the method name as
// its path, the authority as its host, the metadata as its header, and the TLS connection. Pseudo
// fields and binary metadata (names that end in "-bin") are not in the header. If the authority is
// not a plain host name or address, the request has no host. The request has no body: a decision
// about the message belongs in the handler.
//
// # Proofs of possession
//
// Proofs ([xenaauth.Options]) see the same request as policies. A DPoP proof is in the metadata
// "dpop". Its htm is POST, and its htu is the origin of the server with the full name of the
// method: https://api.example/invoices.v1.Invoices/Get. A nonce for the client is in the trailer of
// a refusal, and in the header of a call that passes. A client certificate must come from the TLS
// credentials of the server ([credentials.NewTLS]).
//
// # Refusals
//
// A refusal has a code of gRPC instead of an HTTP status. 401 and 400 become
// [codes.Unauthenticated], 403 becomes [codes.PermissionDenied], and 503 becomes
// [codes.Unavailable]. 400 does not become [codes.InvalidArgument], because that code is about the
// arguments of a method.
//
// The trailer has the header fields that a refusal over HTTP has, for example "www-authenticate" or
// "retry-after". The status has an [errdetails.ErrorInfo] with the domain [Domain]. The reason of
// the ErrorInfo is the [xenaauth.Reason] in upper case, and the metadata of the ErrorInfo has the
// required scope. A status with the code Unavailable also has an [errdetails.RetryInfo].
// Interceptors around the guard find the [*xenaauth.Error] with [errors.As]. Clients do not get the
// cause that the [*xenaauth.Error] wraps.
//
// If a policy or a hook panics, the guard logs the panic with [slog.Default], without its value,
// and refuses the call with Unavailable. The guard does not recover from panics of handlers.
//
// # Limits
//
// A stream is checked when it begins, and so is the proof of its client. They are not checked again
// later. A handler that keeps a stream open must end it at [xenaauth.User.ExpiresAt]. gRPC reads
// the message of a unary call before an interceptor runs. [grpc.MaxRecvMsgSize] limits the size of
// the message.
//
// [credentials.NewTLS]: https://pkg.go.dev/google.golang.org/grpc/credentials#NewTLS
// [connectauth]: https://pkg.go.dev/github.com/xenaauth/xenaauth/adapters/connectauth
package grpcauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// Guard guards the methods of a gRPC server. It is safe for concurrent use.
type Guard struct {
	middleware *xenaauth.Middleware
	routes     *routes.Guard
}

// New returns a guard. find returns the rule for a call, for example [routes.Table.Find]. New
// panics if m or find is nil.
func New(m *xenaauth.Middleware, find func(*http.Request) (routes.Rule, error)) *Guard {
	if find == nil {
		panic("grpcauth: nil find function")
	}
	return &Guard{middleware: m, routes: routes.NewGuard(m, func(r *http.Request) (routes.Rule, error) {
		rule, err := find(r)
		if e, ok := errors.AsType[*xenaauth.Error](err); ok && e.Reason == xenaauth.ReasonNoRule {
			err = fmt.Errorf("no rule matches %.200q: %w", r.URL.Path, err)
		}
		return rule, err
	})}
}

// ServerOptions returns both interceptors, for [grpc.NewServer]. Interceptors in earlier options
// run around the guard, interceptors in later options run inside it.
func (g *Guard) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.Unary), grpc.ChainStreamInterceptor(g.Stream)}
}

// Unary is a [grpc.UnaryServerInterceptor]. It does not guard streams: a server needs
// [Guard.Stream] too.
func (g *Guard) Unary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	allowed, fields, err := g.check(ctx, info.FullMethod)
	if err != nil {
		// SetTrailer fails only if ctx is not the context of a gRPC call, for example in a unit
		// test.
		_ = grpc.SetTrailer(ctx, fields)
		return nil, err
	}
	if len(fields) > 0 {
		_ = grpc.SetHeader(ctx, fields)
	}
	return handler(allowed, req)
}

// Stream is a [grpc.StreamServerInterceptor]. It refuses a stream before the first message. It does
// not guard unary methods: a server needs [Guard.Unary] too.
func (g *Guard) Stream(
	srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	allowed, fields, err := g.check(ss.Context(), info.FullMethod)
	if err != nil {
		ss.SetTrailer(fields)
		return err
	}
	if len(fields) > 0 {
		_ = ss.SetHeader(fields)
	}
	return handler(srv, &userStream{ServerStream: ss, ctx: allowed})
}

// Guard.check decides whether a call may pass. It returns the context with the user, and metadata
// for the response. If the call may pass, the metadata belongs into the header of the response.
// Otherwise it belongs into the trailer.
func (g *Guard) check(ctx context.Context, method string) (
	allowed context.Context, fields metadata.MD, err error,
) {
	r := httpRequest(ctx, method)
	defer func() {
		if p := recover(); p != nil { // without recover, the panic would end the process
			slog.ErrorContext(ctx, "grpcauth: a policy, proof or hook panicked",
				"method", method, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			allowed = nil
			// A Proof may have caused the panic, so this code must not call a Proof again.
			// makeRefusal calls no Proof if its parameter for the request is nil.
			fields, err = makeRefusal(g.middleware, nil, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable})
		}
	}()
	passed, _, err := g.routes.Check(r)
	if err != nil {
		fields, err = makeRefusal(g.middleware, r, err)
		return nil, fields, err
	}
	h := make(http.Header)
	g.middleware.Challenge(h, passed, nil)
	return passed.Context(), metadataOf(h), nil
}

// userStream is a [grpc.ServerStream] whose context contains the user.
type userStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *userStream) Context() context.Context { return s.ctx }

// Methods returns the full names of the methods of a server, for [routes.Table.Audit]:
//
//	err := table.Audit(grpcauth.Methods(server.GetServiceInfo())...)
func Methods(services map[string]grpc.ServiceInfo) []string {
	var methods []string
	for service, info := range services {
		for _, m := range info.Methods {
			methods = append(methods, "/"+service+"/"+m.Name)
		}
	}
	slices.Sort(methods)
	return methods
}
