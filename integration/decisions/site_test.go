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

// A site is an API with the parts that do not depend on the protocol: a middleware, a table of
// routes, and the events that the middleware has reported.
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

// site.takeEvents returns the events that the middleware has reported since the last call of
// takeEvents.
func (s *site) takeEvents() []xenaauth.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// A request is what a client sends to the host api.example, through any protocol.
type request struct {
	path        string
	header      http.Header
	certificate *tls.Certificate // the client's certificate, or nil
}

// A decision says whether a request was allowed and, if not, why. It contains only what every
// protocol shows to the client or to the handler.
type decision struct {
	allowed bool
	// the subject of the user that the handler got, or "" for an anonymous request
	user   string
	code   codes.Code
	reason string
	// the values of the header field WWW-Authenticate in the response
	challenges string
	retryAfter string
}

// A response contains what a sender learns about a request: the decision, the HTTP status, and the
// header fields that the client gets. The senders for gRPC and Connect learn no HTTP status.
type response struct {
	decision
	status int // the HTTP status, or 0 if the sender learns none
	// the header fields that the client gets, directly or from a proxy
	header http.Header
}

// A sender is a function that sends a request through one protocol and returns the response.
type sender func(*testing.T, request) response

// protocols contains a function for each protocol. The map key is the name of the protocol. The
// function returns a sender, which sends requests to a site.
var protocols = map[string]func(*testing.T, *site) sender{
	"net/http":     newHTTPSender,
	"gRPC":         newGRPCSender,
	"Connect":      newConnectSender,
	"forward-auth": newForwardAuthSender,
	"ext_authz":    newExtAuthzSender,
}

// codeOf returns the gRPC code that corresponds to an HTTP status. For 400 and 401, and for every
// status that it does not know, this is Unauthenticated.
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

// serverTLS returns the TLS configuration of a server that asks clients for a certificate.
func serverTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{xenaauthtest.NewMTLSClient(nil).Certificate()},
		ClientAuth:   tls.RequestClientCert,
	}
}

// request.clientTLS returns the TLS configuration of the client that sends the request. It contains
// the client's certificate.
func (in request) clientTLS() *tls.Config {
	// The client does not verify the certificate of the server, because the server is in this
	// process.
	c := &tls.Config{InsecureSkipVerify: true}
	if in.certificate != nil {
		c.Certificates = []tls.Certificate{*in.certificate}
	}
	return c
}

// plantedUser is a user that is in the context of every request before the guard gets the request.
// No guard may treat it as the user of the request.
var plantedUser = xenaauthtest.User(xenaauthtest.Token{Subject: "planted"})

func plant(ctx context.Context) context.Context { return xenaauth.ContextWithUser(ctx, plantedUser) }

// userSubject returns the subject of the user in ctx, the context of a request, or "" if ctx
// contains no user. The handlers of the tests call it.
func userSubject(ctx context.Context) string {
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
