package main

import (
	"net/http"
	"net/http/httputil"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// proxy forwards requests to upstreams, if the table of routes lets the requests pass. It forwards
// exactly the method, host and path by which the rule was found.
type proxy struct {
	auth      *xenaauth.Middleware
	identity  *identity.Identity
	tables    *routeTables
	endpoints endpoints
	upstreams []*upstream
	forwarder *forwarder
	bodyBytes int64 // bodyBytes is the largest length of a request's body; 0 means no limit
}

// passage is a request on its way to an upstream. The proxy processes a request in stages, and each
// stage sets the fields of the passage that later stages need.
type passage struct {
	request  *http.Request
	table    *routeTable // checkRoute sets this field
	identity http.Header // checkRoute sets this field
	upstream *upstream   // findUpstream sets this field
	reverse  httputil.ReverseProxy
}

// The method serve is the stage that runs after listenerHandler. It calls the stages of the proxy
// in their order. If a stage returns false, it has already responded to the request, and serve
// returns.
func (p *proxy) serve(w *response, r *http.Request, rec *record) {
	if !checkMethod(w, r) || p.endpoints.serve(w, r, rec) {
		return
	}
	q := &passage{request: r}
	if p.checkRoute(w, q, rec) && p.findUpstream(w, q, rec) && p.limitBody(w, q) {
		p.forwarder.forward(w, q)
	}
}

// checkMethod refuses TRACE and CONNECT. In the response to TRACE, the client would see the header
// fields that the gateway adds for the upstream. CONNECT asks for a tunnel to a host that the
// client names. Over HTTP/2 the upstream would not get the path by which the rule was found.
func checkMethod(w *response, r *http.Request) (ok bool) {
	if r.Method != http.MethodTrace && r.Method != http.MethodConnect {
		return true
	}
	w.refuse(http.StatusMethodNotAllowed, reasonMethod, r.Method+" is not allowed.")
	return false
}

// limitBody refuses a request whose body is too long. If the length is not known, the body is cut
// off at the limit.
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
