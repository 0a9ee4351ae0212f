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

// network is the set of all connections to issuers. It contains one pool for each server.
type network struct {
	// client is the HTTP client for all calls; each call uses it with the Transport of a pool
	client http.Client
	// the field ours means that this package made the connections, and not Config.HTTPClient
	ours bool

	mu    sync.Mutex
	pools map[string]*pool // each key is the scheme and the host of a server
}

// pool is the set of connections to one server. Connections are dead if nothing arrives on them,
// not even an error, while a new connection works. If the connections of a pool are dead, a new
// pool replaces this pool.
type pool struct {
	transport http.RoundTripper
	ours      bool          // ours means that this package may close the connections
	extra     chan struct{} // extra is a semaphore that limits how many calls are sent again
	dead      chan struct{} // dead is closed when another pool replaces this pool

	mu       sync.Mutex
	answered time.Time // answered is when the latest response arrived on this pool
}

const (
	maxPools = 64 // maxPools is the largest number of pools in one network
	// maxExtra is how many calls to one server may be sent again at the same time.
	maxExtra = 4
)

// ourNetwork contains the connections of all validators without a Config.HTTPClient. These
// validators share one network, so that a validator that is no longer used leaves no open
// connections behind.
var ourNetwork = &network{ours: true}

func newNetwork(client *http.Client) *network {
	if client == nil {
		return ourNetwork
	}
	return &network{client: *client}
}

// network.theirs returns the Transport of Config.HTTPClient. If this Transport is nil, theirs
// returns the default transport of net/http.
func (n *network) theirs() http.RoundTripper {
	if n.client.Transport == nil {
		return http.DefaultTransport
	}
	return n.client.Transport
}

// ourTransport returns a new transport with the settings of [http.DefaultTransport] and shorter
// timeouts.
func ourTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 100}
	// Other code, such as a monitoring agent, may have replaced http.DefaultTransport by a value of
	// another type.
	if d, ok := http.DefaultTransport.(*http.Transport); ok {
		t = d.Clone()
		ownHTTP2(t)
	}
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	// 64 connections are as many as the default of MaxConcurrent. With the default of net/http,
	// which is 2, most concurrent calls would need a new connection.
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = maxIdle
	ping(t)
	return t
}

// The function ping makes the transport t send pings on HTTP/2 connections, unless t is already
// configured to send pings. All calls to a server share one HTTP/2 connection. Without pings, the
// operating system needs a quarter of an hour to notice that this connection is dead.
func ping(t *http.Transport) {
	if t.HTTP2 == nil {
		t.HTTP2 = new(http.HTTP2Config)
	}
	if t.HTTP2.SendPingTimeout == 0 {
		t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = time.Second, 2*time.Second
	}
}

// ownHTTP2 makes the transport t open its own HTTP/2 connections. t is a copy of another transport.
// If golang.org/x/net/http2 has configured that other transport, the field TLSNextProto of the copy
// leads to the connections of the other transport. Therefore ownHTTP2 makes t use the HTTP/2 client
// of net/http.
func ownHTTP2(t *http.Transport) {
	if _, ok := t.TLSNextProto["h2"]; !ok {
		return
	}
	t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
	// The TLSClientConfig of t is a copy, but its NextProtos still shares memory with the
	// NextProtos of the original.
	if c := t.TLSClientConfig; c != nil {
		protos := slices.Clone(c.NextProtos)
		c.NextProtos = slices.DeleteFunc(protos, func(p string) bool { return p == "h2" })
	}
}

// maxIdle is for how long an unused connection to the issuer stays open.
const maxIdle = 30 * time.Second

// network.pool returns the pool of connections for a server. If there is no pool for this server,
// the method creates it.
func (n *network) pool(server string) *pool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pools[server]; p != nil {
		return p
	}
	var p *pool
	if n.ours {
		p = n.newConnections()
	} else {
		p = newPool(n.theirs(), false)
	}
	if n.pools == nil {
		n.pools = make(map[string]*pool)
	}
	// There are too many pools of connections, so remove an arbitrary pool. If this pool is needed
	// again, the method creates it again.
	for name, p := range n.pools {
		if len(n.pools) < maxPools {
			break
		}
		p.close()
		delete(n.pools, name)
	}
	n.pools[server] = p
	return p
}

