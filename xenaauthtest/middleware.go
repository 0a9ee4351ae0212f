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

// Guarded is a route that [TestMiddleware] wants served behind a guard.
type Guarded struct {
	// Method and Path are what the route is registered for. A parameter of the
	// path is a whole segment, {name}, as net/http writes it. A router with
	// another syntax is given its own: ":name", for example. The values of the
	// parameters must be set before the guards run: policies and handlers get
	// them from [http.Request.PathValue].
	Method, Path string

	// Group is what a group around the route requires: a guard of its own
	// that runs first. Nil is no group.
	Group []xenaauth.Requirement

	// Require is what the guard of the route itself requires. The guard of a
	// framework panics if it is empty, as [xenaauth.Middleware.Require] does.
	Require []xenaauth.Requirement

	// Optional makes the guard of the route one that lets requests without a
	// token pass. Then Require is empty.
	Optional bool

	// Serve is the handler. It is given the request as the framework has it
	// behind the guards, and the user that the adapter's own accessor finds;
	// for net/http that is [xenaauth.UserFromContext].
	Serve func(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool)
}

// TestMiddleware holds the guards of a framework to what those of net/http do:
// the same requests pass, the same are refused, and every refusal is the same
// to the byte. Each framework runs it over a mount function that serves routes
// in the framework's own way, guarded by m:
//
//	xenaauthtest.TestMiddleware(t, func(m *xenaauth.Middleware, routes []xenaauthtest.Guarded) http.Handler {
//		mux := http.NewServeMux()
//		for _, route := range routes {
//			…
//		}
//		return mux
//	})
//
// mount is called several times. It installs nothing else, in particular no
// recovery from panics, and lets panics of the guards' constructors pass.
// Requests go through a real server, one after the other unless a test says
// otherwise.
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
	t.Run("with a Validator itself", func(t *testing.T) { // for which a Middleware knows shortcuts
		t.Run("requirements", plain.testRequirements)
		t.Run("refusals", plain.testRefusals)
		t.Run("users", plain.testUsers)
	})
}

// patience is how long something may take that takes no time at all unless the
// code under test is broken.
const patience = 10 * time.Second

type middlewareSuite struct {
	mount     func(m *xenaauth.Middleware, routes []Guarded) http.Handler
	issuer    *Issuer
	validator *countingValidator
	uncounted *xenaauth.Validator // in place of it; then its own tokens and counts are left out
}

// countingValidator counts calls. Two tokens of its own stand for outages.
type countingValidator struct {
	next  xenaauth.TokenValidator
	calls atomic.Int64
}

const (
	tokenOutage  = "outage"  // the validator says itself that it can't tell
	tokenForeign = "foreign" // the validator fails with an error of its own
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

// token is one of ann's, with these scopes and no others.
func (s *middlewareSuite) token(scopes ...string) string { return s.tokenOf("ann", scopes...) }

func (s *middlewareSuite) tokenOf(subject string, scopes ...string) string {
	return s.issuer.JWT(Token{
		Subject: subject,
		Scopes:  append([]string{}, scopes...),
		Claims:  map[string]any{"aud": s.issuer.API()}, // also without a scope
	})
}

// outerKey is under what the server's context has itself.
type outerKey struct{}

// plantHeader makes the code around the guards claim that the request is bob's.
const plantHeader = "X-Test-Plant"

// mounted is a set of routes that a framework serves, and what happened there.
type mounted struct {
	server *httptest.Server

	mu       sync.Mutex
	t        *testing.T // the case at hand
	served   int        // runs of handlers
	events   []xenaauth.Event
	panicked any    // the last value that came out of the framework
	inEvent  func() // runs within Options.Event
	swallow  bool   // recover from panics as a careless middleware does
}

// start serves routes. The server is closed when the test ends.
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

// watch counts the runs of a handler and checks what is common to all: the
// context is that of the server with the user added, and the framework's
// accessor agrees with it.
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

// during makes t the test that handlers report to, until it ends.
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

// reset forgets what happened, and returns it.
func (m *mounted) reset() (served int, events []xenaauth.Event, panicked any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	served, events, panicked = m.served, m.events, m.panicked
	m.served, m.events, m.panicked = 0, nil, nil
	return served, events, panicked
}
