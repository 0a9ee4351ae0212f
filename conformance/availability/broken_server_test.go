package availability_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The type wire is a network in memory for tests. Its connections can die silently: both ends of a
// dead connection can still write, but no byte arrives.
type wire struct {
	mu      sync.Mutex
	conns   map[*wireConn]bool // the connections that are open
	dialled int
	mute    bool // if mute is set, new connections are dead from the start
	latency time.Duration
	accept  chan net.Conn
	closed  chan struct{}
}

func newWire() *wire {
	return &wire{conns: make(map[*wireConn]bool), accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (w *wire) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	near, far := net.Pipe()
	c := &wireConn{Conn: near, wire: w, to: addr, dead: make(chan struct{}), gone: make(chan struct{})}
	w.mu.Lock()
	w.dialled++
	name := fmt.Sprint("client ", w.dialled)
	w.conns[c] = true
	mute, latency := w.mute, w.latency
	w.mu.Unlock()
	time.Sleep(latency)
	if mute {
		c.die()
	}
	select {
	case w.accept <- &namedConn{far, name}:
		return c, nil
	case <-w.closed:
	case <-ctx.Done():
	}
	_, _ = c.Close(), far.Close()
	return nil, errors.New("no connection")
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.accept:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { close(w.closed); return nil }
func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// wire.die makes all open connections of the test network die. If mute is true, connections that
// are opened later are dead too.
func (w *wire) die(mute bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = mute
	for c := range w.conns {
		c.die()
	}
}

func (w *wire) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// wire.dieBut makes all open connections of the test network die, except the connections to the
// server with the address addr.
func (w *wire) dieBut(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if c.to != addr {
			c.die()
		}
	}
}

// namedConn is the server's end of a connection in the test network. Its remote address is a name
// that identifies the client.
type namedConn struct {
	net.Conn
	name string
}

func (c *namedConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: c.name} }

// wireConn is the client's end of a connection in the test network (type wire).
type wireConn struct {
	net.Conn
	wire       *wire
	to         string
	dead, gone chan struct{}
	dies, goes sync.Once
}

func (c *wireConn) die() {
	c.dies.Do(func() { close(c.dead); _ = c.Conn.SetDeadline(time.Now()) })
}

func (c *wireConn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.isDead() {
		<-c.gone
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *wireConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.isDead() {
		return len(p), nil // the connection is dead, so the written bytes are lost
	}
	return n, err
}

func (c *wireConn) Close() error {
	c.goes.Do(func() {
		close(c.gone)
		c.wire.mu.Lock()
		delete(c.wire.conns, c)
		c.wire.mu.Unlock()
	})
	return c.Conn.Close()
}

// The type wired contains an issuer and a Validator. The Validator calls the issuer over the test
// network (type wire).
type wired struct {
	*wire
	issuer    *xenaauthtest.Issuer
	transport *http.Transport
	validator *xenaauth.Validator
}

// onWire calls f with an issuer and a Validator. They speak HTTP/1.1 or HTTP/2 over the test
// network (type wire).
func onWire(t *testing.T, http2 bool, serve func(http.Handler) http.Handler, f func(*testing.T, *wired)) {
	t.Helper()
	harness.FakeTime(t, func(t *testing.T) {
		w := &wired{wire: newWire()}
		w.issuer = xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "http://localhost", Algorithm: "ES256"})
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetUnencryptedHTTP2(http2)
		var handler http.Handler = w.issuer
		if serve != nil {
			handler = serve(handler)
		}
		server := &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: time.Minute}
		served := make(chan error, 1)
		go func() { served <- server.Serve(w.wire) }()
		w.transport = &http.Transport{DialContext: w.dial, Protocols: protocols, MaxIdleConnsPerHost: 100}
		w.validator = harness.NewValidator(t, w.config())
		require.Empty(t, harness.ReasonOf(t, w.validator, w.issuer.JWT(xenaauthtest.Token{})))
		f(t, w)
		w.transport.CloseIdleConnections()
		// In this minute of fake time, the transport closes the connections that it no longer uses.
		time.Sleep(time.Minute)
		left := 0
		// With HTTP/2 one dead connection stays open, because the transport sends no pings and the
		// library must not close the connections of a transport that the service has configured.
		if http2 {
			left = 1
		}
		require.LessOrEqual(t, w.open(), left, "connections are still open")
		w.mu.Lock()
		conns := slices.Collect(maps.Keys(w.conns))
		w.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// wired.config returns a configuration for a Validator that calls the issuer over the test network.
func (w *wired) config() xenaauth.Config {
	cfg := w.issuer.HybridConfig()
	cfg.HTTPClient = &http.Client{Transport: w.transport}
	return cfg
}

// wired.fill makes n introspection calls at the same time. After it, the connections of these calls
// are open and idle. With HTTP/1.1 each call opens its own connection.
func (w *wired) fill(t *testing.T, n int) {
	t.Helper()
	w.issuer.Slow(100 * time.Millisecond)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if reason := harness.ReasonOf(t, w.validator, w.issuer.Opaque(xenaauthtest.Token{})); reason != "" {
				t.Error(reason)
			}
		})
	}
	all.Wait()
	w.issuer.Heal()
}

// wired.until validates a token again and again until the token is accepted. It returns how long
// this took.
func (w *wired) until(t *testing.T, token string) time.Duration {
	began := time.Now()
	for {
		reason := harness.ReasonOf(t, w.validator, token)
		if reason == "" {
			return time.Since(began)
		}
		if reason != xenaauth.ReasonUnavailable || time.Since(began) > time.Hour {
			t.Errorf("%s after %v", reason, time.Since(began))
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
