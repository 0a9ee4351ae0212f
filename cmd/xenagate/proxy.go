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
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// proxy lets requests through to upstreams: those that the table of routes lets pass, with the very method, host and
// path that it was asked about.
type proxy struct {
	*gateway
	guard     *routes.Guard
	own       map[string]http.Handler
	upstreams []*upstream
	trusted   []netip.Prefix
	strip     bool // the client's Authorization
	reverse   *httputil.ReverseProxy
}

func newProxy(g *gateway, own map[string]http.Handler) *proxy {
	p := &proxy{
		gateway: g, own: own,
		upstreams: newUpstreams(g.cfg),
		trusted:   config.Prefixes(g.cfg.TrustedProxies),
		strip:     g.cfg.Authorization == "strip",
	}
	p.guard = routes.NewGuard(g.auth, p.find)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      byUpstream{},
		FlushInterval:  flushAfter,
		BufferPool:     &copyBuffers{},
		ErrorHandler:   p.upstreamFailed,
		ModifyResponse: p.modify,
		ErrorLog:       log.New(io.Discard, "", 0), // it names addresses, and what it tells is in the access log
	}
	return p
}

// flushAfter is how long the header of an answer whose length is known may wait for the body. What doesn't wait is each
// piece of a body, and anything of a stream. A shorter time would cost more: the timer would often be the next one, for
// which the runtime wakes a thread.
const flushAfter = 200 * time.Millisecond

// copyBuffers keeps the buffers through which answers are copied.
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

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := recordOf(r.Context())
	switch r.Method {
	// The answer to TRACE would show what only the upstream should see. To an upstream that speaks HTTP/2, a CONNECT
	// goes without the path that the table was asked about, and asks for a tunnel to the host that the client named.
	case http.MethodTrace, http.MethodConnect:
		rec.reason = reasonMethod
		problem(w, http.StatusMethodNotAllowed, rec.reason, r.Method+" is not allowed.")
		return
	}
	if h, ok := p.own[r.URL.Path]; ok && r.URL.RawPath == "" {
		rec.route = r.URL.Path
		h.ServeHTTP(w, r)
		return
	}
	allowed, _, err := p.guard.Check(r)
	if err != nil {
		p.auth.Deny(w, r, err)
		return
	}
	r, rec.reason = allowed, "" // of an optional token that is not there
	user, _ := xenaauth.UserFromContext(r.Context())
	rec.fields = make(http.Header)
	if err := p.identity.Set(rec.fields, user); err != nil {
		rec.reason = reasonIdentity
		p.auth.Deny(w, r, err)
		return
	}
	if rec.upstream = choose(p.upstreams, r.Host, r.URL.Path, rec.table.ignoreCase); rec.upstream == nil {
		rec.reason = reasonNoUpstream
		problem(w, http.StatusNotFound, rec.reason, "Nothing is behind the gateway for this path.")
		return
	}
	if most := p.cfg.Limits.BodyBytes; most > 0 {
		if r.ContentLength > most {
			rec.reason = reasonTooLarge
			problem(w, http.StatusRequestEntityTooLarge, rec.reason, "The request is too large.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
	}
	onlyWebSocket(r)
	p.reverse.ServeHTTP(w, r)
}

// find is the table of routes, for requests that have a host: in place of none, net/http would send the upstream's
// address, which services put into links that clients see.
func (p *proxy) find(r *http.Request) (routes.Rule, error) {
	rule, err := p.gateway.find(r)
	if err == nil && (r.Host == "" || r.Host[0] == ':') {
		err = &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget}
	}
	return rule, err
}

// onlyWebSocket takes other upgrades out of a request. After one to h2c, an upstream would read requests from the
// connection that no table was asked about.
func onlyWebSocket(r *http.Request) {
	if u, ok := r.Header["Upgrade"]; ok && (len(u) != 1 || !strings.EqualFold(u[0], "websocket") ||
		r.Method != http.MethodGet || r.ContentLength != 0 || !r.ProtoAtLeast(1, 1)) {
		r.Header.Del("Upgrade")
	}
	r.Header.Del("Http2-Settings")
}

// rewrite makes the request for the upstream. Fields that the client named in Connection are gone by now, and what is
// set here stays.
func (p *proxy) rewrite(pr *httputil.ProxyRequest) {
	rec := recordOf(pr.In.Context())
	out := pr.Out
	out.URL.Scheme, out.URL.Host = rec.upstream.url.Scheme, rec.upstream.url.Host
	out.Host = pr.In.Host // by which the route was found
	p.forwarded(pr)
	if p.strip {
		out.Header.Del("Authorization")
	}
	p.identity.Strip(out.Header)
	maps.Copy(out.Header, rec.fields)
	out.Trailer = nil // fields too, and they come when nobody looks any more
	out.Header.Del("Trailer")
}

// modify says what caches in front of us must know.
func (p *proxy) modify(res *http.Response) error {
	if rec := recordOf(res.Request.Context()); rec.rule.Access.IsOptional() {
		res.Header.Add("Vary", "Authorization")
	}
	return nil
}
