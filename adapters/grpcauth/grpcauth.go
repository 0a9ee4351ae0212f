// Package grpcauth guards the methods of a gRPC server with [xenaauth]:
//
//	guard := grpcauth.New(auth, grpcauth.Rules{
//		Require: map[string]xenaauth.Requirement{"/invoices.v1.Invoices/*": xenaauth.AllScopes("testapi")},
//		Public:  []string{"/grpc.health.v1.Health/*"},
//	})
//	server := grpc.NewServer(guard.ServerOptions()...)
//
// The token is in the metadata "authorization", by the same rules as in HTTP's field, and handlers find the user by
// [xenaauth.UserFromContext]. A method that the rules don't name is refused to everybody.
//
// # Refusals
//
// What HTTP answers by 401, and by 400, is [codes.Unauthenticated]: malformed credentials are not what
// [codes.InvalidArgument] is about, a method's arguments. 403 is [codes.PermissionDenied], 503 [codes.Unavailable]. The
// trailer has HTTP's challenge as "www-authenticate", to the byte, or "retry-after". The status has an
// [errdetails.ErrorInfo] of domain [Domain], whose reason is the [xenaauth.Reason] in upper case and whose metadata has
// the scope that is required, and with Unavailable an [errdetails.RetryInfo]. Interceptors around the guard find the
// [*xenaauth.Error] by [errors.As]; clients are not shown its cause.
//
// # Mind
//
// A stream is checked when it begins: a handler that lets it live on should end it at [xenaauth.User.ExpiresAt].
//
// As gRPC itself, the guard doesn't recover from panics, those of policies among them: that is for an interceptor
// around it. gRPC has read the message of a unary call before any interceptor runs; [grpc.MaxRecvMsgSize] bounds it.
package grpcauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/xenaauth/xenaauth"
)

// Guard holds the methods of a server to its rules. It is safe for concurrent use.
type Guard struct {
	m     *xenaauth.Middleware
	rules rules
}

// New returns a guard. It panics as [xenaauth.Middleware.Require] does, and on names that no method can have.
func New(m *xenaauth.Middleware, r Rules) *Guard {
	return &Guard{m: m, rules: compile(m, r)}
}

// ServerOptions are both interceptors, for [grpc.NewServer]. Interceptors of options before them run around the guard,
// of those after them inside.
func (g *Guard) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(g.Unary), grpc.ChainStreamInterceptor(g.Stream)}
}

// Unary is a [grpc.UnaryServerInterceptor]. Without [Guard.Stream] beside it the streams of a server are open.
func (g *Guard) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, trailer, err := g.check(ctx, info.FullMethod)
	if err != nil {
		_ = grpc.SetTrailer(ctx, trailer) // fails without a server only, which has no trailer
		return nil, err
	}
	return handler(ctx, req)
}

// Stream is a [grpc.StreamServerInterceptor]. It refuses before the first message. Without [Guard.Unary] beside it the
// other methods of a server are open.
func (g *Guard) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, trailer, err := g.check(ss.Context(), info.FullMethod)
	if err != nil {
		ss.SetTrailer(trailer)
		return err
	}
	return handler(srv, &stream{ServerStream: ss, ctx: ctx})
}

func (g *Guard) check(ctx context.Context, method string) (context.Context, metadata.MD, error) {
	rule, listed := g.rules.find(method)
	if listed && rule == nil {
		return ctx, nil, nil
	}
	// Policies made by WhereRequest see this much of a request.
	r := (&http.Request{
		Method:  http.MethodPost,
		URL:     &url.URL{Path: method},
		Header:  http.Header{"Authorization": metadata.ValueFromIncomingContext(ctx, "authorization")},
		Body:    http.NoBody,
		Pattern: method, // for the log
	}).WithContext(ctx)
	if !listed {
		err := g.m.Refuse(r, fmt.Errorf("no rule names %.200q: %w", method, errNoRule))
		trailer, err := refusal(g.m, err)
		return ctx, trailer, err
	}
	allowed, err := g.m.Check(r, *rule)
	if err != nil {
		trailer, err := refusal(g.m, err)
		return ctx, trailer, err
	}
	return allowed.Context(), nil, nil
}

// stream is a stream in whose context the user is.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }
