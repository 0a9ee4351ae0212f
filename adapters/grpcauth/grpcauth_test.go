package grpcauth_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
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
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// requirements are those of the methods of the service "t.T", which has a unary and a streaming one for each.
var requirements = map[string]xenaauth.Requirement{
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
		md, _ := metadata.FromIncomingContext(r.Context())
		path := strings.TrimSuffix(r.URL.Path, "Stream")
		if r.Method != http.MethodPost || path != "/t.T/Request" || len(md.Get("x-company")) != 1 ||
			len(r.Header) != 1 || r.PathValue("id") != "" {
			return errors.New("not as documented")
		}
		_, err := io.ReadAll(r.Body)
		return err
	}),
	"/t.T/Panic": xenaauth.Where("panic", func(context.Context, *xenaauth.User) error { panic("the secret list") }),
}

type counter struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

func (c *counter) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
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

// served is a server, and what happened in it.
type served struct {
	issuer    *xenaauthtest.Issuer
	validator *counter
	auth      *xenaauth.Middleware
	conn      *grpc.ClientConn
	handled   atomic.Int64
	seen      atomic.Pointer[error] // what came out of the guard
}

// subject is what the handlers answer by.
func (s *served) subject(ctx context.Context) *wrapperspb.StringValue {
	s.handled.Add(1)
	if user, ok := xenaauth.UserFromContext(ctx); ok {
		return wrapperspb.String(user.Subject())
	}
	return wrapperspb.String("nobody")
}

// around recovers as a service would, and keeps the error.
func (s *served) around(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "Internal error.")
		}
		s.seen.Store(&err)
	}()
	return call()
}

