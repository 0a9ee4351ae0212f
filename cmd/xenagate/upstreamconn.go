package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

const (
	// suspectAfter is how long the gateway waits for the response of an upstream before it closes
	// the idle connections to this upstream. Idle connections can be dead although new connections
	// work, for example because a load balancer hangs. If the service is only slow, closing them is
	// not needed, and costs new connections at most once a second.
	suspectAfter = 2 * time.Second
	// pingAfter is how long an upstream may send nothing on an HTTP/2 connection before the gateway
	// sends a ping. pingTimeout limits the wait for the reply. This finds dead connections, because
	// all requests to an upstream share one HTTP/2 connection.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// idleTimeout is how long a connection to an upstream without a request stays open.
	idleTimeout = 30 * time.Second
)

// upstreamConnections are the connections to one upstream. Each upstream has its own connections,
// so that a problem with one upstream does not affect the connections to another upstream.
type upstreamConnections struct {
	transport *http.Transport
	waits     slowRequests
}

// newUpstreamConnections returns the connections to one upstream. The connections ignore the proxy
// settings of the environment.
func newUpstreamConnections(t config.Timeouts) *upstreamConnections {
	dialer := &net.Dialer{Timeout: t.Dial, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	return &upstreamConnections{transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &upstreamConn{Conn: conn, timeout: t.ResponseHeader}, nil
		},
		TLSHandshakeTimeout:    t.Dial,
		ResponseHeaderTimeout:  t.ResponseHeader,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    256,
		MaxResponseHeaderBytes: 256 << 10,
		// without this setting, the gateway would decompress the bodies of responses
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}}
}

// RoundTrip sends a request to the upstream and returns the response. It implements
// [http.RoundTripper].
func (c *upstreamConnections) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	if c.waits.hasSlow(now) {
		c.transport.CloseIdleConnections()
	}
	waiting := c.waits.begin(now)
	res, err := c.transport.RoundTrip(r)
	waiting.Add(-1)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && r.Context().Err() == nil {
		c.transport.CloseIdleConnections()
	}
	return res, err
}

// slowRequests records whether a request to an upstream has waited long for its response. Requests
// that began in about the same second are counted together, as one group, so that no request needs
// a timer. The gateway calls hasSlow only when a new request begins, because a dead connection can
// harm only new requests.
type slowRequests struct {
	// Each element of the field groups counts requests that began in about the same second. In an
	// element, waiting is the number of these requests that have no response yet, and youngest is
	// the time at which the last of them began, in nanoseconds.
	groups [4]struct{ waiting, youngest atomic.Int64 }
	// The field current says to which element of groups new requests are added: its index is
	// current modulo the number of elements.
	current atomic.Int64
	// The field looked is the time at which hasSlow last checked the elements of groups, in
	// nanoseconds.
	looked atomic.Int64
}

// slowRequests.begin counts a request to the upstream that begins now. The caller must subtract 1
// from the returned counter when the response has arrived.
func (s *slowRequests) begin(now time.Time) *atomic.Int64 {
	g := &s.groups[s.current.Load()%int64(len(s.groups))]
	g.waiting.Add(1)
	g.youngest.Store(now.UnixNano())
	return &g.waiting
}

// hasSlow reports whether a request to the upstream has waited for longer than suspectAfter. It
// returns true at most once a second.
func (s *slowRequests) hasSlow(now time.Time) (slow bool) {
	last := s.looked.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.looked.CompareAndSwap(last, now.UnixNano()) {
		return false
	}
	for i := range s.groups {
		g := &s.groups[i]
		if g.waiting.Load() > 0 && now.UnixNano()-g.youngest.Load() >= int64(suspectAfter) {
			slow = true
		}
	}
	s.current.Add(1)
	return slow
}

// upstreamConn is a connection to an upstream. It limits how long the upstream may take to accept
// each piece of a request. Without the limit, a request could wait forever if the connection is
// dead and the body is larger than the buffers of the connection.
type upstreamConn struct {
	net.Conn
	timeout time.Duration
	// the field extended is the time at which Write last set the deadline, in nanoseconds
	extended atomic.Int64
}

// Write sends a piece of a request to the upstream. It implements [net.Conn].
func (c *upstreamConn) Write(p []byte) (int, error) {
	now := time.Now()
	if now.UnixNano()-c.extended.Load() >= int64(c.timeout/8) {
		c.extended.Store(now.UnixNano())
		_ = c.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.Conn.Write(p)
}
