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
	// client is a copy of Config.HTTPClient. Each server has its own pool, and each pool has a
	// transport. For each request, exchange.sendOnce copies the client again, and gives the new
	// copy the transport of the pool.
	client http.Client
	// withoutClient means that Config.HTTPClient is nil, so this package makes all connections
	withoutClient bool

	mu    sync.Mutex
	pools map[string]*pool // each key is the scheme and the host of a server
}

// pool is the set of connections to one server. Connections are dead if nothing arrives on them,
// not even an error, while a new connection works. If the connections of a pool are dead, a new
// pool replaces this pool.
type pool struct {
	transport     http.RoundTripper
	mayClose      bool          // mayClose means that this package may close the connections
	resendSlots   chan struct{} // resendSlots limits how many calls are sent again at a time
	replaceSignal chan struct{} // replaceSignal is closed when another pool replaces this pool

	mu           sync.Mutex
	lastResponse time.Time // lastResponse is when a connection of this pool last had a response
}

const (
	maxPools       = 64 // maxPools is the largest number of servers to which connections are kept
	maxResendSlots = 4  // maxResendSlots is how many calls to one server are sent again at a time
)

// defaultNetwork contains the connections of all validators without a Config.HTTPClient. If each
// validator had its own connections, those of a validator that is no longer used could stay open.
var defaultNetwork = &network{withoutClient: true}

func newNetwork(client *http.Client) *network {
	if client == nil {
		return defaultNetwork
	}
	return &network{client: *client}
}

// network.clientTransport returns the Transport of Config.HTTPClient. If this Transport is nil, it
// returns the default transport of net/http.
func (n *network) clientTransport() http.RoundTripper {
	if n.client.Transport == nil {
		return http.DefaultTransport
	}
	return n.client.Transport
}

// newTransport returns a transport with the settings of [http.DefaultTransport] and shorter
// timeouts.
func newTransport() *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 100}
	// Other code, such as a monitoring agent, may have replaced http.DefaultTransport by a value of
	// another type.
	if d, ok := http.DefaultTransport.(*http.Transport); ok {
		t = d.Clone()
		separateHTTP2(t)
	}
	t.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 2 * time.Second
	t.ResponseHeaderTimeout = 4 * time.Second
	// 64 connections are as many as the default of MaxConcurrent. With the default of net/http,
	// which is 2, most concurrent calls would need a new connection.
	t.MaxIdleConnsPerHost = 64
	t.IdleConnTimeout = maxIdle
	enablePings(t)
	return t
}

// enablePings makes the transport t send pings on HTTP/2 connections, unless t is already
// configured to send pings. All calls to a server share one HTTP/2 connection. Without pings, the
// operating system needs a quarter of an hour to notice that this connection is dead.
func enablePings(t *http.Transport) {
	if t.HTTP2 == nil {
		t.HTTP2 = new(http.HTTP2Config)
	}
	if t.HTTP2.SendPingTimeout == 0 {
		t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = time.Second, 2*time.Second
	}
}

// separateHTTP2 makes the transport t open its own HTTP/2 connections. t is a copy of another
// transport. If golang.org/x/net/http2 has configured that other transport, the field TLSNextProto
// of the copy leads to the connections of the other transport. Therefore separateHTTP2 makes t use
// the HTTP/2 client of net/http.
func separateHTTP2(t *http.Transport) {
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

// maxIdle is how long an unused connection to the issuer stays open.
const maxIdle = 30 * time.Second

// network.poolFor returns the pool of connections for a server. If there is no pool for this
// server, poolFor creates it.
func (n *network) poolFor(server string) *pool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.pools[server]; p != nil {
		return p
	}
	var p *pool
	if n.withoutClient {
		p = n.newConnections()
	} else {
		p = newPool(n.clientTransport(), false)
	}
	if n.pools == nil {
		n.pools = make(map[string]*pool)
	}
	// If there are pools for too many servers, remove the pool of an arbitrary server. The next
	// call to this server creates a new pool.
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
	if n.withoutClient {
		return newPool(newTransport(), true)
	}
	originalTransport, ok := n.clientTransport().(*http.Transport)
	if !ok {
		return newPool(n.clientTransport(), false)
	}
	t := originalTransport.Clone()
	if t.IdleConnTimeout == 0 || t.IdleConnTimeout > maxIdle {
		t.IdleConnTimeout = maxIdle
	}
	separateHTTP2(t)
	enablePings(t)
	return newPool(t, true)
}

