package main

import (
	"net"
	"sync/atomic"
	"time"
)

// clientListener accepts connections that bound the time that the client may take to accept each
// piece of a response.
type clientListener struct {
	net.Listener
	timeout time.Duration
}

// Accept implements [net.Listener].
func (l *clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	half, ok := conn.(halfCloser)
	if !ok {
		return conn, nil
	}
	c := &clientConn{halfCloser: half, timeout: l.timeout}
	c.bounded.Store(true)
	return c, nil
}

// halfCloser is a connection that net/http can close gently: a TCP connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// clientConn sets its write deadline itself, an eighth later than necessary. To set it for each
// response would start and stop a timer, for which the runtime wakes a thread.
type clientConn struct {
	halfCloser
	timeout  time.Duration
	bounded  atomic.Bool
	extended atomic.Int64 // when the deadline was set last, in nanoseconds
}

// Write implements [net.Conn].
func (c *clientConn) Write(p []byte) (int, error) {
	if now := time.Now(); c.bounded.Load() && now.UnixNano()-c.extended.Load() >= int64(c.timeout/8) {
		c.extended.Store(now.UnixNano())
		_ = c.halfCloser.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.halfCloser.Write(p)
}

// SetWriteDeadline does nothing. net/http calls it between requests.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline ends the bound. net/http calls it for an upgraded connection, which has no timeouts.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.bounded.Store(false)
	return c.halfCloser.SetDeadline(t)
}