// newConnections returns a pool that opens new connections. Its transport is a copy of the client's
// transport, so that other users of the client keep their connections. A transport that is not from
// net/http can't be copied. In this case the pool uses the transport itself, which may have open
// connections.
func (n *network) newConnections() *pool {
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

// network.replace makes the pool next the pool of a server, in place of the pool old. If another
// goroutine has already replaced old, replace closes next instead. The channel old.dead is closed,
// so that each call that waits for a response on a connection of old is sent again.
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

// pool.close closes the idle connections of a pool that is no longer used. A connection that is in
// use is closed after its response was read.
func (p *pool) close() {
	if t, ok := p.transport.(*http.Transport); ok && p.ours {
		t.CloseIdleConnections()
	}
}

// recordResponse records the time at which a response arrived on a connection of this pool.
func (p *pool) recordResponse(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = now
}

// pool.silent reports whether no response has arrived on the connections of the pool since the
// given time.
func (p *pool) silent(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.answered.After(since)
}

// patience is how long a call waits for a response before it is sent again. When the issuer fails,
// the library makes no calls for one second, and then tries one call. patience is shorter than a
// second, so within two seconds the library finds that the issuer works again.
const patience = 900 * time.Millisecond

// grace is how much time the attempts of a call get to end after the call has timed out. Code
// outside this package, for example a ClientAuth, may ignore that its context has ended. The call
// does not wait longer than grace for such an attempt.
const grace = 100 * time.Millisecond

// exchange is one call to a server. The call is sent again, on a new connection, after each 0.9 s
// without a response. The first response that arrives is used, so a dead connection costs only
// about a second. A server that was down for a while may never respond to the calls that it got
// while it was down. Because these calls are sent again, they succeed within a second after the
// server works again.
//
// To protect the server, at most maxExtra calls at a time are sent again. If a response arrives on
// a new connection, and in the meantime no response has arrived on the old connections, the old
// connections count as dead. Their pool is replaced, and the calls that wait on the old connections
// are sent again.
type exchange struct {
	network *network
	server  string // server is the scheme and the host of the server
	what    string // the field what names the document that is fetched
	// limit is the largest length of the response's body, in bytes.
	limit int64
	// The function build returns the request for one attempt. Its error is an *outage.
	build func(context.Context) (*http.Request, error)

	results chan result
	over    chan struct{} // the channel over is closed when the method do returns
	running int           // the field running is the number of attempts that have no result yet
}

// The type result is the result of one attempt to send a call.
type result struct {
	pool  *pool
	fresh bool // fresh says that the pool was created only for this attempt
	reply *reply
	err   error
}

// exchange.do returns the response. If no response arrives before ctx ends, the error is an
// *outage.
func (x *exchange) do(ctx context.Context) (*reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // when do returns, cancel ends the attempts that still run
	x.results, x.over = make(chan result), make(chan struct{})
	defer close(x.over)

	first := x.network.pool(x.server)
	began, dead := time.Now(), first.dead
	x.send(ctx, first, false)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	// While this call waits for a place in the semaphore first.extra, the channel wanted is this
	// semaphore. At any other time wanted is nil, so that the select statement ignores it.
	var wanted chan<- struct{}
	holds := false // holds says that this call has a place in the semaphore first.extra
	var failed, limited *result
	done := ctx.Done()
	var late <-chan time.Time // late is nil until ctx has ended; then it sends a value after grace
	for x.running > 0 {
		select {
		case <-done:
			done, dead, wanted, late = nil, nil, nil, time.After(grace)
			timer.Stop()
		case <-late:
			return nil, &outage{what: x.what, why: "timeout", down: true}
		case <-timer.C:
			if holds {
				x.send(ctx, x.network.newConnections(), true)
				timer.Reset(patience)
			} else {
				wanted = first.extra
			}
		case wanted <- struct{}{}:
			wanted, holds = nil, true
			defer func() { <-first.extra }()
			x.send(ctx, x.network.newConnections(), true)
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
				// The server has answered 429, too many requests. Perhaps it counts both attempts
				// of this call. So wait for the result of the other attempt.
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
	// The old connections of the pool may be dead, so the next call must not use one.
	if ctx.Err() != nil && first.silent(began) {
		x.network.replace(x.server, first, x.network.newConnections())
	}
	return nil, failed.err
}

// exchange.settle is called when the response r has arrived. It decides whether later calls use the
// old connections to the server, or those of the attempt that got r.
func (x *exchange) settle(r result, first *pool, began time.Time) {
	switch {
	case r.fresh && first.silent(began):
		r.pool.recordResponse(time.Now())
		x.network.replace(x.server, first, r.pool)
	case r.fresh:
		r.drop()
	default:
		r.pool.recordResponse(time.Now())
	}
}

// result.drop closes the connections of a pool, if the pool was created for this attempt only.
func (r *result) drop() {
	if r.fresh {
		r.pool.close()
	}
}

// exchange.send starts an attempt to send the call, in a new goroutine.
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

// exchange.attempt sends the request of a call once and reads the response.
func (x *exchange) attempt(ctx context.Context, p *pool) (_ *reply, err error) {
	defer func() {
		// Without recover, a panic of Config.HTTPClient would end the process.
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
	// Redirects are not followed, because a redirect would send the token and our credentials to a
	// server that nobody configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &outage{what: x.what, why: publicCause(err), down: true}
	}
	// An error of Close is ignored, because the body of the response was read.
	defer resp.Body.Close() //nolint:errcheck
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
