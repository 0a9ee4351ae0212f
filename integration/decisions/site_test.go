package decisions

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// site is what all protocols share: a middleware, a table of routes, and the events that the
// middleware reported.
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

// The method take returns the events that were reported since the last call.
func (s *site) take() []xenaauth.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// request is a request of a client to the host api.example.
type request struct {
	path        string
	header      http.Header
	certificate *tls.Certificate // the client's certificate, or nil
}

// decision is the result of a request, as far as every protocol can show it to the client or to the
// handler.
type decision struct {
	allowed    bool
	user       string // user is the subject, or "" for an anonymous request
	code       codes.Code
	reason     string
	challenges string // challenges are the WWW-Authenticate fields
	retryAfter string
}

// response is a decision, together with values that only some protocols can show.
type response struct {
	decision
	status int // status is the HTTP status, or 0 if the protocol has no HTTP status
	// header contains the header fields that the client gets, directly or from a proxy
	header http.Header
}

// sender sends a request through a protocol and returns the response.
type sender func(*testing.T, request) response

// protocols maps the name of each protocol to a function. The function returns a sender for a site.
var protocols = map[string]func(*testing.T, *site) sender{
	"net/http":     overHTTP,
	"gRPC":         overGRPC,
	"Connect":      overConnect,
	"forward-auth": overForwardAuth,
	"ext_authz":    overExtAuthz,
}

// codeOf returns the gRPC code that corresponds to an HTTP status.
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

// serverTLS is the TLS configuration of a server that asks for client certificates.
func serverTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{xenaauthtest.NewMTLSClient(nil).Certificate()},
		ClientAuth:   tls.RequestClientCert,
	}
}

// clientTLS is the TLS configuration of a client with the certificate of the request.
func (in request) clientTLS() *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true} // the server is in this process
	if in.certificate != nil {
		c.Certificates = []tls.Certificate{*in.certificate}
	}
	return c
}

// planted is a user that a program around the guard puts into the context of every request. No
// guard may treat planted as the user of the request.
var planted = xenaauthtest.User(xenaauthtest.Token{Subject: "planted"})

func plant(ctx context.Context) context.Context { return xenaauth.ContextWithUser(ctx, planted) }

// The function subject returns the subject of the user in a context, as a handler reads it.
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
