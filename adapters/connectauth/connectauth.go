// Package connectauth guards the procedures of a Connect server with [xenaauth], for clients of the Connect, gRPC and
// gRPC-Web protocols:
//
//	mux := http.NewServeMux()
//	mux.Handle(invoicesv1connect.NewInvoicesHandler(invoices{}))
//	guard := connectauth.New(auth, connectauth.Rules{
//		Require: map[string]xenaauth.Requirement{"/invoices.v1.Invoices/*": xenaauth.AllScopes("testapi")},
//		Public:  []string{"/grpc.health.v1.Health/*"},
//	})
//	log.Fatal(http.ListenAndServe("localhost:8080", guard.Wrap(mux)))
//
// The token is in the Authorization field, and handlers find the user by [xenaauth.UserFromContext]. A path that the
// rules don't name is refused to everybody.
//
// The guard is around the handlers, and not an interceptor in them: an interceptor runs when Connect has read,
// decompressed and decoded the message of a unary call already, and can be forgotten for one of several handlers.
//
// # Refusals
//
// What HTTP answers by 401, and by 400, is [connect.CodeUnauthenticated]: malformed credentials are not what
// [connect.CodeInvalidArgument] is about, a procedure's arguments. 403 is [connect.CodePermissionDenied], 503
// [connect.CodeUnavailable]. The header of the response, which clients find in the error's metadata, has HTTP's challenge
// as WWW-Authenticate, to the byte, or Retry-After.
// The error has an [errdetails.ErrorInfo] of domain [Domain], whose reason is the [xenaauth.Reason] in upper case and
// whose metadata has the scope that is required, and with CodeUnavailable an [errdetails.RetryInfo]. A request of none
// of the protocols is answered by [xenaauth.Middleware.Deny].
//
// # Mind
//
// A stream is checked when it begins: a handler that lets it live on should end it at [xenaauth.User.ExpiresAt]. What
// answers CORS preflights belongs around the guard, and what strips a prefix from paths too.
package connectauth

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/xenaauth/xenaauth"
)

// Guard holds procedures to its rules. It is safe for concurrent use.
type Guard struct {
	m      *xenaauth.Middleware
	rules  rules
	errors *connect.ErrorWriter
}

// New returns a guard. It panics as [xenaauth.Middleware.Require] does, and on names that no procedure can have. The
// options, if any, are those that the handlers have.
func New(m *xenaauth.Middleware, r Rules, opts ...connect.HandlerOption) *Guard {
	return &Guard{m: m, rules: compile(m, r), errors: connect.NewErrorWriter(opts...)}
}

// Wrap returns the guarded next, which is a handler of Connect or a mux with several. A refusal is answered before
// anything of the body is read.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	if next == nil {
		panic("connectauth: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, listed := g.rules.find(r.URL.Path)
		// What is escaped is no name: it could miss its own rule and meet that of its service, and still be served.
		listed = listed && r.URL.EscapedPath() == r.URL.Path
		switch {
		case !listed:
			g.deny(w, r, g.m.Refuse(r, fmt.Errorf("no rule names %.200q: %w", r.URL.Path, errNoRule)))
			return
		case rule != nil:
			decided := false
			defer func() {
				if !decided { // a policy or hook panics, and middleware that recovers may write nothing, which is 200
					g.deny(w, r, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable})
				}
			}()
			named := *r
			named.Pattern = r.URL.Path // the route, for the log
			allowed, err := g.m.Check(&named, *rule)
			decided = true
			if err != nil {
				g.deny(w, r, err)
				return
			}
			r = allowed
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Guard) deny(w http.ResponseWriter, r *http.Request, err error) {
	if !g.errors.IsSupported(r) {
		g.m.Deny(w, r, err)
		return
	}
	_ = g.errors.Write(w, r, refusal(g.m, w.Header(), err)) // a client that has gone away needs no answer
}
