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

// Accept returns the next connection of a client. It implements [net.Listener]. A connection
// without the methods of a halfCloser gets no limit.
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

// clientConn is a connection of a client. Its method Write sets the write deadline of the
// connection, which limits the time in which the client must accept a piece of a response. Setting
// a deadline costs CPU time, because the runtime wakes a thread for its timer. So Write does not
// set it for each piece. The deadline is 9/8 of the timeout from now, and Write sets a new deadline
// only when 1/8 of the timeout has passed. So each piece still gets at least the whole timeout.
type clientConn struct {
	halfCloser
	timeout time.Duration
	bounded atomic.Bool
	// the time at which Write last set the write deadline of the connection, in nanoseconds
	lastExtension atomic.Int64
}

// Write sends a piece of a response to the client. It implements [net.Conn].
func (c *clientConn) Write(p []byte) (int, error) {
	if now := time.Now(); c.bounded.Load() && now.UnixNano()-c.lastExtension.Load() >= int64(c.timeout/8) {
		c.lastExtension.Store(now.UnixNano())
		_ = c.halfCloser.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.halfCloser.Write(p)
}

// SetWriteDeadline does nothing. net/http calls SetWriteDeadline between requests, and would
// overwrite the deadline that the method Write sets.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline turns off the limit on the time that the client may take to accept data. net/http
// calls SetDeadline when a connection is upgraded, for example to a WebSocket, and an upgraded
// connection must have no timeouts.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.bounded.Store(false)
	return c.halfCloser.SetDeadline(t)
}
