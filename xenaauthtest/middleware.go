package xenaauthtest

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// Guarded is a route behind a guard, for [TestMiddleware].
type Guarded struct {
	// Method and Path are the method and the path of the route. A parameter of the path is a whole
	// segment in the syntax of net/http, for example {name}. If a router has another syntax, its
	// adapter translates it, for example to ":name". The adapter must set the values of parameters
	// before the guards run, because policies and handlers read them with [http.Request.PathValue].
	Method, Path string

	// Group are the requirements of a group of routes that contains this route. The group has a
	// guard of its own, which runs before the guard of the route. nil means no group.
	Group []xenaauth.Requirement

	// Require are the requirements of the route's guard. If Require is empty and Optional is false,
	// the guard of the framework must panic when it is made, like [xenaauth.Middleware.Require].
	Require []xenaauth.Requirement

	// Optional means that the guard of the route lets requests without a token pass. If Optional is
	// true, Require is empty.
	Optional bool

	// Serve is the handler of the route. The adapter calls it with the request that the framework
	// passes to handlers behind the guards, and with the results of the adapter's function that
	// returns the user. For net/http that function is [xenaauth.UserFromContext].
	Serve func(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool)
}

// TestMiddleware tests that the guards of a framework decide like the guards of net/http: the same
// requests pass, the same requests are refused, and the response to a refused request has the same
// status, challenge and body, byte for byte. The test of an adapter calls TestMiddleware with a
// function mount. mount registers routes at the framework, guarded by m, and returns the handler of
// the framework:
//
//	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
//		mux := http.NewServeMux()
//		for _, route := range routes {
//			…
//		}
//		return mux
//	})
//
// TestMiddleware calls mount several times. mount must install only the routes and their guards. In
// particular, it must install no middleware that recovers from panics, and must not recover if the
// constructor of a guard panics. Requests pass through a real server, with TLS where a test needs a
// DPoP proof or a client certificate. TestMiddleware sends one request after the other, except
// where a test needs concurrent requests. One test calls the handler in a bubble of
// testing/synctest, so mount must not start goroutines that never end.
func TestMiddleware(t *testing.T, mount func(m *xenaauth.Middleware, routes []Guarded) http.Handler) {
	issuer := NewIssuer(&IssuerOptions{Algorithm: "ES256"})
	validator, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatalf("NewValidator: %v", err)
	}
	s := &middlewareSuite{mount: mount, issuer: issuer, validator: &countingValidator{next: validator}}
	t.Run("requirements", s.testRequirements)
	t.Run("refusals", s.testRefusals)
	t.Run("options", s.testOptions)
	t.Run("users", s.testUsers)
	t.Run("path values", s.testPathValues)
	t.Run("panicking check", s.testPanickingCheck)
	t.Run("panicking proof", s.testPanickingProof)
	t.Run("conduct", s.testConduct)
	t.Run("DPoP", s.testDPoP)
	t.Run("mTLS", s.testMTLS)
	t.Run("wiring", s.testWiring)

	plain := *s
	plain.plainValidator = validator
	// The tests above use a countingValidator. A Middleware has other, faster code for an
	// *xenaauth.Validator. The tests below use a Validator, so that this code is tested too.
	t.Run("with a Validator itself", func(t *testing.T) {
		t.Run("requirements", plain.testRequirements)
		t.Run("refusals", plain.testRefusals)
		t.Run("users", plain.testUsers)
	})
}

// maxWait is how long a test of TestMiddleware waits for something to happen before it fails.
// Correct code needs much less time.
const maxWait = 10 * time.Second

type middlewareSuite struct {
	mount     func(m *xenaauth.Middleware, routes []Guarded) http.Handler
	issuer    *Issuer
	validator *countingValidator
	// If plainValidator is not nil, the Middleware under test uses it instead of the field
	// validator. A plain Validator does not count its calls, so the tests do not compare the number
	// of calls. It also gives no special meaning to tokenOutage and tokenForeign, so the tests do
	// not send these two tokens.
	plainValidator *xenaauth.Validator
}

// countingValidator counts the calls of the validator that it wraps. For the tokens tokenOutage and
// tokenForeign, it returns an error and does not call that validator.
type countingValidator struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

const (
	tokenOutage  = "outage"  // for this token, the result is an Error with ReasonUnavailable
	tokenForeign = "foreign" // for this token, the result is an error that is not an Error
)

// Unwrap lets a Middleware find the validator that countingValidator wraps.
func (v *countingValidator) Unwrap() xenaauth.TokenValidator { return v.next }

func (v *countingValidator) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	v.calls.Add(1)
	switch token {
	case tokenOutage:
		return nil, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 90 * time.Second}
	case tokenForeign:
		return nil, errors.New("dial tcp 10.0.0.7:6379: connection refused")
	}
	return v.next.Validate(ctx, token)
}

// middlewareSuite.token returns a token of the user ann with the given scopes.
func (s *middlewareSuite) token(scopes ...string) string { return s.tokenOf("ann", scopes...) }

