// Package extauthz answers Envoy's external authorization filter over gRPC (envoy.service.auth.v3): Envoy asks about
// every request, this says whether it may pass, by a table of routes and by the rules of [xenaauth].
//
//	service, err := extauthz.New(extauthz.Config{Middleware: auth, Find: routes.Find, Identity: headers})
//	if err != nil {
//		log.Fatal(err)
//	}
//	server := grpc.NewServer()
//	authv3.RegisterAuthorizationServer(server, service)
//
// # Envoy
//
// The filter goes before all that believes the identity headers, and the router last:
//
//	http_filters:
//	- name: envoy.filters.http.ext_authz
//	  typed_config:
//	    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
//	    transport_api_version: V3
//	    grpc_service:
//	      envoy_grpc: {cluster_name: xenagate}
//	      timeout: 6s                               # 0.2s unless set
//	    failure_mode_allow: false                   # true would let everybody in during an outage
//	    status_on_error: {code: ServiceUnavailable} # 403 unless set
//	    encode_raw_headers: true                    # or repeated fields arrive as one
//
// docs/envoy.md has a whole configuration, and the reason for each line. The filter must see every field of a request:
// with allowed_headers or disallowed_headers, fields that were spoofed could stay. Body, peer certificate, TLS session
// and metadata aren't looked at, and needn't be sent.
//
// # Who may ask
//
// Whoever reaches the gRPC listener is believed to be Envoy: it may try tokens, and it is told who their users are. Let
// it listen on a Unix socket or on loopback, or ask for client certificates. Envoy sends a request's fields, 60 KiB
// unless configured otherwise; [grpc.MaxRecvMsgSize] bounds what others send.
//
// # Answers
//
// A request that may pass gets every header of [Config.Identity], empty where nothing is known, in place of what the
// client sent; fields that an upstream could take for one of them are removed. A refusal is answered with status,
// header and body of [xenaauth.Middleware.Deny]: 400, 401, 403 or 503. It is a denial to Envoy, 503 included, so that
// failure_mode_allow doesn't open it. What is no HTTP request, or one that says different things about itself, is 400.
//
// A panic, of a policy or a hook, is logged by [slog.Default] without its value, and answered with 503.
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
	// Middleware checks tokens and words refusals.
	Middleware *xenaauth.Middleware
	// Find is the table of routes: [routes.Table.Find], or that of a table that is reloaded. Policies made by
	// [xenaauth.WhereRequest] see the method, target, host and header of the client's request, identity headers removed.
	// It has no body, RemoteAddr or TLS, and its context is that of the gRPC call.
	Find func(*http.Request) (routes.Rule, error)
	// Identity sets the header fields that name the user to the upstream. It also removes the fields
	// of the client that an upstream could take for them.
	Identity *identity.Identity
	// RemoveAuthorization keeps the client's Authorization field from the upstream.
	RemoveAuthorization bool
}

// New returns the service, which is safe for concurrent use. The error names every required field of
// cfg that is nil.
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
		names: cfg.Identity.Names(), ours: make(map[string]bool),
	}
	for _, name := range s.names {
		s.ours[http.CanonicalHeaderKey(name)] = true
	}
	return s, nil
}

type server struct {
	authv3.UnimplementedAuthorizationServer
	cfg   Config
	guard *routes.Guard
	names []string        // of the identity headers
	ours  map[string]bool // the same, in canonical form
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// Check implements [authv3.AuthorizationServer]. Its error is always nil: Envoy takes one for an outage, which
// failure_mode_allow opens.
func (s *server) Check(ctx context.Context, in *authv3.CheckRequest) (out *authv3.CheckResponse, _ error) {
	defer func() {
		if p := recover(); p != nil { // in HTTP it would end one request, but gRPC would let it end the process
			slog.ErrorContext(ctx, "extauthz: a policy or hook panicked",
				"type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			h := make(http.Header)
			out = denied(s.cfg.Middleware.Challenge(h, nil, errPanicked), h, nil)
		}
	}()
	r, err := read(ctx, in.GetAttributes().GetRequest().GetHttp())
	client := r.Header
	r.Header = client.Clone()
	s.cfg.Identity.Strip(r.Header)
	var allowed *http.Request
	if err != nil {
		err = s.cfg.Middleware.Refuse(r, err)
	} else {
		allowed, _, err = s.guard.Check(r)
	}
	if err == nil {
		if out, err = s.allow(allowed, client); err == nil {
			return out, nil
		}
	}
	w := newResponse()
	s.cfg.Middleware.Deny(w, r, err)
	return w.denied(), nil
}
