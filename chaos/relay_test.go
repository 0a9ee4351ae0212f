package chaos

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A relay is a TCP proxy whose connections can die silently: they stay open, but the relay drops
// all bytes.
type relay struct {
	addr     string
	upstream string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []*relayConnection
	// if killNewConnections is true, the relay also drops all bytes of new connections
	killNewConnections bool
}

// relayConnection is one connection through the relay.
type relayConnection struct {
	near, far    net.Conn
	dead         atomic.Bool
	closedByPeer atomic.Bool // the client or the server has closed the connection
}

func newRelay(t testing.TB, upstream string) *relay {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: listener.Addr().String(), upstream: upstream, listener: listener}
	r.running.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.upstream)
		if err != nil {
			_ = near.Close()
			continue
		}
		c := &relayConnection{near: near, far: far}
		r.mu.Lock()
		c.dead.Store(r.killNewConnections)
		r.conns = append(r.conns, c)
		r.mu.Unlock()
		r.running.Go(func() { c.copy(far, near) })
		r.running.Go(func() { c.copy(near, far) })
	}
}

func (c *relayConnection) copy(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close(); c.closedByPeer.Store(true) }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if c.dead.Load() {
			n = 0
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// relay.killConnections makes all open connections of the relay dead: the relay drops their bytes.
// If newConnectionsToo is true, new connections are dead too, until a test calls stopKilling.
func (r *relay) killConnections(newConnectionsToo bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killNewConnections = newConnectionsToo
	for _, c := range r.conns {
		c.dead.Store(true)
	}
}

// relay.countOpenConnections returns the number of open connections through the relay.
func (r *relay) countOpenConnections() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		if !c.closedByPeer.Load() {
			n++
		}
	}
	return n
}

// relay.stopKilling makes the relay forward the bytes of new connections again. Connections that
// are already dead stay dead.
func (r *relay) stopKilling() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killNewConnections = false
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_, _ = c.near.Close(), c.far.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// newRelayLab returns a test environment (type lab) with a relay between the faultProxy and the
// issuer.
func newRelayLab(t testing.TB, p protocol) *lab {
	t.Helper()
	l := newLabOf(t, p)
	l.relay = newRelay(t, l.serve())
	l.faultProxy.forwardTo(l.relay.addr)
	return l
}

// deadFaults contains the faults in which connections to the issuer die silently.
func deadFaults() []fault {
	return []fault{
		{name: "open connections are dead, new ones work", newLab: newRelayLab, newConnectionsWork: true, beginFault: func(l *lab) {
			l.relay.killConnections(false)
		}, stopFault: func(*lab) {}},
		{name: "nothing arrives; then new connections work", newLab: newRelayLab, beginFault: func(l *lab) {
			l.relay.killConnections(true)
		}, stopFault: func(l *lab) { l.relay.stopKilling() }},
	}
}

// lab.openManyConnections makes an API open many connections to the issuer. With HTTP/2 the API
// opens only one connection, because this connection carries all calls.
func (l *lab) openManyConnections(a *api) {
	l.issuer.Slow(200 * time.Millisecond)
	defer l.issuer.Slow(0)
	var all sync.WaitGroup
	for n := range 50 {
		token := l.opaque(fmt.Sprint("fill", n))
		all.Go(func() { a.expect(token, "200") })
	}
	all.Wait()
}
