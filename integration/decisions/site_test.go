package decisions

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// site is one middleware and one table, and the events that the middleware reported.
type site struct {
	issuer    *xenaauthtest.Issuer
	validator *xenaauth.Validator
	auth      *xenaauth.Middleware
	table     *routes.Table
	identity  *identity.Identity

	mu     sync.Mutex
	events []xenaauth.Event
}

func newSite(t *testing.T, rules []routes.Rule, opts xenaauth.Options) *site {
	t.Helper()
	s := &site{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	var err error
	s.validator, err = xenaauth.NewValidator(s.issuer.Config())
	fatal(t, err)
	event := opts.Event
	opts.Event = func(ctx context.Context, e xenaauth.Event) {
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
		if event != nil {
			event(ctx, e)
		}
	}
	s.auth = xenaauth.NewMiddleware(s.validator, &opts)
	s.table, err = routes.New(rules, nil)
	fatal(t, err)
	s.identity, err = identity.New(identity.Config{})
	fatal(t, err)
	return s
}

// take returns the events since the last call.
func (s *site) take() []xenaauth.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// request is a request of a client, to the host api.example.
type request struct {
	path   string
	header http.Header
}

// decision is what a client, and the handler behind the guard, learn about a request.
type decision struct {
	allowed    bool
	user       string // the subject, or "" if the request is anonymous
	code       codes.Code
	reason     string
	challenges string // the WWW-Authenticate fields
	retryAfter string
}

// response is a decision with what only some of the protocols have.
type response struct {
	decision
	status int         // of HTTP, or 0
	header http.Header // of the response, or of what a proxy sends to the client
}

// sender sends a request through a protocol.
type sender func(*testing.T, request) response

// protocols are the ways to send a request. Each returns a function that sends requests to the site.
var protocols = map[string]func(*testing.T, *site) sender{
	"net/http":     overHTTP,
	"gRPC":         overGRPC,
	"Connect":      overConnect,
	"forward-auth": overForwardAuth,
	"ext_authz":    overExtAuthz,
}

// codeOf returns the code by which gRPC answers what HTTP answers by a status.
func codeOf(status int) codes.Code {
	switch status {
	case http.StatusOK:
		return codes.OK
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Unauthenticated
}

// planted is a user that a program around the guard puts into the context of every request. No
// guard may believe it.
var planted = xenaauthtest.User(xenaauthtest.Token{Subject: "planted"})

func plant(ctx context.Context) context.Context { return xenaauth.ContextWithUser(ctx, planted) }

// subject returns the subject of the user that a handler finds.
func subject(ctx context.Context) string {
	if user, ok := xenaauth.UserFromContext(ctx); ok {
		return user.Subject()
	}
	return ""
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
