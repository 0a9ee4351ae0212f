package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
)

const (
	// suspectAfter is how long a request waits for a response before the upstream's idle
	// connections are closed. They may be dead, for example because a load balancer hangs, while
	// new connections work. To a service that is only slow, this costs new connections once a
	// second.
	suspectAfter = 2 * time.Second
	// pingAfter is how long an HTTP/2 connection may be silent before the gateway sends a ping.
	// pingTimeout bounds the wait for the reply. All requests to an upstream share such a
	// connection.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// idleTimeout is how long a connection without a request stays open.
	idleTimeout = 30 * time.Second
)

// upstreamConnections are the connections to one upstream. Each upstream has its own, so that a
// problem with one upstream does not affect the connections to others.
type upstreamConnections struct {
	transport *http.Transport
	waits     slowRequests
}

// newUpstreamConnections ignores the proxy settings of the environment.
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
		DisableCompression:     true, // bodies go through as they are
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}}
}

// RoundTrip implements [http.RoundTripper].
func (c *upstreamConnections) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	if c.waits.any(now) {
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

// slowRequests tells whether a request waits for long for its response. It counts the requests that
// began in the same second together, so that no request needs a timer. It is asked when the next
// request begins, which is the first request that a dead connection can harm.
type slowRequests struct {
	groups  [4]struct{ waiting, youngest atomic.Int64 } // youngest is when the last request began, in nanoseconds
	current atomic.Int64                                // the group of requests that begin now
	looked  atomic.Int64                                // the last time that any examined the groups, in nanoseconds
}

// begin counts a request that begins. The caller subtracts 1 from the returned counter when the
// response is there.
func (s *slowRequests) begin(now time.Time) *atomic.Int64 {
	g := &s.groups[s.current.Load()%int64(len(s.groups))]
	g.waiting.Add(1)
	g.youngest.Store(now.UnixNano())
	return &g.waiting
}

// any reports whether a request has waited for longer than suspectAfter. It returns true at most
// once a second.
func (s *slowRequests) any(now time.Time) (slow bool) {
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

// upstreamConn bounds the time that an upstream may take to accept each piece of a request. Without
// the bound, a request whose body does not fit into the buffers of a dead connection would wait
// without end.
type upstreamConn struct {
	net.Conn
	timeout  time.Duration
	extended atomic.Int64 // when the deadline was set last, in nanoseconds
}

// Write implements [net.Conn].
func (c *upstreamConn) Write(p []byte) (int, error) {
	now := time.Now()
	if now.UnixNano()-c.extended.Load() >= int64(c.timeout/8) {
		c.extended.Store(now.UnixNano())
		_ = c.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.Conn.Write(p)
}
