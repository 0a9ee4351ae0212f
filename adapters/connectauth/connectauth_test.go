package connectauth_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// requirements are those of the procedures of the service "t.T", which has a unary and a streaming one for each.
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
		if strings.TrimSuffix(r.URL.Path, "Stream") != "/t.T/Request" || r.Header.Get("X-Company") != "7" || r.PathValue("id") != "" {
			return errors.New("not as documented")
		}
		return nil
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
	server    *httptest.Server
	handled   atomic.Int64
}

type value = wrapperspb.StringValue

// subject is what the handlers answer by.
func (s *served) subject(ctx context.Context) *value {
	s.handled.Add(1)
	if user, ok := xenaauth.UserFromContext(ctx); ok {
		return wrapperspb.String(user.Subject())
	}
	return wrapperspb.String("nobody")
}

// start serves over HTTP/2, with outer around the guards if it isn't nil.
func start(t *testing.T, outer func(*xenaauth.Middleware) func(http.Handler) http.Handler) *served {
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
	mux := http.NewServeMux()
	names := []string{"/t.T/Open", "/t.T/Unlisted", "/w.W/Open", "/w.W/Other"}
	for name := range requirements {
		names = append(names, name)
	}
	for _, name := range names {
		mux.Handle(name, connect.NewUnaryHandler(name, func(ctx context.Context, _ *connect.Request[value]) (*connect.Response[value], error) {
			return connect.NewResponse(s.subject(ctx)), nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
		mux.Handle(name+"Stream", connect.NewBidiStreamHandler(name+"Stream", func(ctx context.Context, stream *connect.BidiStream[value, value]) error {
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
	guard := connectauth.New(s.auth, connectauth.Rules{
		Require: require, Public: []string{"/t.T/Open", "/t.T/OpenStream", "/w.W/Open", "/w.W/OpenStream"},
	})
	handler := guard.Wrap(guard.Wrap(mux))
	if outer != nil {
		handler = outer(s.auth)(handler)
	}
	s.server = httptest.NewUnstartedServer(handler)
	s.server.EnableHTTP2 = true
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // TestPanic's
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

var protocols = map[string][]connect.ClientOption{
	"Connect":     nil,
	"Connect GET": {connect.WithHTTPGet(), connect.WithIdempotency(connect.IdempotencyNoSideEffects)},
	"JSON":        {connect.WithProtoJSON()},
	"gRPC":        {connect.WithGRPC()},
	"gRPC-Web":    {connect.WithGRPCWeb()},
}

// calls are the two ways to call a procedure.
var calls = map[string]func(*served, context.Context, string, http.Header, []connect.ClientOption) (string, error){
	"unary": func(s *served, ctx context.Context, procedure string, h http.Header, opts []connect.ClientOption) (string, error) {
		client := connect.NewClient[value, value](s.server.Client(), s.server.URL+procedure, opts...)
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
	// Where X-Refused says so it sends nothing.
	"stream": func(s *served, ctx context.Context, procedure string, h http.Header, opts []connect.ClientOption) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream := connect.NewClient[value, value](s.server.Client(), s.server.URL+procedure+"Stream", opts...).CallBidiStream(ctx)
		defer func() { // else the handler waits for more, and the server for it
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

// each calls a procedure in every way.
func (s *served) each(t *testing.T, procedure string, h http.Header, check func(t *testing.T, user string, err *connect.Error)) {
	t.Helper()
	for kind, do := range calls {
		for protocol, opts := range protocols {
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

func (s *served) bearer(scopes ...string) string {
	return "Bearer " + s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", Scopes: append([]string{}, scopes...), Claims: map[string]any{"aud": s.issuer.API()},
	})
}

func TestAllowed(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		procedure, user string
		header          http.Header
		validated       int64
	}{
		{"/t.T/Any", "ann", authorization(s.bearer()), 1},
		{"/t.T/Any", "ann", authorization(strings.Replace(s.bearer(), "Bearer ", "bEARER   ", 1)), 1},
		{"/t.T/Scope", "ann", authorization(s.bearer("b", "a")), 1},
		{"/t.T/Either", "ann", authorization(s.bearer("b")), 1},
		{"/t.T/Request", "ann", authorization(s.bearer()), 1},
		{"/w.W/Other", "ann", authorization(s.bearer("wild")), 1},
		{"/t.T/Open", "nobody", nil, 0},
		{"/t.T/Open", "nobody", authorization("Bearer nonsense"), 0},
		{"/w.W/Open", "nobody", nil, 0},
	} {
		s.each(t, c.procedure, c.header, func(t *testing.T, user string, err *connect.Error) {
			if err != nil || user != c.user {
				t.Errorf("user %q, %v", user, err)
			}
			if got := s.validator.calls.Swap(0); got != c.validated {
				t.Errorf("validated %d times", got)
			}
		})
	}
}

// TestBehindMiddleware has net/http's guard around this one, which goes by its user.
func TestBehindMiddleware(t *testing.T) {
	s := start(t, func(m *xenaauth.Middleware) func(http.Handler) http.Handler { return m.Require() })
	s.each(t, "/t.T/Scope", authorization(s.bearer("a", "b")), func(t *testing.T, user string, err *connect.Error) {
		if got := s.validator.calls.Swap(0); err != nil || user != "ann" || got != 1 {
			t.Errorf("user %q, %v, validated %d times", user, err, got)
		}
	})
}

func TestRefused(t *testing.T) {
	s := start(t, nil)
	idToken := "Bearer " + s.issuer.IDToken(xenaauthtest.Token{})
	expired := "Bearer " + s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})
	for _, c := range []struct {
		name, procedure string
		authorization   []string
		code            connect.Code
		reason          string
	}{
		{"none", "/t.T/Scope", nil, connect.CodeUnauthenticated, "MISSING_TOKEN"},
		{"other scheme", "/t.T/Scope", []string{"Basic dTpw"}, connect.CodeUnauthenticated, "MISSING_TOKEN"},
		{"repeated", "/t.T/Any", []string{s.bearer(), s.bearer()}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"two schemes", "/t.T/Scope", []string{"Basic dTpw", s.bearer("a", "b")}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"list", "/t.T/Scope", []string{s.bearer("a", "b") + ", Bearer b"}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"no token", "/t.T/Scope", []string{"Bearer"}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"empty", "/t.T/Scope", []string{""}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"too long", "/t.T/Any", []string{"Bearer " + strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1)}, connect.CodeUnauthenticated, "MALFORMED_REQUEST"},
		{"no JWT", "/t.T/Scope", []string{"Bearer opaque"}, connect.CodeUnauthenticated, "MALFORMED_TOKEN"},
		{"ID token", "/t.T/Scope", []string{idToken}, connect.CodeUnauthenticated, "TOKEN_TYPE"},
		{"expired", "/t.T/Scope", []string{expired}, connect.CodeUnauthenticated, "EXPIRED"},
		{"no scope", "/t.T/Scope", []string{s.bearer()}, connect.CodePermissionDenied, "INSUFFICIENT_SCOPE"},
		{"half the scopes", "/t.T/Scope", []string{s.bearer("a")}, connect.CodePermissionDenied, "INSUFFICIENT_SCOPE"},
		{"none of the scopes", "/t.T/Either", []string{s.bearer("c")}, connect.CodePermissionDenied, "INSUFFICIENT_SCOPE"},
		{"policy", "/t.T/Policy", []string{s.bearer()}, connect.CodePermissionDenied, "FORBIDDEN"},
		{"policy that can't tell", "/t.T/Down", []string{s.bearer()}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"outage", "/t.T/Scope", []string{"Bearer outage"}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"foreign error", "/t.T/Scope", []string{"Bearer foreign"}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"garbled scope", "/t.T/Scope", []string{"Bearer garbled"}, connect.CodeUnauthenticated, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := s.http(c.procedure, c.authorization)
			h := authorization(c.authorization...)
			h.Set("X-Refused", "yes")
			s.each(t, c.procedure, h, func(t *testing.T, _ string, err *connect.Error) {
				if err == nil || err.Code() != c.code || err.Message() == "" ||
					strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "10.0.0.7") {
					t.Fatalf("%v", err)
				}
				for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
					if !slices.Equal(err.Meta().Values(name), want.Values(name)) {
						t.Errorf("%s: %q, want HTTP's %q", name, err.Meta().Values(name), want.Values(name))
					}
				}
				info, retry := details(t, err)
				if info.GetReason() != c.reason || c.reason != "" && info.GetDomain() != connectauth.Domain {
					t.Errorf("info %v", info)
				}
				if scope := info.GetMetadata()["scope"]; scope != "" && !strings.Contains(err.Meta().Get("WWW-Authenticate"), `scope="`+scope+`"`) ||
					c.reason == "INSUFFICIENT_SCOPE" && scope == "" {
					t.Errorf("scope %q", scope)
				}
				if (retry != nil) != (c.code == connect.CodeUnavailable) ||
					retry != nil && strconv.FormatInt(retry.GetRetryDelay().GetSeconds(), 10) != want.Get("Retry-After") {
					t.Errorf("retry %v, Retry-After %q", retry, want.Get("Retry-After"))
				}
			})
		})
	}
	if s.handled.Load() != 0 {
		t.Errorf("handlers ran %d times", s.handled.Load())
	}
}

// http is the header that net/http's middleware answers by.
func (s *served) http(procedure string, authorization []string) http.Header {
	r := httptest.NewRequest(http.MethodPost, procedure, nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	s.auth.Require(requirements[procedure])(http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Header()
}

func details(t *testing.T, err *connect.Error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	t.Helper()
	for _, d := range err.Details() {
		message, failed := d.Value()
		if failed != nil {
			t.Fatal(failed)
		}
		switch message := message.(type) {
		case *errdetails.ErrorInfo:
			info = message
		case *errdetails.RetryInfo:
			retry = message
		}
	}
	return info, retry
}

// TestOutage has the issuer down.
func TestOutage(t *testing.T) {
	s := start(t, nil)
	s.issuer.Down()
	s.each(t, "/t.T/Scope", authorization(s.bearer("a", "b")), func(t *testing.T, _ string, err *connect.Error) {
		if err == nil || err.Code() != connect.CodeUnavailable || err.Meta().Get("Retry-After") == "" || err.Meta().Get("WWW-Authenticate") != "" {
			t.Fatalf("%v", err)
		}
		if _, retry := details(t, err); retry == nil {
			t.Error("no RetryInfo")
		}
	})
	if s.handled.Load() != 0 {
		t.Errorf("handlers ran %d times", s.handled.Load())
	}
}

func TestUnlisted(t *testing.T) {
	s := start(t, nil)
	for _, h := range []http.Header{{}, authorization(s.bearer("a", "b")), authorization("Bearer outage"), authorization("Bearer")} {
		s.each(t, "/t.T/Unlisted", h, func(t *testing.T, _ string, err *connect.Error) {
			if err == nil || err.Code() != connect.CodePermissionDenied ||
				err.Meta().Get("WWW-Authenticate") != `Bearer realm="xena"` {
				t.Fatalf("%v", err)
			}
			if info, _ := details(t, err); info.GetReason() != "NO_RULE" {
				t.Errorf("info %v", info)
			}
		})
	}
	if s.handled.Load() != 0 || s.validator.calls.Load() != 0 {
		t.Errorf("handled %d, validated %d", s.handled.Load(), s.validator.calls.Load())
	}
	guard := connectauth.New(s.auth, connectauth.Rules{Public: []string{"/t.T/Open", "/w.W/*"}})
	handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s is open", r.URL) }))
	for _, path := range []string{"/", "//t.T/Open", "/t.T/Open/", "/t.T/open", "/t.T/Open/x", "/t.T%2FOpen", "/t.T/%4Fpen", "/w.W", "/w.W/x/y", "/x/../w.W/Open", "/w.W2/Open"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil)) // of no protocol
		if w.Code != http.StatusForbidden || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

// TestTokenInQuery has a token in Connect's GET query besides that in the field.
func TestTokenInQuery(t *testing.T) {
	s := start(t, nil)
	r := httptest.NewRequest(http.MethodGet, s.server.URL+"/t.T/Any?connect=v1&encoding=json&message=%22x%22&access_token=x", nil)
	r.RequestURI = ""
	r.Header.Set("Authorization", s.bearer())
	response, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), `"unauthenticated"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// TestPanic has a policy panic: the handler doesn't run, clients aren't told, and the server goes on.
func TestPanic(t *testing.T) {
	s := start(t, nil)
	s.each(t, "/t.T/Panic", authorization(s.bearer()), func(t *testing.T, _ string, err *connect.Error) {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	})
	if s.handled.Load() != 0 {
		t.Error("the handler ran")
	}
	s.each(t, "/t.T/Any", authorization(s.bearer()), func(t *testing.T, user string, err *connect.Error) {
		if user != "ann" {
			t.Errorf("afterwards: user %q, %v", user, err)
		}
	})
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
	bad := []connectauth.Rules{
		{Require: require{"/t.T/M": {}}},
		{Require: require{"/t.T/M": xenaauth.AnyUser()}, Public: []string{"/t.T/M"}},
		{Public: []string{"/t.T/M", "/t.T/M"}},
	}
	for _, name := range []string{"", "/", "*", "/*", "t.T/M", "/t.T", "/t.T/", "//M", "//t.T/M", "/t.T/M/", "/t.T/M*", "/*/M", "/t.T/**", "/*/*"} {
		bad = append(bad, connectauth.Rules{Public: []string{name}}, connectauth.Rules{Require: require{name: xenaauth.AnyUser()}})
	}
	for _, rules := range bad {
		if !panics(func() { connectauth.New(xenaauth.NewMiddleware(v, nil), rules) }) {
			t.Errorf("no panic: %v", rules)
		}
	}
	if !panics(func() {
		connectauth.New(xenaauth.NewMiddleware(anyAudience, nil), connectauth.Rules{Require: require{"/t.T/M": xenaauth.AnyUser()}})
	}) {
		t.Error("no panic without audience and scope")
	}
	if !panics(func() { connectauth.New(xenaauth.NewMiddleware(v, nil), connectauth.Rules{}).Wrap(nil) }) {
		t.Error("no panic for a nil handler")
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestCheck(t *testing.T) {
	method := func(name string) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: proto.String(name), InputType: proto.String(".t.V"), OutputType: proto.String(".t.V"),
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("t.proto"), Package: proto.String("t"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("V")}},
		Service: []*descriptorpb.ServiceDescriptorProto{
			{Name: proto.String("T"), Method: []*descriptorpb.MethodDescriptorProto{method("M"), method("N")}},
			{Name: proto.String("W"), Method: []*descriptorpb.MethodDescriptorProto{method("M")}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	guard := connectauth.New(auth, connectauth.Rules{
		Require: map[string]xenaauth.Requirement{"/t.T/M": xenaauth.AnyUser(), "/t.T/O": xenaauth.AnyUser()}, Public: []string{"/t.W/*"},
	})
	err = guard.Check(connectauth.Procedures(file)...)
	if err == nil || err.Error() != "connectauth: /t.T/N has no rule, so it is refused to everybody\n"+
		"connectauth: the rule for /t.T/O has no procedure" {
		t.Errorf("Check: %v", err)
	}
	guard = connectauth.New(auth, connectauth.Rules{Public: []string{"/t.T/*", "/t.W/M"}})
	if err := guard.Check(connectauth.Procedures(file)...); err != nil {
		t.Errorf("Check: %v", err)
	}
}
