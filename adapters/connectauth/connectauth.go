// Package connectauth guards the procedures of a Connect server with [xenaauth], by a table of
// routes. It serves clients of the Connect, gRPC and gRPC-Web protocols:
//
//	mux := http.NewServeMux()
//	mux.Handle(invoicesv1connect.NewInvoicesHandler(invoices{}))
//	table, err := routes.New([]routes.Rule{
//		{Pattern: "/invoices.v1.Invoices/", Access: routes.Require(xenaauth.AllScopes("testapi"))},
//		{Pattern: "/grpc.health.v1.Health/", Access: routes.Public()},
//	}, nil)
//	if err != nil {
//		log.Fatal(err)
//	}
//	guard := connectauth.New(auth, table.Find)
//	log.Fatal(http.ListenAndServe("localhost:8080", guard.Handler(mux)))
//
// The token is in the Authorization field. A handler finds the user with
// [xenaauth.UserFromContext]. A request that no rule matches is refused. [routes.Table.Audit] lists
// the procedures that no rule matches.
//
// A procedure is the path /package.Service/Method. Most calls are POST requests. Connect also has
// GET requests for procedures without side effects, so write the patterns without a method.
//
// The guard is an HTTP handler around the handlers of Connect. It is not an interceptor, for two
// reasons: Connect reads, decompresses and decodes the message of a unary call before an
// interceptor runs, and an interceptor can be forgotten for one of several handlers.
//
// # Proofs of possession
//
// Proofs ([xenaauth.Options]) see the HTTP request of the client, with its TLS connection. The htu
// of a DPoP proof is the origin of the server with the procedure:
// https://api.example/invoices.v1.Invoices/Get. Its htm is POST, or GET for a Connect GET request.
// A nonce for the client is in the header of the response, and in the metadata of the error.
//
// # Refusals
//
// A refusal has a code of Connect instead of an HTTP status. 401 and 400 become
// [connect.CodeUnauthenticated], 403 becomes [connect.CodePermissionDenied], and 503 becomes
// [connect.CodeUnavailable]. 400 does not become [connect.CodeInvalidArgument], because that code
// is about the arguments of a procedure.
//
// The response has the WWW-Authenticate or Retry-After field that a refusal over HTTP has. A client
// finds this field in the metadata of the error. The error has an [errdetails.ErrorInfo] with the
// domain [Domain]. The reason of the ErrorInfo is the [xenaauth.Reason] in upper case, and the
// metadata of the ErrorInfo has the required scope. An error with CodeUnavailable also has an
// [errdetails.RetryInfo]. [xenaauth.Middleware.Deny] answers a request that uses none of the three
// protocols.
//
// # Limits
//
// A stream is checked when it begins, and so is the proof of its client. They are not checked again
// later. A handler that keeps a stream open must end it at [xenaauth.User.ExpiresAt]. Put a handler
// that answers CORS preflight requests, or that removes a prefix from paths, around the guard.
package connectauth

import (
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// Guard guards the procedures of a Connect server. It is safe for concurrent use.
type Guard struct {
	middleware *xenaauth.Middleware
	routes     *routes.Guard
	errors     *connect.ErrorWriter
}

// New returns a guard. find returns the rule for a request, for example [routes.Table.Find]. opts
// are the options with which the guarded handlers were made. New panics if m or find is nil.
func New(
	m *xenaauth.Middleware, find func(*http.Request) (routes.Rule, error), opts ...connect.HandlerOption,
) *Guard {
	if find == nil {
		panic("connectauth: nil find function")
	}
	return &Guard{
		middleware: m,
		errors:     connect.NewErrorWriter(opts...),
		routes: routes.NewGuard(m, func(r *http.Request) (routes.Rule, error) {
			rule, err := find(r)
			if e, ok := errors.AsType[*xenaauth.Error](err); ok && e.Reason == xenaauth.ReasonNoRule {
				err = fmt.Errorf("no rule matches %.200q: %w", r.URL.Path, err)
			}
			return rule, err
		}),
	}
}

// Handler returns a handler that checks each request before it calls next. next is a handler of
// Connect, or a mux with several handlers of Connect. A refused request is answered before its body
// is read. Handler panics if next is nil.
func (g *Guard) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("connectauth: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasDecided := false
		defer func() {
			// A policy, a proof or a hook may panic during the check, and middleware around this
			// handler may recover from the panic. Without the call of answerUndecided, net/http
			// would then respond with 200.
			if !hasDecided {
				g.answerUndecided(w, r)
			}
		}()
		allowed, _, err := g.routes.Check(r)
		if err != nil {
			hasDecided = true
			g.deny(w, r, err)
			return
		}
		g.middleware.Challenge(w.Header(), allowed, nil)
		// Challenge calls the proofs, and a Proof may panic. So hasDecided stays false until
		// Challenge has returned: after a panic, answerUndecided refuses the request.
		hasDecided = true
		next.ServeHTTP(w, allowed)
	})
}

func (g *Guard) deny(w http.ResponseWriter, r *http.Request, err error) {
	if !g.errors.IsSupported(r) {
		g.middleware.Deny(w, r, err)
		return
	}
	// Write sends the refusal to the client. Its error is ignored, because it fails only if the
	// client has closed the connection.
	_ = g.errors.Write(w, r, makeRefusal(g.middleware, w.Header(), r, err))
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// answerUndecided refuses a request whose check panicked. answerUndecided calls no Proof, because a
// Proof may have caused the panic.
func (g *Guard) answerUndecided(w http.ResponseWriter, r *http.Request) {
	if !g.errors.IsSupported(r) {
		w.WriteHeader(g.middleware.Challenge(w.Header(), nil, errPanicked))
		return
	}
	_ = g.errors.Write(w, r, makeRefusal(g.middleware, w.Header(), nil, errPanicked))
}

// Procedures returns the names of the procedures of all services in files, for
// [routes.Table.Audit]:
//
//	err := table.Audit(connectauth.Procedures(invoicesv1.File_invoices_v1_invoices_proto)...)
func Procedures(files ...protoreflect.FileDescriptor) []string {
	var procedures []string
	for _, file := range files {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				procedures = append(procedures, fmt.Sprintf("/%s/%s", service.FullName(), method.Name()))
			}
		}
	}
	return procedures
}
