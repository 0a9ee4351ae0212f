package connectauth_test

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// procedureRequirements lists procedures of the test service "t.T", each with what the guard
// requires of its callers. Each procedure exists as a unary procedure and as a stream.
var procedureRequirements = map[string]xenaauth.Requirement{
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
		if strings.TrimSuffix(r.URL.Path, "Stream") != "/t.T/Request" || r.Header.Get("X-Company") != "7" || r.PathValue("id") != "" {
			return errors.New("not as documented")
		}
		return nil
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

// testServer is a guarded Connect server for tests. It counts how often its handlers ran.
type testServer struct {
	issuer    *xenaauthtest.Issuer
	validator *countingValidator
	auth      *xenaauth.Middleware
	server    *httptest.Server
	client    *http.Client
	handled   atomic.Int64
}

type value = wrapperspb.StringValue

// testServer.subject returns the text that every handler of the test server sends: the subject of
// the user who made the call.
func (s *testServer) subject(ctx context.Context) *value {
	s.handled.Add(1)
	if user, ok := xenaauth.UserFromContext(ctx); ok {
		return wrapperspb.String(user.Subject())
	}
	return wrapperspb.String("nobody")
}

// newRules returns the rules of the test server: for each procedure, who may call it.
func newRules() []routes.Rule {
	all := []routes.Rule{
		{Pattern: "/w.W/", Access: routes.Require(xenaauth.AllScopes("wild"))},
		{Pattern: "/w.W/Open", Access: routes.Public()},
		{Pattern: "/w.W/OpenStream", Access: routes.Public()},
		{Pattern: "/t.T/Open", Access: routes.Public()},
		{Pattern: "/t.T/OpenStream", Access: routes.Public()},
		{Pattern: "/t.T/Maybe", Access: routes.Optional()},
		{Pattern: "/t.T/MaybeStream", Access: routes.Optional()},
	}
	for name, r := range procedureRequirements {
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

// startServer starts a test server over HTTP/2. The parameter newOuter may be nil. If it is not
// nil, startServer calls it to get middleware, and puts this middleware around the guard.
func startServer(t *testing.T, newOuter func(*xenaauth.Middleware) func(http.Handler) http.Handler) *testServer {
	t.Helper()
	s := &testServer{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.validator = &countingValidator{next: v}
	s.auth = xenaauth.NewMiddleware(s.validator, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
	guard := connectauth.New(s.auth, table(t, newRules()...).Find)
	handler := guard.Handler(guard.Handler(s.newMux()))
	if newOuter != nil {
		handler = newOuter(s.auth)(handler)
	}
	s.server = httptest.NewUnstartedServer(handler)
	s.server.EnableHTTP2 = true
	// In TestPanic, a policy panics and net/http logs the panic. No test needs this log, so it is
	// discarded.
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.client = s.server.Client()
	return s
}

// testServer.newMux returns the Connect handlers of all procedures of the test server, without the
// guard.
func (s *testServer) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	names := []string{"/t.T/Open", "/t.T/Maybe", "/t.T/Unlisted", "/w.W/Open", "/w.W/Other"}
	for name := range procedureRequirements {
		names = append(names, name)
	}
	for _, name := range names {
		mux.Handle(name, connect.NewUnaryHandler(name, func(
			ctx context.Context, _ *connect.Request[value],
		) (*connect.Response[value], error) {
			return connect.NewResponse(s.subject(ctx)), nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
		mux.Handle(name+"Stream", connect.NewBidiStreamHandler(name+"Stream", func(
			ctx context.Context, stream *connect.BidiStream[value, value],
		) error {
			for {
				if _, err := stream.Receive(); err != nil {
					if errors.Is(err, io.EOF) {
						return nil
					}
					return err
				}
				if err := stream.Send(s.subject(ctx)); err != nil {
					return err
				}
			}
		}))
	}
	return mux
}

var protocolOptions = map[string][]connect.ClientOption{
	"Connect":     nil,
	"Connect GET": {connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)},
	"JSON":        {connect.WithProtoJSON()},
	"gRPC":        {connect.WithGRPC()},
	"gRPC-Web":    {connect.WithGRPCWeb()},
}

// callKinds has two functions with which a test calls a procedure. One makes a unary call, the
// other opens a stream.
var callKinds = map[string]func(*testServer, context.Context, string, http.Header, []connect.ClientOption) (string, error){
	"unary": func(s *testServer, ctx context.Context, procedure string, h http.Header, opts []connect.ClientOption) (string, error) {
		client := connect.NewClient[value, value](s.client, s.server.URL+procedure, opts...)
		request := connect.NewRequest(wrapperspb.String("x"))
		for name, values := range h {
			request.Header()[name] = values
		}
		response, err := client.CallUnary(ctx, request)
		if err != nil {
			return "", err
		}
		return response.Msg.GetValue(), nil
	},
	// The client sends one message, and the handler of the stream replies with one message. If the
	// header of the call has the field X-Refused, the test expects a refusal, and the client sends
	// no message.
	"stream": func(s *testServer, ctx context.Context, procedure string, h http.Header, opts []connect.ClientOption) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream := connect.NewClient[value, value](s.client, s.server.URL+procedure+"Stream", opts...).CallBidiStream(ctx)
		// The handler waits for another message of the client. It ends only when the client closes
		// the stream, so the client must close it.
		defer func() {
			_ = stream.CloseRequest()
			_ = stream.CloseResponse()
		}()
		for name, values := range h {
			stream.RequestHeader()[name] = values
		}
		message := wrapperspb.String("x")
		if h.Get("X-Refused") != "" {
			message = nil
		}
		if err := stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		response, err := stream.Receive()
		if err != nil {
			return "", err
		}
		return response.GetValue(), nil
	},
}

// testServer.testCalls calls a procedure twice in each protocol of protocolOptions: once with a
// unary call, and once with a stream. It passes the result of each call to the function check.
func (s *testServer) testCalls(
	t *testing.T, procedure string, h http.Header, check func(t *testing.T, user string, err *connect.Error),
) {
	t.Helper()
	for kind, do := range callKinds {
		for protocol, opts := range protocolOptions {
			t.Run(kind+"/"+protocol+procedure, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				user, err := do(s, ctx, procedure, h, opts)
				told, ok := errors.AsType[*connect.Error](err)
				if err != nil && !ok {
					t.Fatalf("no error of Connect: %v", err)
				}
				check(t, user, told)
			})
		}
	}
}

func authorization(values ...string) http.Header {
	return http.Header{"Authorization": values, "X-Company": {"7"}}
}

func (s *testServer) bearer(scopes ...string) string {
	return "Bearer " + s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", Scopes: append([]string{}, scopes...), Claims: map[string]any{"aud": s.issuer.API()},
	})
}
