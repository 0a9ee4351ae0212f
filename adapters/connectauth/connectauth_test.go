package connectauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestAllowed(t *testing.T) {
	s := startServer(t, nil)
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
		{"/t.T/Maybe", "nobody", nil, 0},
		{"/t.T/Maybe", "ann", authorization(s.bearer()), 1},
	} {
		s.testCalls(t, c.procedure, c.header, func(t *testing.T, user string, err *connect.Error) {
			if err != nil || user != c.user {
				t.Errorf("user %q, %v", user, err)
			}
			if got := s.validator.calls.Swap(0); got != c.validated {
				t.Errorf("validated %d times", got)
			}
		})
	}
}

// TestBehindMiddleware puts a guard of net/http around the guard of connectauth. Both guards check
// each request, but the token is validated only once.
func TestBehindMiddleware(t *testing.T) {
	s := startServer(t, func(m *xenaauth.Middleware) func(http.Handler) http.Handler { return m.Require(xenaauth.AnyUser()) })
	s.testCalls(t, "/t.T/Scope", authorization(s.bearer("a", "b")), func(t *testing.T, user string, err *connect.Error) {
		if got := s.validator.calls.Swap(0); err != nil || user != "ann" || got != 1 {
			t.Errorf("user %q, %v, validated %d times", user, err, got)
		}
	})
}

func TestRefused(t *testing.T) {
	s := startServer(t, nil)
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
		{"policy with an outage", "/t.T/Down", []string{s.bearer()}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"outage", "/t.T/Scope", []string{"Bearer outage"}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"foreign error", "/t.T/Scope", []string{"Bearer foreign"}, connect.CodeUnavailable, "UNAVAILABLE"},
		{"garbled scope", "/t.T/Scope", []string{"Bearer garbled"}, connect.CodeUnauthenticated, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := s.headerOverHTTP(c.procedure, c.authorization)
			h := authorization(c.authorization...)
			h.Set("X-Refused", "yes")
			s.testCalls(t, c.procedure, h, func(t *testing.T, _ string, err *connect.Error) {
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
				scope, challenge := info.GetMetadata()["scope"], err.Meta().Get("WWW-Authenticate")
				if scope != "" && !strings.Contains(challenge, `scope="`+scope+`"`) ||
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

// testServer.headerOverHTTP calls a procedure as a POST request to a guard of net/http, and returns
// the header of the response. The tests compare it with the header that the guard of connectauth
// sends.
func (s *testServer) headerOverHTTP(procedure string, authorization []string) http.Header {
	r := httptest.NewRequest(http.MethodPost, procedure, nil)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	s.auth.Require(procedureRequirements[procedure])(http.NotFoundHandler()).ServeHTTP(w, r)
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

// TestOutage calls a procedure while the issuer is down.
func TestOutage(t *testing.T) {
	s := startServer(t, nil)
	s.issuer.Down()
	s.testCalls(t, "/t.T/Scope", authorization(s.bearer("a", "b")), func(t *testing.T, _ string, err *connect.Error) {
		if err == nil || err.Code() != connect.CodeUnavailable ||
			err.Meta().Get("Retry-After") == "" || err.Meta().Get("WWW-Authenticate") != "" {
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

// TestNoRule calls procedures that no rule matches. The calls are refused, and the guard does not
// read the token.
func TestNoRule(t *testing.T) {
	s := startServer(t, nil)
	for _, h := range []http.Header{{}, authorization(s.bearer("a", "b")), authorization("Bearer outage"), authorization("Bearer")} {
		s.testCalls(t, "/t.T/Unlisted", h, func(t *testing.T, _ string, err *connect.Error) {
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
	guard := connectauth.New(s.auth, table(t,
		routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()},
		routes.Rule{Pattern: "/w.W/", Access: routes.Public()}).Find)
	handler := guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s is open", r.URL) }))
	for path, want := range map[string]int{
		"/": 403, "/t.T/Open/": 403, "/t.T/open": 403, "/t.T/Open/x": 403, "/w.W": 403, "/w.W2/Open": 403,
		// Two servers could read each of these paths in different ways, so the guard refuses the
		// requests with 400.
		"//t.T/Open": 400, "/t.T%2FOpen": 400, "/t.T/%4Fpen": 400, "/x/../w.W/Open": 400,
	} {
		w := httptest.NewRecorder()
		// This request uses none of the three protocols that connectauth serves: Connect, gRPC and
		// gRPC-Web.
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != want || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v, want %d", path, w.Code, w.Header(), want)
		}
	}
}

// TestPlantedUser puts a user into the context of a request before the guard runs. The handler must
// not get this user.
func TestPlantedUser(t *testing.T) {
	s := startServer(t, func(*xenaauth.Middleware) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(xenaauth.ContextWithUser(r.Context(), xenaauthtest.User(xenaauthtest.Token{}))))
			})
		}
	})
	for _, procedure := range []string{"/t.T/Open", "/t.T/Maybe"} {
		s.testCalls(t, procedure, nil, func(t *testing.T, user string, err *connect.Error) {
			if err != nil || user != "nobody" {
				t.Errorf("user %q, %v", user, err)
			}
		})
	}
}

// TestTokenInQuery sends a GET request of Connect with a second token in the query. The guard reads
// only the token in the Authorization field.
func TestTokenInQuery(t *testing.T) {
	s := startServer(t, nil)
	r := httptest.NewRequest(http.MethodGet, s.server.URL+"/t.T/Any?connect=v1&encoding=json&message=%22x%22&access_token=x", nil)
	r.RequestURI = ""
	r.Header.Set("Authorization", s.bearer())
	response, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestNew(t *testing.T) {
	auth := xenaauth.NewMiddleware(&countingValidator{}, nil)
	find := table(t).Find
	for name, f := range map[string]func(){
		"nil Middleware": func() { connectauth.New(nil, find) },
		"nil find":       func() { connectauth.New(auth, nil) },
		"nil handler":    func() { connectauth.New(auth, find).Handler(nil) },
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
