package main

import (
	"net/http"
	"net/http/httputil"
	"net/netip"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// proxy sends requests to upstreams: those that the table of routes lets pass, with exactly the
// method, host and path by which their rule was found.
type proxy struct {
	auth      *xenaauth.Middleware
	identity  *identity.Identity
	tables    *routeTables
	endpoints endpoints
	upstreams []*upstream
	forwarder *forwarder
	bodyBytes int64 // the largest length of a request's body; 0 is no limit
}

// passage is a request on its way to an upstream. Each stage sets what the stages after it need.
type passage struct {
	request  *http.Request
	table    *routeTable // set by checkRoute
	identity http.Header // set by findIdentity
	upstream *upstream   // set by findUpstream
	reverse  httputil.ReverseProxy
}

// serve is the stage after the listener. It passes the request from stage to stage. A stage that
// returns false has responded.
func (p *proxy) serve(w *response, r *http.Request, rec *record) {
	if !checkMethod(w, r) || p.endpoints.serve(w, r, rec) {
		return
	}
	q := &passage{request: r}
	if p.checkRoute(w, q) && p.findIdentity(w, q, rec) && p.findUpstream(w, q, rec) && p.limitBody(w, q) {
		p.forwarder.forward(w, q)
	}
}

// checkMethod refuses TRACE and CONNECT. A response to TRACE would show the client the header
// fields that the gateway adds for the upstream. CONNECT asks for a tunnel to a host that the
// client names, and over HTTP/2 the upstream would not see the path by which the rule was found.
func checkMethod(w *response, r *http.Request) (ok bool) {
	if r.Method != http.MethodTrace && r.Method != http.MethodConnect {
		return true
	}
	w.refuse(http.StatusMethodNotAllowed, reasonMethod, r.Method+" is not allowed.")
	return false
}

// limitBody refuses a body that is too long. A body without a length is cut off when it exceeds the
// limit.
func (p *proxy) limitBody(w *response, q *passage) (ok bool) {
	if p.bodyBytes <= 0 {
		return true
	}
	if q.request.ContentLength > p.bodyBytes {
		w.refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "The request is too large.")
		return false
	}
	q.request.Body = http.MaxBytesReader(w, q.request.Body, p.bodyBytes)
	return true
}

// trusts reports whether an address with a port belongs to one of the networks.
func trusts(networks []netip.Prefix, peer string) bool {
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := a.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}
