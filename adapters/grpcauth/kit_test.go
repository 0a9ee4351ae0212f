package grpcauth_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// methodRequirements lists methods of the test service "t.T", each with what the guard requires of
// its callers. Each method exists as a unary method and as a stream.
var methodRequirements = map[string]xenaauth.Requirement{
	"/t.T/Any":    xenaauth.AnyUser(),
	"/t.T/Scope":  xenaauth.AllScopes("a", "b"),
	"/t.T/Either": xenaauth.AnyScope("a", "b"),
	"/t.T/Policy": xenaauth.Where("nobody", func(context.Context, *xenaauth.User) error {
		return errors.New("row 17 of the secret list")
	}),
	"/t.T/Down": xenaauth.Where("down", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 1500 * time.Millisecond}
	}),
	"/t.T/Request": xenaauth.WhereRequest("the request", func(r *http.Request, _ *xenaauth.User) error {
		path := strings.TrimSuffix(r.URL.Path, "Stream")
		if r.Method != http.MethodPost || path != "/t.T/Request" || r.Header.Get("X-Company") != "7" ||
			r.Host != "bufconn" || r.PathValue("id") != "" {
			return errors.New("not as documented")
		}
		_, err := io.ReadAll(r.Body)
		return err
	}),
	"/t.T/Panic": xenaauth.Where("panic", func(context.Context, *xenaauth.User) error { panic("the secret list") }),
}

// countingValidator is a validator of tokens that calls another validator and counts these calls.
// For some tokens, countingValidator returns an error instead.
type countingValidator struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

func (c *countingValidator) Unwrap() xenaauth.TokenValidator { return c.next }

func (c *countingValidator) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	c.calls.Add(1)
	switch token {
	case "outage":
		return nil, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 90 * time.Second}
	case "foreign":
		return nil, errors.New("dial tcp 10.0.0.7:6379: connection refused")
	case "garbled":
		return nil, &xenaauth.Error{Reason: xenaauth.ReasonExpired, Scopes: []string{"\xff"}}
	}
	return c.next.Validate(ctx, token)
}

// testServer is a guarded gRPC server for tests. It counts how often its handlers ran.
type testServer struct {
	issuer    *xenaauthtest.Issuer
	validator *countingValidator
	auth      *xenaauth.Middleware
	conn      *grpc.ClientConn
	handled   atomic.Int64
	// latestError is the error of the latest call, as an interceptor around the guard sees it.
	latestError atomic.Pointer[error]
}

// testServer.subject returns the text that every handler of the test server sends: the subject of
// the user who made the call.
func (s *testServer) subject(ctx context.Context) *wrapperspb.StringValue {
	s.handled.Add(1)
	if user, ok := xenaauth.UserFromContext(ctx); ok {
		return wrapperspb.String(user.Subject())
	}
	return wrapperspb.String("nobody")
}

// testServer.intercept does what an interceptor around the guard would do in a real service: it
// recovers from panics. It also stores the error of the call in the field latestError.
func (s *testServer) intercept(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "Internal error.")
		}
		s.latestError.Store(&err)
	}()
	return call()
}

// newRules returns the rules of the test server: for each method, who may call it.
func newRules() []routes.Rule {
	all := []routes.Rule{
		{Pattern: "/w.W/", Access: routes.Require(xenaauth.AllScopes("wild"))},
		{Pattern: "/w.W/Open", Access: routes.Public()},
		{Pattern: "/t.T/Open", Access: routes.Public()},
		{Pattern: "/t.T/OpenStream", Access: routes.Public()},
		{Pattern: "/t.T/Maybe", Access: routes.Optional()},
		{Pattern: "/t.T/MaybeStream", Access: routes.Optional()},
		{Pattern: "/grpc.health.v1.Health/{method}", Access: routes.Public()},
	}
	for name, r := range methodRequirements {
		all = append(all, routes.Rule{Pattern: name, Access: routes.Require(r)},
			routes.Rule{Pattern: name + "Stream", Access: routes.Require(r)})
	}
	return all
}

