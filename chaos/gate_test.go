package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A gate is a TCP proxy that injects faults between the API and the issuer. A gate has its own
// address. Each change of a gate closes all connections through the gate, as a load balancer does
// when it is reconfigured.
type gate struct {
	t    testing.TB
	addr string

	mu       sync.Mutex
	upstream string
	proxy    *toxiproxy.Proxy // proxy is nil while the gate refuses connections
}

var gates atomic.Int32

// newGate reserves an address for a gate, the TCP proxy in front of the issuer. If the system has
// several loopback addresses, each gate gets a different address, so that no other program takes
// the port while the gate refuses connections.
func newGate(t testing.TB) *gate {
	t.Helper()
	n := gates.Add(1)
	host := fmt.Sprintf("127.%d.%d.%d", 10+os.Getpid()%200, n/200, 1+n%200)
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", host+":0")
	if err != nil {
		l, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, addr: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.shut)
	return g
}

func (g *gate) url() string { return "http://" + g.addr }

// gate.lead sets the address to which the gate forwards its connections, and makes the gate accept
// connections.
func (g *gate) lead(upstream string) {
	g.mu.Lock()
	g.upstream = strings.TrimPrefix(upstream, "http://")
	g.mu.Unlock()
	g.open()
}

// gate.open makes the gate accept connections and injects the faults toxics. A toxic is a fault of
// the program toxiproxy, written as in its API.
func (g *gate) open(toxics ...string) {
	g.shut()
	g.mu.Lock()
	defer g.mu.Unlock()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, "issuer", g.addr, g.upstream)
	for _, text := range toxics {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			g.t.Error(err)
		}
	}
	if err := proxy.Start(); err != nil {
		g.t.Error(err)
		return
	}
	g.proxy = proxy
}

// gate.shut makes the gate, a TCP proxy in front of the issuer, refuse connections.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxy != nil {
		g.proxy.Stop()
		g.proxy = nil
	}
}