func newPool(t http.RoundTripper, mayClose bool) *pool {
	return &pool{
		transport:     t,
		mayClose:      mayClose,
		resendSlots:   make(chan struct{}, maxResendSlots),
		replaceSignal: make(chan struct{}),
	}
}

// network.replacePool makes nextPool the pool of a server, in place of oldPool. It closes
// oldPool.replaceSignal, so that each call that waits for a response on an old connection is sent
// again. If another goroutine has already replaced oldPool, replacePool closes nextPool instead.
func (n *network) replacePool(server string, oldPool, nextPool *pool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pools[server] != oldPool {
		nextPool.close()
		return
	}
	n.pools[server] = nextPool
	close(oldPool.replaceSignal)
	oldPool.close()
}

// pool.close closes the idle connections of a pool that is no longer used, unless mayClose is
// false. A connection that is in use is closed after its response was read.
func (p *pool) close() {
	if t, ok := p.transport.(*http.Transport); ok && p.mayClose {
		t.CloseIdleConnections()
	}
}

// recordResponse records the time at which a response arrived on a connection of this pool.
func (p *pool) recordResponse(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastResponse = now
}

// pool.noResponseSince reports whether no response has arrived on the connections of the pool since
// the given time.
func (p *pool) noResponseSince(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.lastResponse.After(since)
}

// resendDelay is how long a call waits for a response before it is sent again. When the issuer
// fails, the library makes no calls for one second, and then tries one call. resendDelay is shorter
// than a second, so within two seconds the library finds that the issuer works again.
const resendDelay = 900 * time.Millisecond

// gracePeriod is how long a call that has timed out waits for its attempts to end. Code outside
// this package, for example a ClientAuth, may ignore that its context has ended. The call does not
// wait longer than gracePeriod for such an attempt.
const gracePeriod = 100 * time.Millisecond

// exchange is one call to a server. The call is sent again, on a new connection, after each 0.9 s
// without a response. The first response that arrives is used, so a dead connection costs only
// about a second. A server that was down for a while may never respond to the calls that it got
// while it was down. Because these calls are sent again, they succeed within a second after the
// server works again.
//
// To protect the server, at most maxResendSlots calls at a time are sent again. If a response
// arrives on a new connection, and in the meantime no response has arrived on the old connections,
// the old connections count as dead. Their pool is replaced, and the calls that wait on the old
// connections are sent again.
type exchange struct {
	network   *network
	server    string // server is the scheme and the host of the server
	callName  string // callName is "metadata", "key set" or "introspection"
	maxLength int64  // maxLength is the largest length of the response's body, in bytes
	// buildRequest returns the request for one attempt. Its error is an *outageError.
	buildRequest func(context.Context) (*http.Request, error)

	results      chan attemptResult
	doneSignal   chan struct{} // doneSignal is closed when exchange.do returns
	openAttempts int           // openAttempts is the number of attempts that have no result yet
}

// attemptResult is the result of one attempt to send a call.
type attemptResult struct {
	pool    *pool
	ownPool bool // ownPool says that the pool was created only for this attempt
	reply   *reply
	err     error
}