// start serves with guards one within the other.
func start(t *testing.T, guards int) *served {
	t.Helper()
	s := &served{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.validator = &counter{next: v}
	s.auth = xenaauth.NewMiddleware(s.validator, nil)
	require := map[string]xenaauth.Requirement{"/w.W/*": xenaauth.AllScopes("wild")}
	for name, r := range requirements {
		require[name], require[name+"Stream"] = r, r
	}
	guard := grpcauth.New(s.auth, grpcauth.Rules{
		Require: require, Public: []string{"/t.T/Open", "/t.T/OpenStream", "/w.W/Open", "/grpc.health.v1.Health/*"},
	})
	opts := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
			return resp, s.around(func() error { resp, err = next(ctx, req); return err })
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return s.around(func() error { return next(srv, ss) })
		}),
	}
	for range guards {
		opts = append(opts, guard.ServerOptions()...)
	}
	server := grpc.NewServer(opts...)
	names := []string{"Open", "Unlisted"}
	for name := range requirements {
		names = append(names, strings.TrimPrefix(name, "/t.T/"))
	}
	server.RegisterService(s.service("t.T", names...), nil)
	server.RegisterService(s.service("w.W", "Open", "Other"), nil)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	if err := guard.Check(server.GetServiceInfo()); err == nil ||
		err.Error() != "grpcauth: /t.T/Unlisted has no rule, so it is refused to everybody\n"+
			"grpcauth: /t.T/UnlistedStream has no rule, so it is refused to everybody" {
		t.Errorf("Check: %v", err)
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

// service is one without generated code.
func (s *served) service(service string, names ...string) *grpc.ServiceDesc {
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

// calls are the two ways to call a method.
var calls = map[string]func(*served, context.Context, string) (string, metadata.MD, error){
	"unary": func(s *served, ctx context.Context, method string) (string, metadata.MD, error) {
		var trailer metadata.MD
		out := new(wrapperspb.StringValue)
		err := s.conn.Invoke(ctx, method, wrapperspb.String("x"), out, grpc.Trailer(&trailer))
		return out.GetValue(), trailer, err
	},
	// It sends nothing before it is refused or, where it isn't, has nothing to wait for.
	"stream": func(s *served, ctx context.Context, method string) (string, metadata.MD, error) {
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

func (s *served) bearer(scopes ...string) string {
	return "Bearer " + s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", Scopes: append([]string{}, scopes...), Claims: map[string]any{"aud": s.issuer.API()},
	})
}

func TestAllowed(t *testing.T) {
	s := start(t, 2)
	for kind, do := range calls {
		for _, c := range []struct {
			method, authorization, user string
			validated                   int64
		}{
			{"/t.T/Any", s.bearer(), "ann", 1},
			{"/t.T/Any", strings.Replace(s.bearer(), "Bearer ", "bEARER   ", 1), "ann", 1},
			{"/t.T/Scope", s.bearer("b", "a"), "ann", 1},
			{"/t.T/Either", s.bearer("b"), "ann", 1},
			{"/t.T/Request", s.bearer(), "ann", 1},
			{"/w.W/Other", s.bearer("wild"), "ann", 1},
			{"/t.T/Open", "", "nobody", 0},
			{"/t.T/Open", "Bearer nonsense", "nobody", 0},
		} {
			s.validator.calls.Store(0)
			ctx := call(t)
			if c.authorization != "" {
				ctx = call(t, c.authorization)
			}
			user, _, err := do(s, ctx, c.method)
			if err != nil || user != c.user {
				t.Errorf("%s %s: user %q, %v", kind, c.method, user, err)
			}
			if got := s.validator.calls.Load(); got != c.validated {
				t.Errorf("%s %s: validated %d times", kind, c.method, got)
			}
		}
	}
	if _, err := grpc_health_v1.NewHealthClient(s.conn).Check(call(t), new(grpc_health_v1.HealthCheckRequest)); err != nil {
		t.Errorf("health: %v", err)
	}
}

func TestRefused(t *testing.T) {
	s := start(t, 1)
	idToken := "Bearer " + s.issuer.IDToken(xenaauthtest.Token{})
	expired := "Bearer " + s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})
	for _, c := range []struct {
		name, method  string
		authorization []string
		code          codes.Code
		reason        string
	}{
		{"none", "/t.T/Scope", nil, codes.Unauthenticated, "MISSING_TOKEN"},
		{"other scheme", "/t.T/Scope", []string{"Basic dTpw"}, codes.Unauthenticated, "MISSING_TOKEN"},
		{"repeated", "/t.T/Any", []string{s.bearer(), s.bearer()}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"two schemes", "/t.T/Scope", []string{"Basic dTpw", s.bearer("a", "b")}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"list", "/t.T/Scope", []string{s.bearer("a", "b") + ", Bearer b"}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"no token", "/t.T/Scope", []string{"Bearer"}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"empty", "/t.T/Scope", []string{""}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"too long", "/t.T/Any", []string{"Bearer " + strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1)}, codes.Unauthenticated, "MALFORMED_REQUEST"},
		{"no JWT", "/t.T/Scope", []string{"Bearer opaque"}, codes.Unauthenticated, "MALFORMED_TOKEN"},
		{"ID token", "/t.T/Scope", []string{idToken}, codes.Unauthenticated, "TOKEN_TYPE"},
		{"expired", "/t.T/Scope", []string{expired}, codes.Unauthenticated, "EXPIRED"},
		{"no scope", "/t.T/Scope", []string{s.bearer()}, codes.PermissionDenied, "INSUFFICIENT_SCOPE"},
		{"half the scopes", "/t.T/Scope", []string{s.bearer("a")}, codes.PermissionDenied, "INSUFFICIENT_SCOPE"},
		{"none of the scopes", "/t.T/Either", []string{s.bearer("c")}, codes.PermissionDenied, "INSUFFICIENT_SCOPE"},
		{"policy", "/t.T/Policy", []string{s.bearer()}, codes.PermissionDenied, "FORBIDDEN"},
		{"policy that can't tell", "/t.T/Down", []string{s.bearer()}, codes.Unavailable, "UNAVAILABLE"},
		{"outage", "/t.T/Scope", []string{"Bearer outage"}, codes.Unavailable, "UNAVAILABLE"},
		{"foreign error", "/t.T/Scope", []string{"Bearer foreign"}, codes.Unavailable, "UNAVAILABLE"},
		{"garbled scope", "/t.T/Scope", []string{"Bearer garbled"}, codes.Unauthenticated, ""},
	} {
		want := s.http(c.method, c.authorization)
		for kind, do := range calls {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				ctx := metadata.AppendToOutgoingContext(call(t, c.authorization...), "x-refused", "yes")
				_, trailer, err := do(s, ctx, c.method)
				got := status.Convert(err)
				if got.Code() != c.code {
					t.Fatalf("%v", err)
				}
				for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
					if !slices.Equal(trailer.Get(name), want.Values(name)) {
						t.Errorf("%s: %q, want HTTP's %q", name, trailer.Get(name), want.Values(name))
					}
				}
				if got.Message() == "" || strings.Contains(got.String(), "secret") || strings.Contains(got.String(), "10.0.0.7") {
					t.Errorf("status %v", got)
				}
				info, retry := details(got)
				if info.GetReason() != c.reason || c.reason != "" && info.GetDomain() != grpcauth.Domain {
					t.Errorf("info %v", info)
				}
				if scope := info.GetMetadata()["scope"]; c.reason != "" && scope != "" &&
					!strings.Contains(trailer.Get("www-authenticate")[0], `scope="`+scope+`"`) ||
					c.reason == "INSUFFICIENT_SCOPE" && scope == "" {
					t.Errorf("scope %q", scope)
				}
				if (retry != nil) != (c.code == codes.Unavailable) ||
					retry != nil && strconv.FormatInt(retry.GetRetryDelay().GetSeconds(), 10) != want.Get("Retry-After") {
					t.Errorf("retry %v, Retry-After %q", retry, want.Get("Retry-After"))
				}
				if refusal, ok := errors.AsType[*xenaauth.Error](*s.seen.Load()); !ok || c.reason != "" && !strings.EqualFold(string(refusal.Reason), c.reason) {
					t.Errorf("interceptors around the guard see %v", *s.seen.Load())
				} else if text := (*s.seen.Load()).Error(); strings.Contains(text, "secret") || strings.Contains(text, "10.0.0.7") {
					t.Errorf("an error that is wrapped would show %s", text)
				}
			})
		}
	}
	if s.handled.Load() != 0 {
		t.Errorf("handlers ran %d times", s.handled.Load())
	}
}

