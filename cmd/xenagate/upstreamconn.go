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
	// the idle connections to this upstream. It closes them when a new request begins. Idle
	// connections can be dead although new connections work, for example because a load balancer
	// hangs. If the service is only slow, the idle connections still work, and the gateway closes
	// them without need. This happens at most once a second. Then new connections replace the
	// closed ones.
	suspectAfter = 2 * time.Second
	// pingAfter is how long an upstream may send nothing on an HTTP/2 connection before the gateway
	// sends a ping. If no reply arrives within pingTimeout, the connection is dead, and the gateway
	// closes it. Without the ping, many requests would wait on a dead connection, because all
	// requests to the upstream share it.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// idleTimeout is how long a connection to an upstream stays open while no request uses it.
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

// RoundTrip sends a request to the upstream and returns the response. It closes the idle
// connections if an earlier request is slow, or if this request fails with a timeout. It implements
// [http.RoundTripper].
func (c *upstreamConnections) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	if c.waits.hasSlow(now) {
		c.transport.CloseIdleConnections()
	}
	waiting := c.waits.addRequest(now)
	res, err := c.transport.RoundTrip(r)
	waiting.Add(-1)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && r.Context().Err() == nil {
		c.transport.CloseIdleConnections()
	}
	return res, err
}

// slowRequests finds out whether a request to an upstream has waited long for its response. No
// request needs a timer for this. Requests that began in about the same second form a group, and
// each group has a counter. When a new request begins, the method hasSlow looks at the groups. This
// is early enough, because only a new request can still be sent on another connection.
type slowRequests struct {
	// Each element of startGroups counts requests that began in about the same second. In an
	// element, waitingCount is the number of these requests that have no response yet, and
	// latestStart is the time at which the last of them began, in nanoseconds.
	startGroups [4]struct{ waitingCount, latestStart atomic.Int64 }
	// New requests are added to one of the startGroups. The index of this group is currentGroup
	// modulo the number of groups.
	currentGroup atomic.Int64
	// lastCheck is the time at which hasSlow last looked at the startGroups, in nanoseconds.
	lastCheck atomic.Int64
}

// slowRequests.addRequest counts a request to the upstream that begins now. The caller must
// subtract 1 from the returned counter when the response has arrived or the request has failed.
func (s *slowRequests) addRequest(now time.Time) *atomic.Int64 {
	g := &s.startGroups[s.currentGroup.Load()%int64(len(s.startGroups))]
	g.waitingCount.Add(1)
	g.latestStart.Store(now.UnixNano())
	return &g.waitingCount
}

// slowRequests.hasSlow reports whether a request to the upstream has waited for longer than
// suspectAfter. It returns true at most once a second. It judges a group by the latest request of
// the group, so it may notice a slow request some seconds later.
func (s *slowRequests) hasSlow(now time.Time) (slow bool) {
	last := s.lastCheck.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.lastCheck.CompareAndSwap(last, now.UnixNano()) {
		return false
	}
	for i := range s.startGroups {
		g := &s.startGroups[i]
		if g.waitingCount.Load() > 0 && now.UnixNano()-g.latestStart.Load() >= int64(suspectAfter) {
			slow = true
		}
	}
	s.currentGroup.Add(1)
	return slow
}

// upstreamConn is a connection to an upstream. It limits how long the upstream may take to accept
// each piece of a request. Without the limit, a request could wait forever if the connection is
// dead and the body is larger than the buffers of the connection.
type upstreamConn struct {
	net.Conn
	timeout time.Duration
	// lastExtension is when the write deadline of the connection was last set by
	// upstreamConn.Write, in nanoseconds since 1970
	lastExtension atomic.Int64
}

// Write sends a piece of a request to the upstream. It implements [net.Conn].
func (c *upstreamConn) Write(p []byte) (int, error) {
	now := time.Now()
	if now.UnixNano()-c.lastExtension.Load() >= int64(c.timeout/8) {
		c.lastExtension.Store(now.UnixNano())
		_ = c.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.Conn.Write(p)
}
