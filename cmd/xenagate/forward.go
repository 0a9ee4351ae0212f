package main

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// forwarder sends requests to their upstreams, and responses to the clients.
type forwarder struct {
	auth     *xenaauth.Middleware
	identity *identity.Identity
	trusted  []netip.Prefix // proxies in front of the gateway
	strip    bool           // the client's Authorization
	metrics  *metrics
	reverse  httputil.ReverseProxy // what all requests have in common
}

func newForwarder(g *gateway) *forwarder {
	f := &forwarder{
		auth: g.auth, identity: g.identity, metrics: g.metrics,
		trusted: config.Prefixes(g.cfg.TrustedProxies), strip: g.cfg.Authorization == "strip",
	}
	f.reverse = httputil.ReverseProxy{
		FlushInterval: flushAfter,
		BufferPool:    new(copyBuffers),
		ErrorHandler:  f.failed,
		ErrorLog:      log.New(io.Discard, "", 0), // it contains addresses; the access log has its errors
	}
	return f
}

// flushAfter is how long the header of a response with a known length may wait for the body. Each
// piece of a body, and every part of a stream, is sent at once. A shorter time would cost more: the
// timer would often be the next one of the runtime, which then wakes a thread.
const flushAfter = 200 * time.Millisecond

// forward is the last stage.
func (f *forwarder) forward(w *response, q *passage) {
	allowWebSocketOnly(q.request)
	q.reverse = f.reverse
	q.reverse.Transport = q.upstream.connections
	q.reverse.Rewrite = func(pr *httputil.ProxyRequest) { f.rewrite(pr, q) }
	q.reverse.ModifyResponse = func(res *http.Response) error {
		f.auth.Challenge(res.Header, q.request, nil) // sets what a response to an allowed request needs
		return nil
	}
	q.reverse.ServeHTTP(w, q.request)
}

// allowWebSocketOnly removes a request to upgrade to another protocol. After an upgrade to h2c, an
// upstream would read further requests from the connection, which no table of routes has seen.
func allowWebSocketOnly(r *http.Request) {
	if u, ok := r.Header["Upgrade"]; ok && (len(u) != 1 || !strings.EqualFold(u[0], "websocket") ||
		r.Method != http.MethodGet || r.ContentLength != 0 || !r.ProtoAtLeast(1, 1)) {
		r.Header.Del("Upgrade")
	}
	r.Header.Del("Http2-Settings")
}

// rewrite makes the request for the upstream. ReverseProxy has removed the fields that the client
// named in Connection, and removes none of those that are set here.
func (f *forwarder) rewrite(pr *httputil.ProxyRequest, q *passage) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host = q.upstream.url.Scheme, q.upstream.url.Host
	out.Host = pr.In.Host // by which the rule was found
	f.replaceClientFields(pr)
	if f.strip {
		out.Header.Del("Authorization")
	}
	f.identity.Strip(out.Header)
	maps.Copy(out.Header, q.identity)
	out.Trailer = nil // trailers are fields too, and come too late to be checked
	out.Header.Del("Trailer")
}

// copyBuffers keeps the buffers through which responses are copied.
type copyBuffers struct{ pool sync.Pool }

// Get implements [httputil.BufferPool].
func (c *copyBuffers) Get() []byte {
	if b, ok := c.pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return new([32 << 10]byte)[:]
}

// Put implements [httputil.BufferPool].
func (c *copyBuffers) Put(b []byte) { c.pool.Put((*[32 << 10]byte)(b)) }
