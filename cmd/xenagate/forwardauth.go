package main

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/internal/peers"
)

// A forwardAuth serves other proxies that call the gateway over HTTP to learn whether a client's
// request may pass. It does not use http.ServeMux, because http.ServeMux redirects some paths.
type forwardAuth struct {
	own     ownEndpoints
	proxies []askingProxy
}

// An askingProxy is an endpoint of the gateway for one kind of proxy, such as nginx. The proxy
// calls it to ask whether a client's request may pass.
type askingProxy struct {
	path         string
	withSubpaths bool // withSubpaths is true if the endpoint also serves all paths below its own path
	trusted      peers.Networks
	handler      http.Handler
}

// newForwardAuth returns the endpoints that other proxies call over HTTP. The error lists all
// mistakes in their configuration.
func newForwardAuth(g *gateway, own ownEndpoints) (*forwardAuth, error) {
	f := &forwardAuth{own: own}
	var errs []error
	for i, e := range g.cfg.ForwardAuth.Endpoints {
		cfg := forwardauth.Config{
			Middleware: g.auth, Find: g.tables.findNoted, Dialect: forwardauth.Dialect(e.Dialect),
			TrustedPeers: config.Prefixes(e.TrustedPeers), Identity: g.identity,
		}
		envoy := cfg.Dialect == forwardauth.Envoy
		if envoy {
			cfg.PathPrefix = e.Path
		}
		h, err := forwardauth.New(cfg)
		if err != nil {
			errs = append(errs, g.cfg.AddPlace("forward_auth.endpoints."+strconv.Itoa(i), err))
			continue
		}
		f.proxies = append(f.proxies, askingProxy{path: e.Path, withSubpaths: envoy, trusted: cfg.TrustedPeers, handler: h})
	}
	return f, errors.Join(errs...)
}

// checkProxies returns the mistakes in the sections forward_auth and ext_authz of the
// configuration. newServers also finds these mistakes, but it can't be called if another part of
// the configuration has a mistake. Then checkProxies is called instead.
func checkProxies(g *gateway) error {
	var errForwardAuth, errExtAuthz error
	if g.cfg.ForwardAuth != nil {
		_, errForwardAuth = newForwardAuth(g, nil)
	}
	if g.cfg.ExtAuthz != nil {
		_, errExtAuthz = newExtAuthz(g)
	}
	return errors.Join(errForwardAuth, errExtAuthz)
}

// forwardAuth.serve responds to the call of another proxy, which asks whether a client's request
// may pass, or to a request to one of the gateway's own endpoints. It is the stage that runs after
// listenerHandler.
func (f *forwardAuth) serve(w *response, r *http.Request, rec *record) {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	for _, p := range f.proxies {
		if raw == p.path || p.withSubpaths && strings.HasPrefix(raw, p.path+"/") {
			p.serve(w, r, rec)
			return
		}
	}
	if next, ok := f.own[raw]; ok {
		rec.route = raw
		next(w, r, rec)
		return
	}
	rec.reason = reasonNotFound
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
}

// askingProxy.serve responds to the call of a proxy. It stores in the record why the client's
// request was refused. The method noteEvent has already stored the reason, except in two cases: the
// caller is not a trusted peer, or the handler has recovered from a panic.
func (p *askingProxy) serve(w *response, r *http.Request, rec *record) {
	p.handler.ServeHTTP(w, r)
	switch {
	case rec.status == http.StatusOK, rec.reason != "": // allowed, or noteEvent has set the reason
	case !p.trusted.Contains(rec.peer):
		rec.reason = reasonPeer
	default:
		rec.reason = reasonPanic
	}
}
