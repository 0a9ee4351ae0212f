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

// testNetwork is a network in memory. Its connections can die silently: the client can still write
// to a dead connection, but no byte arrives at either end.
type testNetwork struct {
	mu        sync.Mutex
	openConns map[*clientConn]bool // the open connections, as the keys of this map
	dialled   int
	// If killsNewConnections is true, each new connection is silently dead from the start.
	killsNewConnections bool
	latency             time.Duration
	accept              chan net.Conn
	closed              chan struct{}
}

func newTestNetwork() *testNetwork {
	return &testNetwork{openConns: make(map[*clientConn]bool), accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (w *testNetwork) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	near, far := net.Pipe()
	c := &clientConn{Conn: near, network: w, to: addr, dead: make(chan struct{}), gone: make(chan struct{})}
	w.mu.Lock()
	w.dialled++
	name := fmt.Sprint("client ", w.dialled)
	w.openConns[c] = true
	mute, latency := w.killsNewConnections, w.latency
	w.mu.Unlock()
	time.Sleep(latency)
	if mute {
		c.die()
	}
	select {
	case w.accept <- &serverConn{far, name}:
		return c, nil
	case <-w.closed:
	case <-ctx.Done():
	}
	_, _ = c.Close(), far.Close()
	return nil, errors.New("no connection")
}

func (w *testNetwork) Accept() (net.Conn, error) {
	select {
	case c := <-w.accept:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *testNetwork) Close() error   { close(w.closed); return nil }
func (w *testNetwork) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// testNetwork.killConnections makes all open connections of the network die. If killNew is true,
// connections that are opened later are dead too.
func (w *testNetwork) killConnections(killNew bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killsNewConnections = killNew
	for c := range w.openConns {
		c.die()
	}
}

func (w *testNetwork) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.openConns)
}

// testNetwork.killConnectionsExcept makes all open connections of the network die, except the
// connections to the server with the address addr.
func (w *testNetwork) killConnectionsExcept(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.openConns {
		if c.to != addr {
			c.die()
		}
	}
}

// serverConn is the server's end of a connection in a testNetwork. Its remote address is a name
// that identifies the client.
type serverConn struct {
	net.Conn
	name string
}

func (c *serverConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: c.name} }

// clientConn is the client's end of a connection in a testNetwork.
type clientConn struct {
	net.Conn
	network    *testNetwork
	to         string
	dead, gone chan struct{}
	dies, goes sync.Once
}

func (c *clientConn) die() {
	c.dies.Do(func() { close(c.dead); _ = c.Conn.SetDeadline(time.Now()) })
}

func (c *clientConn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.isDead() {
		<-c.gone
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *clientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.isDead() {
		return len(p), nil // the connection is dead, so the written bytes are lost
	}
	return n, err
}

func (c *clientConn) Close() error {
	c.goes.Do(func() {
		close(c.gone)
		c.network.mu.Lock()
		delete(c.network.openConns, c)
		c.network.mu.Unlock()
	})
	return c.Conn.Close()
}

// networkSetup contains an issuer and a Validator. The Validator calls the issuer over a
// testNetwork.
type networkSetup struct {
	*testNetwork
	issuer    *xenaauthtest.Issuer
	transport *http.Transport
	validator *xenaauth.Validator
}

// runOnTestNetwork calls f with an issuer and a Validator, which speak HTTP/1.1 or HTTP/2 over a
// testNetwork.
func runOnTestNetwork(t *testing.T, http2 bool, serve func(http.Handler) http.Handler, f func(*testing.T, *networkSetup)) {
	t.Helper()
	harness.FakeTime(t, func(t *testing.T) {
		w := &networkSetup{testNetwork: newTestNetwork()}
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
		go func() { served <- server.Serve(w.testNetwork) }()
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
		conns := slices.Collect(maps.Keys(w.openConns))
		w.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// networkSetup.config returns a configuration for a Validator that calls the issuer over the test
// network.
func (w *networkSetup) config() xenaauth.Config {
	cfg := w.issuer.HybridConfig()
	cfg.HTTPClient = &http.Client{Transport: w.transport}
	return cfg
}

// networkSetup.openConnections makes n introspection calls at the same time. Afterwards the
// connections of these calls are open and idle. With HTTP/1.1 each call opens its own connection.
func (w *networkSetup) openConnections(t *testing.T, n int) {
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

// networkSetup.waitUntilAccepted validates a token again and again until the token is accepted. It
// returns how long this took.
func (w *networkSetup) waitUntilAccepted(t *testing.T, token string) time.Duration {
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