// http is the header that net/http's middleware answers by.
func (s *served) http(method string, authorization []string) http.Header {
	r := httptest.NewRequest(http.MethodPost, method, nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	s.auth.Require(requirements[method])(http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Header()
}

func details(s *status.Status) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, retry
}

// TestOutage has the issuer down.
func TestOutage(t *testing.T) {
	s := start(t, 1)
	s.issuer.Down()
	token := s.bearer("a", "b")
	for kind, do := range calls {
		_, trailer, err := do(s, call(t, token), "/t.T/Scope")
		if _, retry := details(status.Convert(err)); status.Code(err) != codes.Unavailable || retry == nil ||
			len(trailer.Get("retry-after")) != 1 || len(trailer.Get("www-authenticate")) != 0 {
			t.Errorf("%s: %v, trailer %v", kind, err, trailer)
		}
	}
	if s.handled.Load() != 0 {
		t.Errorf("handlers ran %d times", s.handled.Load())
	}
}

func TestUnlisted(t *testing.T) {
	s := start(t, 1)
	for kind, do := range calls {
		for _, authorization := range []string{"", s.bearer("a", "b"), "Bearer outage", "Bearer"} {
			ctx := call(t)
			if authorization != "" {
				ctx = call(t, authorization)
			}
			_, trailer, err := do(s, ctx, "/t.T/Unlisted")
			info, _ := details(status.Convert(err))
			if status.Code(err) != codes.PermissionDenied || info.GetReason() != "NO_RULE" ||
				!slices.Equal(trailer.Get("www-authenticate"), []string{`Bearer realm="xena"`}) {
				t.Errorf("%s: %v, trailer %v", kind, err, trailer)
			}
		}
	}
	// A name that isn't quite a listed one, should gRPC ever let it through to interceptors.
	guard := grpcauth.New(s.auth, grpcauth.Rules{Public: []string{"/t.T/Open", "/w.W/*"}})
	for _, name := range []string{"", "/", "*", "/*", "t.T/Open", "//t.T/Open", "/t.T/Open/", "/t.T/open", "/t.T/Open/x", "/w.W", "w.W/Open", "/w.W/x/y", "/x/../w.W/Open", "/w.W2/Open"} {
		_, err := guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: name}, func(context.Context, any) (any, error) {
			return nil, nil
		})
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%q: %v", name, err)
		}
	}
	if s.handled.Load() != 0 || s.validator.calls.Load() != 0 {
		t.Errorf("handled %d, validated %d", s.handled.Load(), s.validator.calls.Load())
	}
}