func table(t *testing.T, rules ...routes.Rule) *routes.Table {
	t.Helper()
	table, err := routes.New(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// startServer starts a gRPC server for a test. The parameter guards is the number of guards in
// front of each handler.
func startServer(t *testing.T, guards int) *testServer {
	t.Helper()
	s := &testServer{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.validator = &countingValidator{next: v}
	s.auth = xenaauth.NewMiddleware(s.validator, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
	table := table(t, newRules()...)
	guard := grpcauth.New(s.auth, table.Find)
	opts := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(
			ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler,
		) (resp any, err error) {
			return resp, s.intercept(func() error { resp, err = next(ctx, req); return err })
		}),
		grpc.ChainStreamInterceptor(func(
			srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler,
		) error {
			return s.intercept(func() error { return next(srv, ss) })
		}),
	}
	for range guards {
		opts = append(opts, guard.ServerOptions()...)
	}
	server := grpc.NewServer(opts...)
	names := []string{"Open", "Maybe", "Unlisted"}
	for name := range methodRequirements {
		names = append(names, strings.TrimPrefix(name, "/t.T/"))
	}
	server.RegisterService(s.describe("t.T", names...), nil)
	server.RegisterService(s.describe("w.W", "Open", "Other"), nil)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	if err := table.Audit(grpcauth.Methods(server.GetServiceInfo())...); err == nil ||
		err.Error() != "routes: no rule matches /t.T/Unlisted: each call is refused\n"+
			"routes: no rule matches /t.T/UnlistedStream: each call is refused" {
		t.Errorf("Audit: %v", err)
	}
	listener := bufconn.Listen(1 << 16)
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	s.conn, err = grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.conn.Close()
		server.Stop()
		if err := <-stopped; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// testServer.describe returns the description of a gRPC service that has the given methods. The
// gRPC library needs this description to serve the methods. Usually the description is in generated
// code, but the tests have no generated code.
func (s *testServer) describe(service string, names ...string) *grpc.ServiceDesc {
	desc := &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
	for _, name := range names {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: func(
			srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			info := &grpc.UnaryServerInfo{FullMethod: "/" + service + "/" + name}
			return interceptor(ctx, in, info, func(ctx context.Context, _ any) (any, error) { return s.subject(ctx), nil })
		}})
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: name + "Stream", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, ss grpc.ServerStream) error {
				for {
					if err := ss.RecvMsg(new(wrapperspb.StringValue)); err != nil {
						if errors.Is(err, io.EOF) {
							return nil
						}
						return err
					}
					if err := ss.SendMsg(s.subject(ss.Context())); err != nil {
						return err
					}
				}
			},
		})
	}
	return desc
}

// callKinds has two functions with which a test calls a method. One makes a unary call, the other
// opens a stream.
var callKinds = map[string]func(*testServer, context.Context, string) (string, metadata.MD, error){
	"unary": func(s *testServer, ctx context.Context, method string) (string, metadata.MD, error) {
		var trailer metadata.MD
		out := new(wrapperspb.StringValue)
		err := s.conn.Invoke(ctx, method, wrapperspb.String("x"), out, grpc.Trailer(&trailer))
		return out.GetValue(), trailer, err
	},
	// The client sends one message, and the handler of the stream replies with one message. If the
	// metadata of the call has x-refused, the test expects a refusal, and the client sends no
	// message.
	"stream": func(s *testServer, ctx context.Context, method string) (string, metadata.MD, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
		stream, err := s.conn.NewStream(ctx, desc, method+"Stream")
		if err != nil {
			return "", nil, err
		}
		out := new(wrapperspb.StringValue)
		if md, _ := metadata.FromOutgoingContext(ctx); len(md.Get("x-refused")) == 0 {
			if err := stream.SendMsg(wrapperspb.String("x")); err != nil && !errors.Is(err, io.EOF) {
				return "", nil, err
			}
		}
		err = stream.RecvMsg(out)
		return out.GetValue(), stream.Trailer(), err
	},
}

func call(t *testing.T, authorization ...string) context.Context {
	md := metadata.MD{"authorization": authorization, "x-company": {"7"}}
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(t.Context(), md), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (s *testServer) bearer(scopes ...string) string {
	return "Bearer " + s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", Scopes: append([]string{}, scopes...), Claims: map[string]any{"aud": s.issuer.API()},
	})
}
