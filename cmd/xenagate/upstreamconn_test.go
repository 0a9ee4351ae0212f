package main_test

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A balancer is a load balancer between the gateway and a service. When the balancer fails, the
// open connections stay open, but transport no more bytes. New connections work.
type balancer struct {
	net.Listener
	serviceAddr string
	mu          sync.Mutex
	// closing this channel makes the open connections dead: they stay open, but transport no more
	// bytes
	deathSignal chan struct{}
	// if refusesBytes is true, dead connections also read no more bytes from their senders
	refusesBytes    bool
	connectionCount atomic.Int64
}

func newBalancer(t testing.TB, to string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{Listener: l, serviceAddr: to, deathSignal: make(chan struct{})}
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.connectionCount.Add(1)
			conns.Go(func() { b.forwardBytes(ctx, conn) })
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); conns.Wait() })
	return b
}

// balancer.killConnections makes all open connections of the load balancer dead: they stay open,
// but transport no more bytes.
func (b *balancer) killConnections() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.deathSignal)
	b.deathSignal = make(chan struct{})
}

// balancer.forwardBytes forwards bytes in both directions between one client of the load balancer
// and the service, until the connection fails or the test ends.
func (b *balancer) forwardBytes(ctx context.Context, client net.Conn) {
	b.mu.Lock()
	deathSignal := b.deathSignal
	b.mu.Unlock()
	service, err := net.Dial("tcp", b.serviceAddr)
	if err != nil {
		_ = client.Close()
		return
	}
	var both sync.WaitGroup
	end := context.AfterFunc(ctx, func() { _ = client.Close(); _ = service.Close() })
	defer end()
	copyBytes := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			select {
			case <-deathSignal:
				if b.refusesBytes {
					<-ctx.Done()
					return
				}
				if err != nil {
					// The load balancer has a connection to a client and one to the service. One of
					// the two connections was closed. The load balancer does not close the second
					// one, so this one is now dead: it is open, but no bytes arrive on it.
					return
				}
				continue
			default:
			}
			if err == nil {
				_, err = to.Write(buffer[:n])
			}
			if err != nil {
				_ = to.Close()
				return
			}
		}
	}
	both.Go(func() { copyBytes(service, client) })
	both.Go(func() { copyBytes(client, service) })
	both.Wait()
}

// viaBalancer returns a load balancer in front of a service, and the configuration of a gateway
// that reaches the service through it.
func viaBalancer(t testing.TB, s *service, timeouts string) (*balancer, string) {
	t.Helper()
	scheme, addr, _ := strings.Cut(s.URL, "://")
	b := newBalancer(t, addr)
	return b, timeouts + strings.ReplaceAll(commonConfig(newIssuer(t), s), s.URL, scheme+"://"+b.Addr().String())
}

// fillPool sends n requests at the same time, so that the gateway opens n connections to the
// service. The gateway keeps them open.
func fillPool(t testing.TB, p *process, s *service, n int) {
	t.Helper()
	all := make(chan struct{})
	var arrived atomic.Int64
	s.answers(func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == int64(n) {
			close(all)
		}
		<-all
	})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			res, err := client.Get(p.url("proxy", "/open/x"))
			if err != nil || res.StatusCode != 200 {
				t.Errorf("%v, %v", res, err)
				return
			}
			_ = res.Body.Close()
		})
	}
	wg.Wait()
	s.answers(func(http.ResponseWriter, *http.Request) {})
}

// sendUntilAnswered sends a request every 200 ms until a response with the status 200 arrives. It
// returns how many requests it sent.
func sendUntilAnswered(t testing.TB, url string) (n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	answered := make(chan struct{}, 1)
	timeout := time.After(maxWait)
	for {
		n++
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
			res, err := client.Do(r)
			if err != nil {
				return
			}
			_ = res.Body.Close()
			if res.StatusCode == 200 {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		})
		select {
		case <-answered:
			return n
		// if no response has arrived in this time, the loop sends the next request
		case <-time.After(200 * time.Millisecond):
		case <-timeout:
			t.Fatalf("%d requests, and none was answered", n)
		}
	}
}