func (s *middlewareSuite) tokenOf(subject string, scopes ...string) string {
	return s.issuer.JWT(Token{
		Subject: subject,
		// If Token.Scopes is nil, the token gets the default scopes. If the caller gives no scopes,
		// the token must have none. So append adds the scopes of the caller to an empty slice,
		// which is not nil.
		Scopes: append([]string{}, scopes...),
		Claims: map[string]any{"aud": s.issuer.API()},
	})
}

// serverContextKey is the key of a value that the test server puts into the context of each
// request. The value is the context that net/http made for the request. So a test can see when this
// context ends.
type serverContextKey struct{}

// plantHeader is the name of a header field. If a request has this field, the test server puts the
// user bob into the context before the guards run. The guards must not trust this user.
const plantHeader = "X-Test-Plant"

// guardedServer is a test server with the guarded routes of one test. It records the calls of
// handlers and hooks.
type guardedServer struct {
	server *httptest.Server

	mu            sync.Mutex
	t             *testing.T // t is the running test, to which handlers report errors
	handlerCalls  int        // handlerCalls is how often a handler has run
	events        []xenaauth.Event
	lastPanic     any    // lastPanic is the value of the last panic in the framework under test
	eventHook     func() // if eventHook is not nil, the hook Options.Event calls it
	swallowPanics bool   // if swallowPanics is true, the server recovers from panics silently
}

// middlewareSuite.start starts a test server with the routes. The server stops when the test ends.
func (s *middlewareSuite) start(t *testing.T, opts xenaauth.Options, routes []Guarded) *guardedServer {
	t.Helper()
	m := s.prepare(t, opts, routes)
	m.server.Start()
	t.Cleanup(m.server.Close)
	return m
}

// middlewareSuite.startTLS starts a test server with TLS, which asks for client certificates.
// Otherwise it works like the method start.
func (s *middlewareSuite) startTLS(t *testing.T, opts xenaauth.Options, routes []Guarded) *guardedServer {
	t.Helper()
	m := s.prepare(t, opts, routes)
	m.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	return m
}

// middlewareSuite.prepare returns a test server with the routes. The caller must start it.
func (s *middlewareSuite) prepare(t *testing.T, opts xenaauth.Options, routes []Guarded) *guardedServer {
	t.Helper()
	m := &guardedServer{t: t}
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Event = func(_ context.Context, e xenaauth.Event) {
		m.mu.Lock()
		eventHook := m.eventHook
		m.mu.Unlock()
		if eventHook != nil {
			eventHook()
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.events = append(m.events, e)
	}
	routes = slices.Clone(routes)
	for i := range routes {
		routes[i].Serve = m.watch(routes[i].Serve)
	}
	var validator xenaauth.TokenValidator = s.validator
	if s.plainValidator != nil {
		validator = s.plainValidator
	}
	handler := s.mount(xenaauth.NewMiddleware(validator, &opts), routes)
	bob, err := xenaauth.NewUser(map[string]any{"sub": "bob", "client_id": "planted", "scope": "a b c admin"})
	if err != nil {
		t.Fatalf("NewUser: %v", err)
	}
	m.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), serverContextKey{}, r.Context())
		if r.Header.Get(plantHeader) != "" {
			ctx = xenaauth.ContextWithUser(ctx, bob)
		}
		defer func() {
			if v := recover(); v != nil {
				m.mu.Lock()
				m.lastPanic = v
				m.mu.Unlock()
				if !m.swallowPanics {
					// The test server panics with http.ErrAbortHandler, because net/http does not
					// log such a panic.
					panic(http.ErrAbortHandler)
				}
			}
		}()
		handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	return m
}

// guardedServer.watch returns a handler that calls serve. The server counts the calls of this
// handler, and the handler checks what the guards pass to it. The context of the request must be
// derived from the context of the server. The adapter passes a user to the handler, and this user
// must be the user in the context. Otherwise the test fails.
func (m *guardedServer) watch(
	serve func(http.ResponseWriter, *http.Request, *xenaauth.User, bool),
) func(http.ResponseWriter, *http.Request, *xenaauth.User, bool) {
	return func(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool) {
		m.mu.Lock()
		m.handlerCalls++
		t := m.t
		m.mu.Unlock()
		if r.Context().Value(serverContextKey{}) == nil {
			t.Errorf("%s %s: the handler's context is not made from the server's", r.Method, r.URL.Path)
		}
		inContext, found := xenaauth.UserFromContext(r.Context())
		if user != inContext || ok != found || ok != (user != nil) {
			t.Errorf("%s %s: the framework's accessor finds %v, %t; the request's context holds %v, %t",
				r.Method, r.URL.Path, user, ok, inContext, found)
		}
		serve(w, r, user, ok)
	}
}

// guardedServer.reportErrorsTo tells the handlers of the server to report errors to the test t,
// until t ends.
func (m *guardedServer) reportErrorsTo(t *testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	outer := m.t
	m.t = t
	t.Cleanup(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.t = outer
	})
}

// guardedServer.reset returns what the server has recorded since the last reset, and deletes it:
// how often handlers ran, the events, and the last panic.
func (m *guardedServer) reset() (served int, events []xenaauth.Event, panicked any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	served, events, panicked = m.handlerCalls, m.events, m.lastPanic
	m.handlerCalls, m.events, m.lastPanic = 0, nil, nil
	return served, events, panicked
}
