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
	client http.Client // for all but its Transport
	ours   bool        // nobody else uses the connections

	mu    sync.Mutex
	pools map[string]*pool // by scheme and host
}

// pool is connections to one server. It is replaced as a whole when they turn out to be dead: then nothing arrives on
// them, not even an error, while a new connection works.
type pool struct {
	transport http.RoundTripper
	ours      bool          // its connections may be closed
	extra     chan struct{} // a place for each call that is sent more than once at a time
	dead      chan struct{} // closed when the pool is replaced

	mu       sync.Mutex
	answered time.Time // when an answer came last
}

const (
	maxPools = 64 // of one network
	maxExtra = 4  // calls to one server that are sent more than once at a time
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

// theirs is the transport of the client that we were given.
func (n *network) theirs() http.RoundTripper {
	if n.client.Transport == nil {
		return http.DefaultTransport
	}
	return n.client.Transport
}

// ourTransport returns a new transport with the settings of net/http's default one and our time limits.
func ourTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 100}
	if d, ok := http.DefaultTransport.(*http.Transport); ok { // an agent that watches the process may have replaced it
		t = d.Clone()
		ownHTTP2(t)
	}
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	t.MaxIdleConnsPerHost = 64 // as many as questions may be under way: the default of 2 makes the rest reconnect
	t.IdleConnTimeout = maxIdle
	ping(t)
	return t
}

// ping makes t look after its HTTP/2 connections, unless it does so already. Such a connection is one for all calls, and
// without pings the operating system takes a quarter of an hour to find that it is dead.
func ping(t *http.Transport) {
	if t.HTTP2 == nil {
		t.HTTP2 = new(http.HTTP2Config)
	}
	if t.HTTP2.SendPingTimeout == 0 {
		t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = time.Second, 2*time.Second
	}
}

// ownHTTP2 makes a copy of a transport open HTTP/2 connections of its own, if the transport was set up by
// golang.org/x/net/http2: the TLSNextProto that a copy has leads to the connections of the original. net/http has an
// HTTP/2 client besides.
func ownHTTP2(t *http.Transport) {
	if _, ok := t.TLSNextProto["h2"]; !ok {
		return
	}
	t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
	if c := t.TLSClientConfig; c != nil { // a copy, but its list is the list of the original
		c.NextProtos = slices.DeleteFunc(slices.Clone(c.NextProtos), func(p string) bool { return p == "h2" })
	}
}

// maxIdle is how long our connections are kept without use.
const maxIdle = 30 * time.Second

// pool returns the connections to a server that are in use.
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
	for name, p := range n.pools { // any one: it is made anew when it is needed
		if len(n.pools) < maxPools {
			break
		}
		p.close()
		delete(n.pools, name)
	}
	n.pools[server] = p
	return p
}

// fresh returns a pool without connections: of a copy of the client's transport, so that no other user of it is disturbed.
// A transport of another kind than net/http's can't be copied, and makes its connections as it likes.
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

// replace makes next the pool of a server, if it is still old that is in use. Calls that wait for an answer on the old
// connections notice.
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

// close closes idle connections, and others when they become idle.
func (p *pool) close() {
	if t, ok := p.transport.(*http.Transport); ok && p.ours {
		t.CloseIdleConnections()
	}
}

// hear notes an answer.
func (p *pool) hear(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = now
}

// silent reports whether no answer came since a time.
func (p *pool) silent(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.answered.After(since)
}
