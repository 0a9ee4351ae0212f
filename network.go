package xenaauth

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// network holds the connections to issuers, a pool for each server.
type network struct {
	client http.Client // its Transport is not used: each pool has one
	ours   bool        // no other code uses the connections

	mu    sync.Mutex
	pools map[string]*pool // key: scheme and host
}

// pool is the connections to one server. If they are dead, the whole pool is replaced. Connections are
// dead if nothing arrives on them, not even an error, while a new connection works.
type pool struct {
	transport http.RoundTripper
	ours      bool          // this package may close the connections
	extra     chan struct{} // semaphore that bounds the calls that are sent more than once
	dead      chan struct{} // closed when the pool is replaced

	mu       sync.Mutex
	answered time.Time // when the last response came
}

const (
	maxPools = 64 // of one network
	maxExtra = 4  // concurrent calls to one server that are sent more than once
)

// ourNetwork is shared by all validators without an HTTPClient, so that a validator that is no
// longer used leaves no connections open.
var ourNetwork = &network{ours: true}

func newNetwork(client *http.Client) *network {
	if client == nil {
		return ourNetwork
	}
	return &network{client: *client}
}

// theirs returns the transport of Config.HTTPClient.
func (n *network) theirs() http.RoundTripper {
	if n.client.Transport == nil {
		return http.DefaultTransport
	}
	return n.client.Transport
}

// ourTransport returns a new transport. It has the settings of [http.DefaultTransport], and time limits.
func ourTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 100}
	// A monitoring agent may have replaced DefaultTransport by another type.
	if d, ok := http.DefaultTransport.(*http.Transport); ok {
		t = d.Clone()
		ownHTTP2(t)
	}
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	// The default of MaxConcurrent. With the default of net/http, 2, most concurrent calls would have to
	// connect again.
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = maxIdle
	ping(t)
	return t
}

// ping makes t test its HTTP/2 connections by pings, unless it does so already. All calls share one
// HTTP/2 connection. Without pings, the operating system needs a quarter of an hour to find that it is
// dead.
func ping(t *http.Transport) {
	if t.HTTP2 == nil {
		t.HTTP2 = new(http.HTTP2Config)
	}
	if t.HTTP2.SendPingTimeout == 0 {
		t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = time.Second, 2*time.Second
	}
}

// ownHTTP2 makes t, a copy of a transport, open its own HTTP/2 connections. If golang.org/x/net/http2
// has configured the original, TLSNextProto of the copy leads to the connections of the original. The
// copy then uses the HTTP/2 client of net/http instead.
func ownHTTP2(t *http.Transport) {
	if _, ok := t.TLSNextProto["h2"]; !ok {
		return
	}
	t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
	if c := t.TLSClientConfig; c != nil { // c is a copy, but NextProtos is shared with the original
		c.NextProtos = slices.DeleteFunc(slices.Clone(c.NextProtos), func(p string) bool { return p == "h2" })
	}
}

// maxIdle is how long an unused connection is kept.
const maxIdle = 30 * time.Second

// pool returns the pool of a server that is in use.
func (n *network) pool(server string) *pool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pools[server]; p != nil {
		return p
	}
	var p *pool
	if n.ours {
		p = n.fresh()
	} else {
		p = newPool(n.theirs(), false)
	}
	if n.pools == nil {
		n.pools = make(map[string]*pool)
	}
	for name, p := range n.pools { // drops any pool: if it is needed, it is made again
		if len(n.pools) < maxPools {
			break
		}
		p.close()
		delete(n.pools, name)
	}
	n.pools[server] = p
	return p
}

// fresh returns a pool without connections. It copies the transport of the client, so that other users
// of the transport are not disturbed. It cannot copy a transport that is not from net/http: such a pool
// may have connections.
func (n *network) fresh() *pool {
	if n.ours {
		return newPool(ourTransport(), true)
	}
	theirs, ok := n.theirs().(*http.Transport)
	if !ok {
		return newPool(n.theirs(), false)
	}
	t := theirs.Clone()
	if t.IdleConnTimeout == 0 || t.IdleConnTimeout > maxIdle {
		t.IdleConnTimeout = maxIdle
	}
	ownHTTP2(t)
	ping(t)
	return newPool(t, true)
}

func newPool(t http.RoundTripper, ours bool) *pool {
	return &pool{transport: t, ours: ours, extra: make(chan struct{}, maxExtra), dead: make(chan struct{})}
}

// replace makes next the pool of a server, if old is still in use. It closes old.dead, for the calls
// that wait for a response on the old connections.
func (n *network) replace(server string, old, next *pool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pools[server] != old {
		next.close()
		return
	}
	n.pools[server] = next
	close(old.dead)
	old.close()
}

// close closes idle connections. The others are closed when they become idle.
func (p *pool) close() {
	if t, ok := p.transport.(*http.Transport); ok && p.ours {
		t.CloseIdleConnections()
	}
}

// hear records that a response came.
func (p *pool) hear(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = now
}

// silent reports whether no response has come since a time.
func (p *pool) silent(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.answered.After(since)
}
