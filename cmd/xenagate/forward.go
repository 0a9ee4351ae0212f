package main

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/internal/fieldname"
	"github.com/xenaauth/xenaauth/internal/peers"
)

// A forwarder sends requests of clients to their upstreams, and the upstreams' responses to the
// clients.
type forwarder struct {
	auth     *xenaauth.Middleware
	identity *identity.Identity
	// trustedNetworks are the networks of the trusted proxies in front of the gateway
	trustedNetworks peers.Networks
	// stripCredentials is true if the fields Authorization and DPoP are removed from the request of
	// the client
	stripCredentials bool
	// certificateField is the name of the header field in which a proxy in front of the gateway
	// sends the client's certificate. The name is folded: see fieldname.Fold. It is "" if the
	// configuration names no field. The default fields for certificates are among the
	// misleadingFields.
	certificateField string
	metrics          *metrics
	// settings contains the settings of the ReverseProxy that all requests share
	settings httputil.ReverseProxy
}

func newForwarder(g *gateway) *forwarder {
	f := &forwarder{
		auth: g.auth, identity: g.identity, metrics: g.metrics,
		trustedNetworks: config.Prefixes(g.cfg.TrustedProxies), stripCredentials: g.cfg.Authorization == "strip",
	}
	if c := g.cfg.Possession.ClientCertificate; c != nil {
		f.certificateField = fieldname.Fold(c.Config.Field)
	}
	f.settings = httputil.ReverseProxy{
		FlushInterval: flushAfter,
		BufferPool:    new(copyBuffers),
		ErrorHandler:  f.answerFailure,
		// The log records of ReverseProxy contain internal addresses, so they are dropped. The
		// access log of the gateway reports the errors of ReverseProxy without addresses.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return f
}

// flushAfter is how long the gateway may hold back the header of a response with a known length.
// Within this time the body usually arrives, and the gateway sends both together. Later pieces of a
// body, and all parts of a stream, are sent without this delay. A shorter time would cost more CPU
// time. The Go runtime wakes a thread for a new timer that ends before all other timers of the
// program, and the timer for a shorter time would often be the first to end.
const flushAfter = 200 * time.Millisecond

// forwarder.forward sends the client's request to the upstream. It is the last stage in the
// processing of a request that passes the gateway.
func (f *forwarder) forward(w *response, q *passage) {
	allowWebSocketOnly(q.request)
	q.reverse = f.settings
	q.reverse.Transport = q.upstream.connections
	q.reverse.Rewrite = func(pr *httputil.ProxyRequest) { f.rewrite(pr, q) }
	q.reverse.ModifyResponse = func(res *http.Response) error {
		// Challenge sets the header fields that the proofs of possession add to the response to an
		// allowed request, for example a new nonce.
		f.auth.Challenge(res.Header, q.request, nil)
		return nil
	}
	q.reverse.ServeHTTP(w, q.request)
}

// allowWebSocketOnly removes the header fields that ask for an upgrade to a protocol other than
// WebSocket. After an upgrade to h2c (HTTP/2 without TLS), the upstream would read further requests
// from the connection, and the gateway would not check them. allowWebSocketOnly also removes
// Upgrade from a request that is no handshake of a WebSocket: a request with another method than
// GET, with a body, or with HTTP/1.0.
func allowWebSocketOnly(r *http.Request) {
	if u, ok := r.Header["Upgrade"]; ok && (len(u) != 1 || !strings.EqualFold(u[0], "websocket") ||
		r.Method != http.MethodGet || r.ContentLength != 0 || !r.ProtoAtLeast(1, 1)) {
		r.Header.Del("Upgrade")
	}
	r.Header.Del("Http2-Settings")
}

// forwarder.rewrite makes the request for the upstream from the client's request. ReverseProxy has
// already removed the header fields that the client named in the field Connection, so the client
// can't remove fields that rewrite sets.
func (f *forwarder) rewrite(pr *httputil.ProxyRequest, q *passage) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host = q.upstream.url.Scheme, q.upstream.url.Host
	out.Host = pr.In.Host // the gateway has used this host to find the rule for the request
	f.replaceClientFields(pr)
	if f.stripCredentials {
		out.Header.Del("Authorization")
	}
	f.identity.Strip(out.Header)
	maps.Copy(out.Header, q.identity)
	// Trailers (header fields after the body) are removed from the request. They can mislead the
	// upstream as header fields can, but they arrive too late to be checked.
	out.Trailer = nil
	out.Header.Del("Trailer")
}

// copyBuffers keeps the buffers that copy responses from an upstream to a client, so that later
// responses use them again.
type copyBuffers struct{ pool sync.Pool }

// Get returns a buffer from the pool. It implements [httputil.BufferPool].
func (c *copyBuffers) Get() []byte {
	if b, ok := c.pool.Get().(*[32 << 10]byte); ok {
		return b[:]
	}
	return new([32 << 10]byte)[:]
}

// Put gives a buffer back to the pool. It implements [httputil.BufferPool].
func (c *copyBuffers) Put(b []byte) { c.pool.Put((*[32 << 10]byte)(b)) }