// exchange.do returns the response to the call. If no attempt gets a response, the error is an
// *outageError.
func (x *exchange) do(ctx context.Context) (*reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // when exchange.do returns, cancel ends the attempts that still run
	x.results, x.doneSignal = make(chan attemptResult), make(chan struct{})
	defer close(x.doneSignal)

	firstPool := x.network.poolFor(x.server)
	startTime, poolReplaced := time.Now(), firstPool.replaceSignal
	x.startAttempt(ctx, firstPool, false)
	timer := time.NewTimer(resendDelay)
	defer timer.Stop()
	// wantedSlots is the semaphore firstPool.resendSlots while this call waits for a place in it.
	// At any other time it is nil, and the select statement ignores it.
	var wantedSlots chan<- struct{}
	hasSlot := false // hasSlot says that this call has a place in firstPool.resendSlots
	var failedResult, limitedResult *attemptResult
	contextDone := ctx.Done()
	var graceTimer <-chan time.Time // graceTimer fires when ctx has ended and gracePeriod is over
	for x.openAttempts > 0 {
		select {
		case <-contextDone:
			contextDone, poolReplaced, wantedSlots, graceTimer = nil, nil, nil, time.After(gracePeriod)
			timer.Stop()
		case <-graceTimer:
			return nil, &outageError{callName: x.callName, causeText: "timeout", issuerDown: true}
		case <-timer.C:
			if hasSlot {
				x.startAttempt(ctx, x.network.newConnections(), true)
				timer.Reset(resendDelay)
			} else {
				wantedSlots = firstPool.resendSlots
			}
		case wantedSlots <- struct{}{}:
			wantedSlots, hasSlot = nil, true
			defer func() { <-firstPool.resendSlots }()
			x.startAttempt(ctx, x.network.newConnections(), true)
			timer.Reset(resendDelay)
		case <-poolReplaced:
			currentPool := x.network.poolFor(x.server)
			poolReplaced = currentPool.replaceSignal
			x.startAttempt(ctx, currentPool, false)
		case r := <-x.results:
			x.openAttempts--
			switch {
			case r.err != nil:
				r.closeOwnPool()
				if failedResult == nil {
					failedResult = &r
				}
			case r.reply.status == http.StatusTooManyRequests && x.openAttempts > 0:
				// The server has answered 429, too many requests. Perhaps it counts each attempt of
				// this call as a request. Another attempt may still get a better response, so wait
				// for it.
				r.closeOwnPool()
				limitedResult = &r
			default:
				x.choosePool(r, firstPool, startTime)
				return r.reply, nil
			}
		}
	}
	if limitedResult != nil {
		return limitedResult.reply, nil
	}
	// No response came, so the old connections may be dead. The next call must not use them.
	if ctx.Err() != nil && firstPool.noResponseSince(startTime) {
		x.network.replacePool(x.server, firstPool, x.network.newConnections())
	}
	return nil, failedResult.err
}

// exchange.choosePool is called when the response r has arrived. It decides whether later calls use
// the old connections to the server, or those of the attempt that got r.
func (x *exchange) choosePool(r attemptResult, firstPool *pool, startTime time.Time) {
	switch {
	case r.ownPool && firstPool.noResponseSince(startTime):
		r.pool.recordResponse(time.Now())
		x.network.replacePool(x.server, firstPool, r.pool)
	case r.ownPool:
		r.closeOwnPool()
	default:
		r.pool.recordResponse(time.Now())
	}
}

// attemptResult.closeOwnPool closes the connections of the pool, if the pool was created for this
// attempt only.
func (r *attemptResult) closeOwnPool() {
	if r.ownPool {
		r.pool.close()
	}
}

// exchange.startAttempt starts an attempt to send the call, in a new goroutine.
func (x *exchange) startAttempt(ctx context.Context, p *pool, ownPool bool) {
	x.openAttempts++
	go func() {
		r := attemptResult{pool: p, ownPool: ownPool}
		r.reply, r.err = x.sendOnce(ctx, p)
		select {
		case x.results <- r:
		case <-x.doneSignal:
			r.closeOwnPool()
		}
	}()
}

// exchange.sendOnce sends the request of a call once and reads the response.
func (x *exchange) sendOnce(ctx context.Context, p *pool) (_ *reply, err error) {
	defer func() {
		// Without recover, a panic of Config.HTTPClient would end the process.
		if recover() != nil {
			err = &outageError{callName: x.callName, causeText: "the HTTP client panicked"}
		}
	}()
	req, err := x.buildRequest(ctx)
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
		return nil, &outageError{callName: x.callName, causeText: publicCause(err), issuerDown: true}
	}
	// An error of Close is ignored, because the body of the response was read.
	defer resp.Body.Close() //nolint:errcheck
	text, err := io.ReadAll(io.LimitReader(resp.Body, x.maxLength+1))
	if err != nil {
		return nil, &outageError{callName: x.callName, causeText: publicCause(err), issuerDown: true}
	}
	if int64(len(text)) > x.maxLength {
		why := fmt.Sprintf("the response is longer than %d bytes", x.maxLength)
		return nil, &outageError{callName: x.callName, causeText: why}
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}, nil
}
