package main

import (
	"net/http"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// ownEndpoints maps a URL path to one of the gateway's own endpoints on the listener for clients
// and the listener for other proxies: the JWKS for assertions, or the endpoint for logout tokens.
type ownEndpoints map[string]stage

func newEndpoints(cfg *config.Config, id *identity.Identity, v *xenaauth.Validator) ownEndpoints {
	all := make(ownEndpoints)
	if a := cfg.Identity.Assertion; a != nil {
		jwks := id.JWKSHandler()
		all[a.JWKSPath] = func(w *response, r *http.Request, _ *record) { jwks.ServeHTTP(w, r) }
	}
	if l := cfg.Logout; l != nil {
		logout := v.LogoutHandler(l.ClientIDs...)
		all[l.Path] = func(w *response, r *http.Request, rec *record) {
			logout.ServeHTTP(w, r)
			if rec.status >= 400 {
				rec.reason = reasonLogout
			}
		}
	}
	return all
}

// ownEndpoints.serve responds if the path of the request is one of the gateway's own endpoints. A
// path with encoded characters is another path. serve reports whether it has responded.
func (e ownEndpoints) serve(w *response, r *http.Request, rec *record) (served bool) {
	next, ok := e[r.URL.Path]
	if !ok || r.URL.EscapedPath() != r.URL.Path {
		return false
	}
	rec.route = r.URL.Path
	next(w, r, rec)
	return true
}
