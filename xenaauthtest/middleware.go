package xenaauthtest

import (
	"context"
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
	// segment, {name}, as net/http writes it. For a router with another syntax, translate it, for
	// example to ":name". The adapter must set the values of parameters before the guards run, because
	// policies and handlers read them with [http.Request.PathValue].
	Method, Path string

	// Group are the requirements of a group around the route. The group has a guard of its own that
	// runs first. nil means no group.
	Group []xenaauth.Requirement

	// Require are the requirements of the route's own guard. If Require is empty and Optional is
	// false, the guard of a framework panics, like [xenaauth.Middleware.Require].
	Require []xenaauth.Requirement

	// Optional means that the guard of the route lets requests without a token pass. Require is then
	// empty.
	Optional bool

	// Serve is the handler. Call it with the request that the framework passes to handlers behind the
	// guards, and with the user that the adapter's accessor returns. For net/http the accessor is
	// [xenaauth.UserFromContext].
	Serve func(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool)
}

// TestMiddleware tests that the guards of a framework do the same as the guards of net/http: the
// same requests pass, the same requests are refused, and every refusal is the same, byte for byte.
// An adapter calls it with a function that serves the routes with its framework, guarded by m:
//
//	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
//		mux := http.NewServeMux()
//		for _, route := range routes {
//			…
//		}
//		return mux
//	})
//
// TestMiddleware calls mount several times. mount must install nothing else, in particular no
// recovery from panics. It must not recover if the constructor of a guard panics. Requests pass
// through a real server, one after the other except where a test needs concurrent requests.
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
	t.Run("conduct", s.testConduct)
	t.Run("proof of possession", s.testPossession)
	t.Run("wiring", s.testWiring)

	plain := *s
	plain.uncounted = validator
	t.Run("with a Validator itself", func(t *testing.T) { // for which a Middleware has fast paths
		t.Run("requirements", plain.testRequirements)
		t.Run("refusals", plain.testRefusals)
		t.Run("users", plain.testUsers)
	})
}

// patience bounds what takes no time unless the code under test is broken.
const patience = 10 * time.Second

type middlewareSuite struct {
	mount     func(m *xenaauth.Middleware, routes []Guarded) http.Handler
	issuer    *Issuer
	validator *countingValidator
	uncounted *xenaauth.Validator // instead of validator; then tests skip its own tokens and its counts
}

// countingValidator counts calls. It answers two tokens of its own with outages.
type countingValidator struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

const (
	tokenOutage  = "outage"  // the validator returns an Error with ReasonUnavailable
	tokenForeign = "foreign" // the validator returns another error
)

// Unwrap lets a Middleware find the validator inside.
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

// token returns a token of the user ann with these scopes.
func (s *middlewareSuite) token(scopes ...string) string { return s.tokenOf("ann", scopes...) }

func (s *middlewareSuite) tokenOf(subject string, scopes ...string) string {
	return s.issuer.JWT(Token{
		Subject: subject,
		Scopes:  append([]string{}, scopes...),
		Claims:  map[string]any{"aud": s.issuer.API()}, // also without a scope
	})
}

// outerKey is the key of the server's context in the context of a request.
type outerKey struct{}

// plantHeader makes the code around the guards put the user bob into the context.
const plantHeader = "X-Test-Plant"

// mounted is a set of routes that a framework serves. It records the calls of handlers and hooks.
type mounted struct {
	server *httptest.Server

	mu       sync.Mutex
	t        *testing.T // the current test
	served   int        // runs of handlers
	events   []xenaauth.Event
	panicked any    // the last panic of the framework
	inEvent  func() // runs within Options.Event
	swallow  bool   // recover from panics and write nothing
}

// start serves routes until the test ends.
func (s *middlewareSuite) start(t *testing.T, opts xenaauth.Options, routes []Guarded) *mounted {
	t.Helper()
	m := &mounted{t: t}
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.Event = func(_ context.Context, e xenaauth.Event) {
		m.mu.Lock()
		inEvent := m.inEvent
		m.mu.Unlock()
		if inEvent != nil {
			inEvent()
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
	if s.uncounted != nil {
		validator = s.uncounted
	}
	handler := s.mount(xenaauth.NewMiddleware(validator, &opts), routes)
	bob, err := xenaauth.NewUser(map[string]any{"sub": "bob", "client_id": "planted", "scope": "a b c admin"})
	if err != nil {
		t.Fatalf("NewUser: %v", err)
	}
	m.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), outerKey{}, r.Context())
		if r.Header.Get(plantHeader) != "" {
			ctx = xenaauth.ContextWithUser(ctx, bob)
		}
		defer func() {
			if v := recover(); v != nil {
				m.mu.Lock()
				m.panicked = v
				m.mu.Unlock()
				if !m.swallow {
					panic(http.ErrAbortHandler) // without net/http's log
				}
			}
		}()
		handler.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(m.server.Close)
	return m
}

// watch returns serve with checks. It counts the runs, and checks that the context comes from the
// server's context and that the framework's accessor returns the user in the context.
func (m *mounted) watch(
	serve func(http.ResponseWriter, *http.Request, *xenaauth.User, bool),
) func(http.ResponseWriter, *http.Request, *xenaauth.User, bool) {
	return func(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool) {
		m.mu.Lock()
		m.served++
		t := m.t
		m.mu.Unlock()
		if r.Context().Value(outerKey{}) == nil {
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

// during makes t the test that handlers report errors to, until t ends.
func (m *mounted) during(t *testing.T) {
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

// reset returns the records and clears them.
func (m *mounted) reset() (served int, events []xenaauth.Event, panicked any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	served, events, panicked = m.served, m.events, m.panicked
	m.served, m.events, m.panicked = 0, nil, nil
	return served, events, panicked
}
