package extauthz_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// routeRules are the rules of these tests: for each path, who may send requests to it.
var routeRules = []routes.Rule{
	{Pattern: "GET /any", Access: routes.Require(xenaauth.AnyUser())},
	{Pattern: "/scope/", Access: routes.Require(xenaauth.AllScopes("a", "b"))},
	{Pattern: "/open/", Access: routes.Public()},
	{Pattern: "/open/shut", Access: routes.Deny()},
	{Pattern: "/maybe", Access: routes.Optional()},
	{Pattern: "/policy", Access: routes.Require(xenaauth.Where("nobody", func(context.Context, *xenaauth.User) error {
		return errors.New("row 17 of the secret list")
	}))},
	{Pattern: "/down", Access: routes.Require(xenaauth.Where("down", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 1500 * time.Millisecond}
	}))},
	{Pattern: "/panic", Access: routes.Require(xenaauth.Where("panic", func(context.Context, *xenaauth.User) error {
		panic("the secret list")
	}))},
	{Pattern: "POST company.example/request", Access: routes.Require(xenaauth.WhereRequest("the request",
		func(r *http.Request, _ *xenaauth.User) error {
			if r.Host != "company.example" || r.URL.Query().Get("q") != "1" || r.Header.Get("X-Company") != "7" ||
				r.RequestURI != "/request?q=1" || r.Header.Get("Host") != "" || r.URL.IsAbs() ||
				r.Header.Get("X-Auth-User")+r.Header.Get("X_auth_user") != "" {
				return errors.New("not as net/http has it")
			}
			return nil
		}))},
}

// countingValidator is a validator of tokens that calls another validator and counts these calls.
// For the token "foreign", it returns an error instead.
type countingValidator struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

func (c *countingValidator) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	c.calls.Add(1)
	if token == "foreign" {
		return nil, errors.New("dial tcp 10.0.0.7:6379: connection refused")
	}
	return c.next.Validate(ctx, token)
}

// testService is the authorization service in a test, and a gRPC client that calls the service as
// Envoy does.
type testService struct {
	issuer    *xenaauthtest.Issuer
	validator *countingValidator
	auth      *xenaauth.Middleware
	routes    *routes.Table
	identity  *identity.Identity
	service   authv3.AuthorizationServer
	client    authv3.AuthorizationClient
	outcomes  atomic.Int64
}

// startService starts the authorization service for a test. If editConfig is not nil, startService
// first calls it to change the configuration of the service.
func startService(t testing.TB, opts *xenaauth.Options, editConfig func(*extauthz.Config), server ...grpc.ServerOption) *testService {
	t.Helper()
	s := &testService{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	fatal(t, err)
	s.validator = &countingValidator{next: v}
	if opts == nil {
		opts = new(xenaauth.Options)
	}
	opts.Event = func(context.Context, xenaauth.Event) { s.outcomes.Add(1) }
	s.auth = xenaauth.NewMiddleware(s.validator, opts)
	s.routes, err = routes.New(routeRules, nil)
	fatal(t, err)
	s.identity, err = identity.New(identity.Config{})
	fatal(t, err)
	cfg := extauthz.Config{Middleware: s.auth, Find: s.routes.Find, Identity: s.identity}
	if editConfig != nil {
		editConfig(&cfg)
	}
	s.service, err = extauthz.New(cfg)
	fatal(t, err)

	g := grpc.NewServer(server...)
	authv3.RegisterAuthorizationServer(g, s.service)
	listener := bufconn.Listen(1 << 20)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	fatal(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s.client = authv3.NewAuthorizationClient(conn)
	return s
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *testService) token(scopes ...string) string {
	return s.issuer.JWT(xenaauthtest.Token{Subject: "ann", ClientID: "app", Scopes: scopes,
		Claims: map[string]any{"aud": s.issuer.API()}})
}

func (s *testService) check(t testing.TB, in *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	out, err := s.client.Check(t.Context(), in)
	fatal(t, err)
	if (out.GetStatus().GetCode() == 0) != (out.GetOkResponse() != nil) || out.GetErrorResponse() != nil {
		t.Fatalf("status and answer differ: %v", out)
	}
	return out
}

// request is an HTTP request that a client sends to Envoy. Each element of lines is one line of its
// header: a name and a value.
type request struct {
	method, host, target string
	lines                [][2]string
}

func get(target string, lines ...[2]string) request {
	return request{http.MethodGet, "api.example", target, lines}
}

func bearer(token string) [2]string { return [2]string{"Authorization", "Bearer " + token} }

// request.envoyMessage returns the message that Envoy sends to the service about the request r. If
// raw is true, the message has the form that Envoy uses with the setting encode_raw_headers.
func (r request) envoyMessage(raw bool) *authv3.CheckRequest {
	lines := append([][2]string{{":method", r.method}, {":path", r.target}, {":authority", r.host}, {":scheme", "https"},
		{"x-request-id", "1"}}, r.lines...)
	h := &authv3.AttributeContext_HttpRequest{
		Id: "1", Method: r.method, Path: r.target, Host: r.host, Scheme: "https", Protocol: "HTTP/2", Size: -1,
	}
	if raw {
		h.HeaderMap = new(corev3.HeaderMap)
		for _, line := range lines {
			h.HeaderMap.Headers = append(h.HeaderMap.Headers,
				&corev3.HeaderValue{Key: strings.ToLower(line[0]), RawValue: []byte(line[1])})
		}
	} else {
		h.Headers = make(map[string]string)
		for _, line := range lines {
			name := strings.ToLower(line[0])
			if before, twice := h.Headers[name]; twice {
				h.Headers[name] = before + "," + line[1]
			} else {
				h.Headers[name] = strings.ToValidUTF8(line[1], "!")
			}
		}
	}
	return wrap(h)
}

func wrap(h *authv3.AttributeContext_HttpRequest) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: h}}}
}