// Several connections to the service are dead. After one request on such a connection has timed
// out, the gateway uses none of the other dead connections.
func TestDeadConnectionsAfterATimeout(t *testing.T) {
	service := newService(t)
	b, config := viaBalancer(t, service, "timeouts: {response_header: 1900ms}\n")
	p := startGateway(t, config, nil)
	fillPool(t, p, service, 20)
	b.killConnections()
	lost := 0
	for range 20 {
		switch a := sendRequest(t, "GET", p.url("proxy", "/open/x"), ""); a.status {
		case 200:
		case 504:
			lost++
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if lost != 1 {
		t.Errorf("%d requests were lost, want 1", lost)
	}
}

// The timeout of the gateway for a response may be long. The gateway notices dead connections
// earlier, and then sends requests on new connections.
func TestDeadConnectionsBeforeTheTimeout(t *testing.T) {
	service := newService(t)
	b, config := viaBalancer(t, service, "timeouts: {response_header: 1h}\n")
	p := startGateway(t, config, nil)
	const pool = 60
	fillPool(t, p, service, pool)
	b.killConnections()
	if n := sendUntilAnswered(t, p.url("proxy", "/open/x")); n >= pool {
		t.Errorf("the whole pool of %d dead connections was tried", n)
	}
}

// newHTTP2Service starts a service that uses HTTP/2. The gateway trusts the certificate of this
// service.
func newHTTP2Service(t *testing.T) *service {
	t.Helper()
	service := &service{}
	service.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	service.EnableHTTP2 = true
	service.StartTLS()
	t.Cleanup(service.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw}
	if err := os.WriteFile(authority, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", authority)
	return service
}

// All requests of the gateway to an upstream share one HTTP/2 connection. If this connection is
// dead, the gateway notices it with a ping.
func TestDeadConnectionOfHTTP2(t *testing.T) {
	b, config := viaBalancer(t, newHTTP2Service(t), "timeouts: {response_header: 1h}\n")
	p := startGateway(t, config, nil)
	if a := sendRequest(t, "GET", p.url("proxy", "/open/x"), ""); a.body != "HTTP/2.0" {
		t.Fatalf("the service should speak HTTP/2: %s", a.body)
	}
	b.killConnections()
	sendUntilAnswered(t, p.url("proxy", "/open/x"))
	// The gateway opens a new connection in place of the dead one. Until the TLS handshake ends, it
	// does not know whether the connection speaks HTTP/2, so requests can't share it yet. Each
	// request that begins in this time may open one more connection.
	if n := b.connectionCount.Load(); n < 2 || n > 4 {
		t.Errorf("%d connections were opened", n)
	}
}

// The gateway sends one request on a dead HTTP/2 connection, and no other request follows. The
// client still gets a response.
func TestOneRequestOnADeadConnectionOfHTTP2(t *testing.T) {
	b, config := viaBalancer(t, newHTTP2Service(t), "timeouts: {response_header: 1h}\n")
	p := startGateway(t, config, nil)
	sendRequest(t, "GET", p.url("proxy", "/open/x"), "")
	b.killConnections()
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", p.url("proxy", "/open/x"), nil)
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 && res.StatusCode != 502 {
		t.Errorf("%d", res.StatusCode)
	}
}

// A request with a large body ends even if it is sent on a dead connection, which accepts no more
// bytes of the body.
func TestDeadConnectionWithABody(t *testing.T) {
	service := newService(t)
	b, config := viaBalancer(t, service, "timeouts: {response_header: 2s}\n")
	b.refusesBytes = true
	p := startGateway(t, config, nil)
	fillPool(t, p, service, 1)
	b.killConnections()
	r, _ := http.NewRequest("POST", p.url("proxy", "/open/x"), io.LimitReader(zeros{}, 64<<20))
	// When the response arrives, the client is still sending the body of its request, so Do may
	// return an error.
	if res, err := client.Do(r); err == nil {
		_ = res.Body.Close()
	}
	p.waitForLog(`"status":504`, `"reason":"upstream_timeout"`)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
