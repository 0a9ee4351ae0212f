package grpcauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestAllowed(t *testing.T) {
	s := startServer(t, 2)
	for kind, do := range callKinds {
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
			{"/t.T/Maybe", "", "nobody", 0},
			{"/t.T/Maybe", s.bearer(), "ann", 1},
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
	s := startServer(t, 1)
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
		{"policy with an outage", "/t.T/Down", []string{s.bearer()}, codes.Unavailable, "UNAVAILABLE"},
		{"outage", "/t.T/Scope", []string{"Bearer outage"}, codes.Unavailable, "UNAVAILABLE"},
		{"foreign error", "/t.T/Scope", []string{"Bearer foreign"}, codes.Unavailable, "UNAVAILABLE"},
		{"garbled scope", "/t.T/Scope", []string{"Bearer garbled"}, codes.Unauthenticated, ""},
	} {
		want := s.headerOverHTTP(c.method, c.authorization)
		for kind, do := range callKinds {
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
				seen := *s.latestError.Load()
				refusal, ok := errors.AsType[*xenaauth.Error](seen)
				if !ok || c.reason != "" && !strings.EqualFold(string(refusal.Reason), c.reason) {
					t.Errorf("interceptors around the guard see %v", seen)
				} else if text := seen.Error(); strings.Contains(text, "secret") || strings.Contains(text, "10.0.0.7") {
					t.Errorf("an error that is wrapped would show %s", text)
				}
			})
		}
	}
	if s.handled.Load() != 0 {
		t.Errorf("handlers ran %d times", s.handled.Load())
	}
}

// testServer.headerOverHTTP sends an HTTP request to a guard of net/http, and returns the header of
// the response. The path of the request is the full name of a gRPC method. The tests compare the
// header with the metadata that the guard of grpcauth sends for a call of this method.
func (s *testServer) headerOverHTTP(method string, authorization []string) http.Header {
	r := httptest.NewRequest(http.MethodPost, method, nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	s.auth.Require(methodRequirements[method])(http.NotFoundHandler()).ServeHTTP(w, r)
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

// TestOutage calls a method while the issuer is down.
func TestOutage(t *testing.T) {
	s := startServer(t, 1)
	s.issuer.Down()
	token := s.bearer("a", "b")
	for kind, do := range callKinds {
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

// TestNoRule calls methods that no rule matches. The calls are refused, and the guard does not read
// the token.
func TestNoRule(t *testing.T) {
	s := startServer(t, 1)
	for kind, do := range callKinds {
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
	// Each of these names differs a little from the full name of a method that everybody may call.
	// If gRPC passes such a name to the guard, the guard must refuse the call.
	guard := grpcauth.New(s.auth, table(t,
		routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()},
		routes.Rule{Pattern: "/w.W/", Access: routes.Public()}).Find)
	for name, want := range map[string]codes.Code{
		"/": codes.PermissionDenied, "/*": codes.PermissionDenied, "/t.T/Open/": codes.PermissionDenied,
		"/t.T/open": codes.PermissionDenied, "/t.T/Open/x": codes.PermissionDenied, "/w.W": codes.PermissionDenied,
		"/w.W2/Open": codes.PermissionDenied,
		// Each of these method names is ambiguous: one server could read it in another way than
		// another server. The guard takes a method name as the path of an HTTP request, and it
		// refuses an ambiguous path. Over HTTP, this refusal has the status 400. In gRPC, it has
		// the code Unauthenticated.
		"": codes.Unauthenticated, "*": codes.Unauthenticated, "t.T/Open": codes.Unauthenticated,
		"w.W/Open": codes.Unauthenticated, "//t.T/Open": codes.Unauthenticated, "/x/../w.W/Open": codes.Unauthenticated,
		"/w.W/%4Fpen": codes.Unauthenticated, "/t.T%2FOpen": codes.Unauthenticated,
	} {
		_, err := guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: name}, nil)
		if status.Code(err) != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if s.handled.Load() != 0 || s.validator.calls.Load() != 0 {
		t.Errorf("handled %d, validated %d", s.handled.Load(), s.validator.calls.Load())
	}
}

func TestNew(t *testing.T) {
	auth := xenaauth.NewMiddleware(&countingValidator{}, nil)
	find := table(t).Find
	for name, f := range map[string]func(){
		"nil Middleware": func() { grpcauth.New(nil, find) },
		"nil find":       func() { grpcauth.New(auth, nil) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestMethods(t *testing.T) {
	got := grpcauth.Methods(map[string]grpc.ServiceInfo{
		"w.W": {Methods: []grpc.MethodInfo{{Name: "M"}}},
		"t.T": {Methods: []grpc.MethodInfo{{Name: "N"}, {Name: "M", IsServerStream: true}}},
	})
	if want := []string{"/t.T/M", "/t.T/N", "/w.W/M"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
