package main

import (
	"net/http"
	"net/http/httputil"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// A proxy forwards a client's request to an upstream, if the table of routes lets the request pass.
// It forwards exactly the method, host and path by which it found the rule for the request.
type proxy struct {
	auth      *xenaauth.Middleware
	identity  *identity.Identity
	tables    *routeTables
	endpoints ownEndpoints
	upstreams []*upstream
	forwarder *forwarder
	bodyBytes int64 // bodyBytes is the largest length of the body of a request; 0 means no limit
}

// A passage is a client's request on its way to an upstream. The proxy processes the request in
// several stages. Each stage sets the fields of the passage that later stages need.
type passage struct {
	request  *http.Request
	table    *routeTable // set by the stage checkRoute
	identity http.Header // set by the stage checkRoute
	upstream *upstream   // set by the stage findUpstream
	reverse  httputil.ReverseProxy
}

// proxy.serve processes a client's request, after listenerHandler. It calls the stages of the proxy
// one after the other. When one of them has responded to the request, serve returns.
func (p *proxy) serve(w *response, r *http.Request, rec *record) {
	if !checkMethod(w, r) || p.endpoints.serve(w, r, rec) {
		return
	}
	q := &passage{request: r}
	if p.checkRoute(w, q) && p.findUpstream(w, q, rec) && p.limitBody(w, q) {
		p.forwarder.forward(w, q)
	}
}

// checkMethod refuses requests with the methods TRACE and CONNECT. In the response to TRACE, the
// client would see the header fields that the gateway adds for the upstream. CONNECT asks for a
// tunnel to a host that the client names. Over HTTP/2, the upstream would not get the path of a
// CONNECT request, by which the gateway has found the rule.
func checkMethod(w *response, r *http.Request) (ok bool) {
	if r.Method != http.MethodTrace && r.Method != http.MethodConnect {
		return true
	}
	w.refuse(http.StatusMethodNotAllowed, reasonMethod, r.Method+" is not allowed.")
	return false
}

// limitBody refuses a request whose body is longer than the limit. If the length is not known in
// advance, the request fails when the body reaches the limit.
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
