package xenaauth

import (
	"context"
	"fmt"
	"io"
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

// pool is the connections to one server. If they are dead, the whole pool is replaced. Connections
// are dead if nothing arrives on them, not even an error, while a new connection works.
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

// ourTransport returns a new transport. It has the settings of [http.DefaultTransport], and time
// limits.
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
	// The default of MaxConcurrent. With the default of net/http, 2, most concurrent calls would have
	// to connect again.
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = maxIdle
	ping(t)
	return t
}

// ping makes t test its HTTP/2 connections by pings, unless it does so already. All calls share one
// HTTP/2 connection. Without pings, the operating system needs a quarter of an hour to find that it
// is dead.
func ping(t *http.Transport) {
	if t.HTTP2 == nil {
		t.HTTP2 = new(http.HTTP2Config)
	}
	if t.HTTP2.SendPingTimeout == 0 {
		t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = time.Second, 2*time.Second
	}
}

// ownHTTP2 makes t, a copy of a transport, open its own HTTP/2 connections. If
// golang.org/x/net/http2 has configured the original, TLSNextProto of the copy leads to the
// connections of the original. The copy then uses the HTTP/2 client of net/http instead.
func ownHTTP2(t *http.Transport) {
	if _, ok := t.TLSNextProto["h2"]; !ok {
		return
	}
	t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
	if c := t.TLSClientConfig; c != nil { // c is a copy, but NextProtos is shared with the original
		protos := slices.Clone(c.NextProtos)
		c.NextProtos = slices.DeleteFunc(protos, func(p string) bool { return p == "h2" })
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

// fresh returns a pool without connections. It copies the transport of the client, so that other
// users of the transport are not disturbed. It cannot copy a transport that is not from net/http:
// such a pool may have connections.
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
	return &pool{
		transport: t,
		ours:      ours,
		extra:     make(chan struct{}, maxExtra),
		dead:      make(chan struct{}),
	}
}

// replace makes next the pool of a server, if old is still in use. It closes old.dead, for the
// calls that wait for a response on the old connections.
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

// patience is the time without a response after which a call is sent again. An issuer that was down
// is not called for one second, so a recovery takes less than two seconds.
const patience = 900 * time.Millisecond

// exchange is one call of a server. It is sent again after each 0.9 s without a response, on a new
// connection, and the first response is used. So a dead connection costs one second. A server that
// hung is found within a second after it works again, although it never responds to the calls that
// it received before.
//
// Few calls at a time are sent more than once. If a call gets its response on a new connection, and
// the connections in use are silent, these connections are closed and the other calls are sent
// again.
type exchange struct {
	network *network
	server  string                                       // scheme and host
	what    string                                       // the document that is fetched
	limit   int64                                        // of the body of the response, in bytes
	build   func(context.Context) (*http.Request, error) // its error is an outage

	results chan result
	over    chan struct{} // closed when do returns
	running int           // number of attempts that have no result yet
}

// result is the end of an attempt.
type result struct {
	pool  *pool
	fresh bool // only this attempt uses the pool
	reply *reply
	err   error
}

// do returns the response. If none comes before ctx ends, it returns an outage.
func (x *exchange) do(ctx context.Context) (*reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts that are still running
	x.results, x.over = make(chan result), make(chan struct{})
	defer close(x.over)

	first := x.network.pool(x.server)
	began, dead := time.Now(), first.dead
	x.send(ctx, first, false)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var wanted chan<- struct{} // first.extra while this call wants to be sent more than once
	holds := false             // this call has a place in first.extra
	var failed, limited *result
	for x.running > 0 {
		select {
		case <-timer.C:
			if holds {
				x.send(ctx, x.network.fresh(), true)
				timer.Reset(patience)
			} else {
				wanted = first.extra
			}
		case wanted <- struct{}{}:
			wanted, holds = nil, true
			defer func() { <-first.extra }()
			x.send(ctx, x.network.fresh(), true)
			timer.Reset(patience)
		case <-dead:
			current := x.network.pool(x.server)
			dead = current.dead
			x.send(ctx, current, false)
		case r := <-x.results:
			x.running--
			switch {
			case r.err != nil:
				r.drop()
				if failed == nil {
					failed = &r
				}
			case r.reply.status == http.StatusTooManyRequests && x.running > 0:
				// The second attempt may have caused it.
				r.drop()
				limited = &r
			default:
				x.settle(r, first, began)
				return r.reply, nil
			}
		}
	}
	if limited != nil {
		return limited.reply, nil
	}
	// If nothing came on the connections, the next call must not begin on them.
	if ctx.Err() != nil && first.silent(began) {
		x.network.replace(x.server, first, x.network.fresh())
	}
	return nil, failed.err
}

// settle decides which connections the next calls use, after r brought the response.
func (x *exchange) settle(r result, first *pool, began time.Time) {
	switch {
	case r.fresh && first.silent(began):
		r.pool.hear(time.Now())
		x.network.replace(x.server, first, r.pool)
	case r.fresh:
		r.drop()
	default:
		r.pool.hear(time.Now())
	}
}

// drop closes the connection of an attempt that had one of its own.
func (r *result) drop() {
	if r.fresh {
		r.pool.close()
	}
}

// send makes an attempt in a new goroutine.
func (x *exchange) send(ctx context.Context, p *pool, fresh bool) {
	x.running++
	go func() {
		r := result{pool: p, fresh: fresh}
		r.reply, r.err = x.attempt(ctx, p)
		select {
		case x.results <- r:
		case <-x.over:
			r.drop()
		}
	}()
}

// attempt sends the call and reads the response.
func (x *exchange) attempt(ctx context.Context, p *pool) (_ *reply, err error) {
	defer func() { // a panic of the configured client in this goroutine would end the process
		if recover() != nil {
			err = &outage{what: x.what, why: "the HTTP client panicked"}
		}
	}()
	req, err := x.build(ctx)
	if err != nil {
		return nil, err
	}
	client := x.network.client
	client.Transport = p.transport
	// A redirect would send the token and the credentials to a server that is not configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &outage{what: x.what, why: publicCause(err), down: true}
	}
	defer resp.Body.Close() //nolint:errcheck // an error after the body was read has no effect
	text, err := io.ReadAll(io.LimitReader(resp.Body, x.limit+1))
	if err != nil {
		return nil, &outage{what: x.what, why: publicCause(err), down: true}
	}
	if int64(len(text)) > x.limit {
		why := fmt.Sprintf("the response is longer than %d bytes", x.limit)
		return nil, &outage{what: x.what, why: why}
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}, nil
}
