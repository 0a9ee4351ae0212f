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

// A faultProxy is a TCP proxy that injects faults between the API and the issuer. Each faultProxy
// has its own address. Each change of its settings closes all connections through it, as a load
// balancer does when it is reconfigured.
type faultProxy struct {
	t    testing.TB
	addr string

	mu       sync.Mutex
	upstream string
	// The field proxy is the running proxy of Toxiproxy that forwards the connections. It is nil
	// while the faultProxy refuses connections, because no such proxy runs then.
	proxy *toxiproxy.Proxy
}

var faultProxies atomic.Int32

// newFaultProxy reserves an address for a faultProxy in front of the issuer. While the faultProxy
// refuses connections, its port is free, and another program on the same IP address could take the
// port. So each faultProxy gets its own loopback address, if the system has several.
func newFaultProxy(t testing.TB) *faultProxy {
	t.Helper()
	n := faultProxies.Add(1)
	host := fmt.Sprintf("127.%d.%d.%d", 10+os.Getpid()%200, n/200, 1+n%200)
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", host+":0")
	if err != nil {
		l, err = config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	g := &faultProxy{t: t, addr: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.shut)
	return g
}

func (g *faultProxy) url() string { return "http://" + g.addr }

// faultProxy.forwardTo makes the faultProxy accept connections and forward them to the address
// upstream.
func (g *faultProxy) forwardTo(upstream string) {
	g.mu.Lock()
	g.upstream = strings.TrimPrefix(upstream, "http://")
	g.mu.Unlock()
	g.open()
}

// faultProxy.open makes the faultProxy accept connections and injects the given faults into them.
// Each string in toxics is a fault in the JSON form of toxiproxy, the library that injects it.
func (g *faultProxy) open(toxics ...string) {
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

// faultProxy.shut makes the faultProxy close all connections and refuse new ones.
func (g *faultProxy) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.proxy != nil {
		g.proxy.Stop()
		g.proxy = nil
	}
}
