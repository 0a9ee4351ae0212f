// Package extauthz implements the external authorization service of Envoy over gRPC
// (envoy.service.auth.v3) with [xenaauth]. Envoy calls it for each request. A table of routes
// decides whether the request may pass:
//
//	service, err := extauthz.New(extauthz.Config{Middleware: auth, Find: table.Find, Identity: headers})
//	if err != nil {
//		log.Fatal(err)
//	}
//	server := grpc.NewServer()
//	authv3.RegisterAuthorizationServer(server, service)
//
// # Envoy
//
// Put the filter before every filter that reads the identity headers. The router is the last
// filter:
//
//	http_filters:
//	- name: envoy.filters.http.ext_authz
//	  typed_config:
//	    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
//	    transport_api_version: V3
//	    grpc_service:
//	      envoy_grpc: {cluster_name: xenagate}
//	      timeout: 6s                               # 0.2s unless set
//	    failure_mode_allow: false                   # true would let requests pass during an outage
//	    status_on_error: {code: ServiceUnavailable} # 403 unless set
//	    encode_raw_headers: true                    # or repeated fields arrive as one
//
// docs/envoy.md has a whole configuration and the reason for each line. The filter must send every
// header field of the request. With allowed_headers or disallowed_headers, the service can't remove
// the identity fields that a client sent. For tokens that are bound to a client certificate, Envoy
// must ask for the certificate, and the filter needs include_peer_certificate: true. The service
// does not read the body, the TLS session or the metadata, so Envoy need not send them.
//
// # The listener
//
// The service trusts every program that reaches its listener. Such a program can try tokens, and
// learns the users of tokens. Use a Unix socket, the loopback interface, or client certificates.
// Envoy sends the header of a request, at most 60 KiB unless configured otherwise.
// [grpc.MaxRecvMsgSize] limits the messages of other programs.
//
// # Responses
//
// If a request may pass, Envoy sets every header of [Config.Identity] in the request to the
// upstream, in place of the fields that the client sent. A header without a value is empty. Envoy
// removes the fields that an upstream could take for one of these headers.
//
// If a request is refused, the client gets the status, header and body of
// [xenaauth.Middleware.Deny]: 400, 401, 403 or 503. To Envoy every refusal is a denial, even a
// refusal with 503, so failure_mode_allow does not let the request pass. A message that is not an
// HTTP request, or that contradicts itself, is refused with 400.
//
// Fields of proofs ([xenaauth.Options]), such as DPoP-Nonce, reach the client with a refusal and
// also if the request may pass. A DPoP proof must name the method and the URL that the client used.
//
// If a policy or a hook panics, the service logs the panic with [slog.Default], without its value,
// and refuses the request with 503.
package extauthz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// Config configures the service. Middleware, Find and Identity are required.
type Config struct {
	// Middleware checks tokens and writes refusals.
	Middleware *xenaauth.Middleware
	// Find returns the rule for a request, for example [routes.Table.Find], or the Find of a table
	// that is reloaded. Rules and policies ([xenaauth.WhereRequest]) see the method, target, host
	// and header of the client's request, without identity fields. The request has no body and no
	// RemoteAddr. Its TLS is nil, or has only the PeerCertificates: one element, the certificate of
	// the client. The context of the request is the context of the gRPC call.
	Find func(*http.Request) (routes.Rule, error)
	// Identity sets the header fields that name the user to the upstream. Identity also removes the
	// fields of the client that an upstream could take for identity fields.
	Identity *identity.Identity
	// RemoveAuthorization removes the client's Authorization field, and the field DPoP with the
	// client's proof, from the request to the upstream.
	RemoveAuthorization bool
}

// New returns the service, which is safe for concurrent use. The error names every required field
// of cfg that is nil.
func New(cfg Config) (authv3.AuthorizationServer, error) {
	var errs []error
	for _, field := range []struct {
		name  string
		isNil bool
	}{
		{"Middleware", cfg.Middleware == nil},
		{"Find", cfg.Find == nil},
		{"Identity", cfg.Identity == nil},
	} {
		if field.isNil {
			errs = append(errs, fmt.Errorf("extauthz: Config.%s is nil", field.name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &server{
		cfg: cfg, guard: routes.NewGuard(cfg.Middleware, cfg.Find),
		identityNames: cfg.Identity.Names(), isIdentity: make(map[string]bool),
	}
	for _, name := range s.identityNames {
		s.isIdentity[http.CanonicalHeaderKey(name)] = true
	}
	return s, nil
}

type server struct {
	authv3.UnimplementedAuthorizationServer
	cfg   Config
	guard *routes.Guard
	// identityNames are the header fields that name the user. isIdentity contains the same names in
	// canonical form.
	identityNames []string
	isIdentity    map[string]bool
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// Check implements [authv3.AuthorizationServer]. The error of Check is always nil, because Envoy
// takes an error for an outage: with failure_mode_allow, Envoy would let the request pass.
func (s *server) Check(ctx context.Context, in *authv3.CheckRequest) (out *authv3.CheckResponse, _ error) {
	defer func() {
		if p := recover(); p != nil { // without recover, gRPC would let the panic end the process
			slog.ErrorContext(ctx, "extauthz: a policy, proof or hook panicked",
				"type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			h := make(http.Header)
			out = denyMessage(s.cfg.Middleware.Challenge(h, nil, errPanicked), h, nil)
		}
	}()
	r, err := readRequest(ctx, in.GetAttributes())
	client := r.Header
	r.Header = client.Clone()
	s.cfg.Identity.Strip(r.Header)
	fields := make(http.Header)
	var allowed *http.Request
	if err != nil {
		err = s.cfg.Middleware.Refuse(r, err)
	} else {
		// This requirement refuses a user whose identity fields cannot be written or are too long.
		// A requirement runs before Options.Event is called, so the event contains the refusal.
		fits := xenaauth.Where("identity fields", func(_ context.Context, u *xenaauth.User) error {
			return s.cfg.Identity.Set(fields, u)
		})
		allowed, _, err = s.guard.Check(r, fits)
	}
	if err == nil && len(fields) == 0 { // a request without a user gets empty identity fields
		err = s.cfg.Identity.Set(fields, nil)
	}
	if err == nil {
		return s.allow(allowed, client, fields), nil
	}
	w := newResponse()
	s.cfg.Middleware.Deny(w, r, err)
	return w.denied(), nil
}
