package main

import (
	"net"
	"sync/atomic"
	"time"
)

// clientListener accepts connections of clients. Each connection limits how long the client may
// take to accept a piece of a response.
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

// halfCloser has the methods of a TCP connection that net/http uses to close a connection without
// losing data.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// clientConn sets its own write deadline. Setting a deadline stops and starts a timer, for which
// the runtime wakes a thread. So clientConn does not set a deadline for each response. clientConn
// makes the deadline an eighth longer than the timeout, and sets the deadline again only when this
// eighth has passed.
type clientConn struct {
	halfCloser
	timeout  time.Duration
	bounded  atomic.Bool
	extended atomic.Int64 // the field extended is when the deadline was last set, in nanoseconds
}

// Write implements [net.Conn].
func (c *clientConn) Write(p []byte) (int, error) {
	if now := time.Now(); c.bounded.Load() && now.UnixNano()-c.extended.Load() >= int64(c.timeout/8) {
		c.extended.Store(now.UnixNano())
		_ = c.halfCloser.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.halfCloser.Write(p)
}

// SetWriteDeadline does nothing. net/http calls SetWriteDeadline between requests, and would
// overwrite the deadline that Write sets.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline turns the limit off. net/http calls SetDeadline when a connection is upgraded, and an
// upgraded connection must have no timeouts.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.bounded.Store(false)
	return c.halfCloser.SetDeadline(t)
}
