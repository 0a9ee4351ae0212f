package main

import (
	"net"
	"sync/atomic"
	"time"
)

// clientListener accepts connections that bound how long each piece of an answer may take to be taken by the client.
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
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil
	}
	c := &clientConn{TCPConn: tcp, timeout: l.timeout}
	c.bounded.Store(true)
	return c, nil
}

// clientConn sets its deadline for writing itself, and an eighth later than it must: to set one for each answer would
// start and stop a timer, for which the runtime wakes a thread.
type clientConn struct {
	*net.TCPConn
	timeout  time.Duration
	bounded  atomic.Bool
	extended atomic.Int64 // when the deadline was set last, in nanoseconds
}

// Write implements [net.Conn].
func (c *clientConn) Write(p []byte) (int, error) {
	if now := time.Now(); c.bounded.Load() && now.UnixNano()-c.extended.Load() >= int64(c.timeout/8) {
		c.extended.Store(now.UnixNano())
		_ = c.TCPConn.SetWriteDeadline(now.Add(c.timeout + c.timeout/8))
	}
	return c.TCPConn.Write(p)
}

// SetWriteDeadline is what net/http calls between requests. The deadline stays as it is.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is what net/http calls for an upgraded connection, which has no timeouts any more.
func (c *clientConn) SetDeadline(t time.Time) error {
	c.bounded.Store(false)
	return c.TCPConn.SetDeadline(t)
}
