package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// A bubbleGateway is a gateway between a client and a service in a bubble of [synctest], where time
// passes only while all goroutines wait. The connections are pipes in memory, and all routes are
// public.
type bubbleGateway struct {
	*servers
	t             *testing.T
	frontListener *pipeListener // the listener to which clients connect
}

// inBubble runs a test with a gateway in front of a service, in a bubble of [synctest]. The
// parameter timeouts is the section timeouts of the gateway's configuration.
func inBubble(t *testing.T, timeouts string, service http.HandlerFunc, test func(b *bubbleGateway)) {
	path := filepath.Join(t.TempDir(), "xenagate.yaml")
	content := `listen: 127.0.0.1:0
timeouts: {` + timeouts + `}
tokens: {audiences: [testapi]}
upstreams: [{name: api, url: "http://service.example"}]
routes: {rules: [{route: /, access: public}]}
routes_interval: 1000h
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		output := newLogBuffer(io.Discard)
		defer output.close(time.Hour)
		g, err := newGateway(cfg, output)
		if err != nil {
			t.Fatal(err)
		}
		back := newPipeListener()
		upstream := &http.Server{Handler: service}
		go func() { _ = upstream.Serve(back) }()
		defer func() { _ = upstream.Close() }()

		b := &bubbleGateway{t: t, frontListener: newPipeListener(), servers: &servers{gateway: g, ended: make(chan error, 4)}}
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		p := newProxy(g, nil)
		transport := p.upstreams[0].connections.transport
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return back.dial(), nil }
		defer transport.CloseIdleConnections()
		h := b.newHTTPServer(ctx, "proxy", "", p.serve)
		h.listener = b.frontListener
		b.http = append(b.http, h)
		b.serve("proxy", h.listener, func() error { return h.Serve(h.timedListener()) })
		test(b)
		b.close()
		b.wg.Wait()
	})
}

// bubbleGateway.dial opens a connection from the client to the gateway.
func (b *bubbleGateway) dial() *bubbleConn {
	conn := b.frontListener.dial()
	return &bubbleConn{Conn: conn, in: bufio.NewReader(conn), t: b.t}
}

// A bubbleConn is a connection of a client to the gateway. An error on the connection ends the
// test.
type bubbleConn struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func (c *bubbleConn) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// bubbleConn.wantResponse reads a response from the gateway, and ends the test if its status is not
// the expected one. The caller can still read the body of the response.
func (c *bubbleConn) wantResponse(status int) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil || res.StatusCode != status {
		c.t.Fatalf("%v, %v, want %d", res, err, status)
	}
	return res
}

// A pipeListener is a listener without a network. It accepts the connections that its method dial
// makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	select {
	case l.conns <- pipeConn{server}:
	case <-l.closed:
		_ = server.Close()
	}
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// A pipeConn is one side of a pipe in memory. It has the method CloseWrite of a TCP connection, but
// CloseWrite closes both directions.
type pipeConn struct{ net.Conn }

func (c pipeConn) CloseWrite() error { return c.Close() }

// RemoteAddr returns a made-up loopback address as the address of the client. It implements
// [net.Conn].
func (c pipeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