// request.parse returns r in the form in which a server of net/http reads it, or the error of
// net/http if r is malformed.
func (r request) parse() (*http.Request, error) {
	var b strings.Builder
	b.WriteString(r.method + " " + r.target + " HTTP/1.1\r\nHost: " + r.host + "\r\nX-Request-Id: 1\r\n")
	for _, line := range r.lines {
		b.WriteString(line[0] + ": " + line[1] + "\r\n")
	}
	return http.ReadRequest(bufio.NewReader(strings.NewReader(b.String() + "\r\n")))
}

// testService.sendToGuard sends the request r to a guard of net/http. This guard has the same
// middleware and the same table of routes as the service. If the guard allows r, the handler behind
// the guard gets a request: this is receivedRequest. If the guard refuses r, receivedRequest is
// nil.
func (s *testService) sendToGuard(t testing.TB, r request) (answer *httptest.ResponseRecorder, receivedRequest *http.Request) {
	t.Helper()
	in, err := r.parse()
	fatal(t, err)
	answer = httptest.NewRecorder()
	guard := routes.NewGuard(s.auth, s.routes.Find).Handler
	guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { receivedRequest = r })).ServeHTTP(answer, in)
	return answer, receivedRequest
}

// request.upstreamHeader returns the header that the upstream gets from Envoy. The parameter ok is
// the response of the authorization service to Envoy. It lists the fields that Envoy must set and
// the fields that Envoy must remove. Envoy sets fields first, and then removes fields.
func (r request) upstreamHeader(ok *authv3.OkHttpResponse) map[string][]string {
	h := make(map[string][]string)
	for _, line := range r.lines {
		name := strings.ToLower(line[0])
		h[name] = append(h[name], line[1])
	}
	apply(h, ok.GetHeaders())
	for _, name := range ok.GetHeadersToRemove() {
		delete(h, name)
	}
	return h
}

// headerOfRefusal returns the header that the client gets from Envoy if the service refuses its
// request.
func headerOfRefusal(denied *authv3.DeniedHttpResponse) http.Header {
	h := make(map[string][]string)
	apply(h, denied.GetHeaders())
	out := make(http.Header)
	for name, values := range h {
		out[http.CanonicalHeaderKey(name)] = values
	}
	return out
}

func apply(h map[string][]string, options []*corev3.HeaderValueOption) {
	for _, o := range options {
		name, value := o.GetHeader().GetKey(), o.GetHeader().GetValue()
		switch {
		case name != strings.ToLower(name):
			panic("the name is not in lower case: " + name)
		// Without KeepEmptyValue, this test kit drops a header field with an empty value. Envoy
		// itself keeps the field, but other programs with the protocol of Envoy may drop it. So the
		// service must set KeepEmptyValue.
		case value == "" && !o.GetKeepEmptyValue():
		case len(o.GetHeader().GetRawValue()) > 0:
			panic("Envoy doesn't read raw values")
		case o.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			h[name] = []string{value}
		case o.GetAppendAction() == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			h[name] = append(h[name], value)
		default:
			panic("another action")
		}
	}
}
