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
	// suspectAfter is how long a request waits for an answer until its upstream's idle connections are closed. A
	// connection may have died without a word, in a hung balancer say, and the others with it, while new ones work.
	// To a service that is only slow, it costs new connections once a second.
	suspectAfter = 2 * time.Second
	// pingAfter is how long a connection of HTTP/2 is silent until it is asked whether it lives, and pingTimeout how long
	// the answer may take. All requests to an upstream share such a connection.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// idleTimeout is how long a connection is kept without a request.
	idleTimeout = 30 * time.Second
)

// byUpstream sends each request by the connections of its upstream.
type byUpstream struct{}

// RoundTrip implements [http.RoundTripper].
func (byUpstream) RoundTrip(r *http.Request) (*http.Response, error) {
	return recordOf(r.Context()).upstream.connections.RoundTrip(r)
}

// connections are those to one upstream, so that trouble with it leaves those to others alone.
type connections struct {
	*http.Transport
	suspicion
}

// newConnections reaches an upstream directly, whatever the environment says of proxies.
func newConnections(t config.Timeouts) *connections {
	dialer := &net.Dialer{Timeout: t.Dial, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	c := &connections{Transport: &http.Transport{
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
	return c
}

// RoundTrip implements [http.RoundTripper].
func (c *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	if c.look(now) {
		c.CloseIdleConnections()
	}
	waiting := c.begin(now)
	res, err := c.Transport.RoundTrip(r)
	waiting.Add(-1)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && r.Context().Err() == nil {
		c.CloseIdleConnections()
	}
	return res, err
}

// suspicion knows whether requests wait for long. It counts those that began in the same second together, in place of a
// timer for each. It is looked at when the next request begins, which is the first that it matters to.
type suspicion struct {
	groups  [4]struct{ waiting, youngest atomic.Int64 } // youngest is when the last one began, in nanoseconds
	current atomic.Int64                                // the group of requests that begin now
	looked  atomic.Int64                                // when the groups were looked at last
}

// begin counts a request that begins. The counter that it returns is to be lowered when the request has its answer.
func (s *suspicion) begin(now time.Time) *atomic.Int64 {
	g := &s.groups[s.current.Load()%int64(len(s.groups))]
	g.waiting.Add(1)
	g.youngest.Store(now.UnixNano())
	return &g.waiting
}

// look reports, once a second at most, whether a request has waited for longer than suspectAfter.
func (s *suspicion) look(now time.Time) (waits bool) {
	last := s.looked.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.looked.CompareAndSwap(last, now.UnixNano()) {
		return false
	}
	for i := range s.groups {
		g := &s.groups[i]
		if g.waiting.Load() > 0 && now.UnixNano()-g.youngest.Load() >= int64(suspectAfter) {
			waits = true
		}
	}
	s.current.Add(1)
	return waits
}

// upstreamConn gives an upstream time for each piece of a request. Without it a request whose body no longer fits into
// the buffers of a dead connection would wait for ever.
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