// TestPanic has a policy panic: the handler doesn't run, clients aren't told, and the server goes on.
func TestPanic(t *testing.T) {
	s := start(t, 1)
	for kind, do := range calls {
		if _, _, err := do(s, call(t, s.bearer()), "/t.T/Panic"); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", kind, err)
		}
		if s.handled.Load() != 0 {
			t.Fatalf("%s: the handler ran", kind)
		}
	}
	if user, _, err := calls["unary"](s, call(t, s.bearer()), "/t.T/Any"); user != "ann" {
		t.Errorf("afterwards: user %q, %v", user, err)
	}
}

func TestNew(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	cfg := issuer.Config()
	cfg.Audiences, cfg.AllowAnyAudience = nil, true
	anyAudience, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	type require = map[string]xenaauth.Requirement
	bad := []grpcauth.Rules{
		{Require: require{"/t.T/M": {}}},
		{Require: require{"/t.T/M": xenaauth.AnyUser()}, Public: []string{"/t.T/M"}},
		{Public: []string{"/t.T/M", "/t.T/M"}},
	}
	for _, name := range []string{"", "/", "*", "/*", "t.T/M", "/t.T", "/t.T/", "//M", "//t.T/M", "/t.T/M/", "/t.T/M*", "/*/M", "/t.T/**", "/*/*"} {
		bad = append(bad, grpcauth.Rules{Public: []string{name}}, grpcauth.Rules{Require: require{name: xenaauth.AnyUser()}})
	}
	for _, rules := range bad {
		if !panics(func() { grpcauth.New(xenaauth.NewMiddleware(v, nil), rules) }) {
			t.Errorf("no panic: %v", rules)
		}
	}
	if !panics(func() {
		grpcauth.New(xenaauth.NewMiddleware(anyAudience, nil), grpcauth.Rules{Require: require{"/t.T/M": xenaauth.AnyUser()}})
	}) {
		t.Error("no panic without audience and scope")
	}
	guard := grpcauth.New(xenaauth.NewMiddleware(v, nil), grpcauth.Rules{Require: require{"/t.T/M": xenaauth.AnyUser()}, Public: []string{"/u.U/*"}})
	err = guard.Check(map[string]grpc.ServiceInfo{"t.T": {Methods: []grpc.MethodInfo{{Name: "N"}}}})
	if err == nil || err.Error() != "grpcauth: /t.T/N has no rule, so it is refused to everybody\n"+
		"grpcauth: the rule for /t.T/M has no method\ngrpcauth: the rule for /u.U/* has no method" {
		t.Errorf("Check: %v", err)
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}
