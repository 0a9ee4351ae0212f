package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A keptClient is a client that sends all its requests over one connection, which is kept open.
type keptClient struct {
	conn net.Conn
	in   *bufio.Reader
	text string
}

func newKeptClient(t testing.TB, addr, request string) *keptClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(maxWait))
	return &keptClient{conn, bufio.NewReader(conn), request}
}

// keptClient.sendRequest sends the client's request and reads the response. isLast reports whether
// the response has "Connection: close", so that this was the last response on the connection.
func (k *keptClient) sendRequest() (isLast bool, err error) {
	if _, err := io.WriteString(k.conn, k.text); err != nil {
		return false, err
	}
	return k.readResponse()
}

func (k *keptClient) readResponse() (isLast bool, err error) {
	res, err := http.ReadResponse(k.in, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return false, err
	}
	if res.StatusCode != 200 {
		return false, fmt.Errorf("answered %d", res.StatusCode)
	}
	return res.Close, nil
}

// During the delay of a drain (the setting timeouts.drain_delay), the gateway does not close a
// connection before the client has sent its next request. The response to this request has
// "Connection: close", so the client uses a new connection after it. So no request is lost, also if
// the connection was idle when the drain began.
func TestKeptConnectionsLoseNoRequest(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {drain_delay: 1h}\n"+commonConfig(issuer, service)+asking, nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	var busy, idle []*keptClient
	for i := range 24 {
		addr, request := p.addr("proxy"), "GET /Api/Read HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+"\r\n\r\n"
		if i%3 == 2 {
			addr, request = p.addr("forward_auth"), "GET /verify HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+
				"\r\nX-Original-Method: GET\r\nX-Original-Host: a\r\nX-Original-Uri: /Api/Read\r\n\r\n"
		}
		busy = append(busy, newKeptClient(t, addr, request))
		idle = append(idle, newKeptClient(t, addr, request))
	}
	for _, k := range idle {
		if last, err := k.sendRequest(); last || err != nil {
			t.Fatalf("before the end: last %v, %v", last, err)
		}
	}
	var wg, running sync.WaitGroup
	var ending atomic.Bool
	running.Add(len(busy))
	for i, k := range busy {
		wg.Go(func() {
			untold := 0
			for n := 0; ; n++ {
				after := ending.Load()
				last, err := k.sendRequest()
				if n == 0 {
					running.Done()
				}
				switch {
				case err != nil:
					t.Errorf("client %d lost request %d: %v", i, n, err)
					return
				case last:
					return
				case after:
					untold++
				}
				if untold == 3 {
					t.Errorf("client %d isn't told that its connection ends", i)
					return
				}
			}
		})
	}
	running.Wait()
	p.signal(syscall.SIGTERM)
	p.waitForLog("draining")
	ending.Store(true)
	wg.Wait()
	for i, k := range idle {
		if last, err := k.sendRequest(); !last || err != nil {
			t.Errorf("idle client %d: last %v, %v", i, last, err)
		}
	}
	// During the drain, a load balancer that has not yet seen the status 503 may open a new
	// connection. The gateway accepts it.
	if last, err := newKeptClient(t, busy[0].conn.RemoteAddr().String(), busy[0].text).sendRequest(); !last || err != nil {
		t.Errorf("a new connection: last %v, %v", last, err)
	}
	ready := sendRequest(t, "GET", p.url("admin", "/readyz"), "")
	if ready.status != 503 || ready.body != "draining\n" {
		t.Errorf("%d %s", ready.status, ready.body)
	}
	p.signal(syscall.SIGTERM)
	<-p.exited
	p.waitForLog("ended by a second signal: 0 requests were cut off")
}

// A response that began before the drain has no "Connection: close", so its client may send one
// more request. The gateway still responds to this request.
func TestAnswersThatBeganBeforeTheEnd(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {drain_delay: 3s}\n"+commonConfig(issuer, service), nil)
	release := make(chan struct{})
	service.answers(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begin")
		if r.URL.Path == "/open/slow" {
			_ = http.NewResponseController(w).Flush()
			<-release
			_, _ = io.WriteString(w, "end")
		}
	})
	k := newKeptClient(t, p.addr("proxy"), "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
	_, _ = io.WriteString(k.conn, "GET /open/slow HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := k.in.Peek(len("HTTP/1.1 200")); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGTERM)
	eventually(t, "no more connections", func() bool { return !dials(p.addr("proxy")) })
	close(release)
	if last, err := k.readResponse(); last || err != nil {
		t.Fatalf("last %v, %v", last, err)
	}
	if last, err := k.sendRequest(); !last || err != nil {
		t.Errorf("the next request: last %v, %v", last, err)
	}
	<-p.exited
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func dials(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// A gRPC client, in place of Envoy, asks two gateways whether requests may pass. When one of the
// gateways ends, the client loses no call.
func TestChecksByGRPCAreNotLost(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	config := "timeouts: {drain_delay: 0s}\n" + commonConfig(issuer, service) + "ext_authz: {listen: 127.0.0.1:0}\n"
	first, second := startGateway(t, config, nil), startGateway(t, config, nil)
	gateways := manual.NewBuilderWithScheme("gateways")
	gateways.InitialState(resolver.State{Addresses: []resolver.Address{
		{Addr: first.addr("ext_authz")}, {Addr: second.addr("ext_authz")},
	}})
	conn, err := grpc.NewClient("gateways:///", grpc.WithResolvers(gateways),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	envoy := authv3.NewAuthorizationClient(conn)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for second.lines(`"door":"ext_authz"`, `"outcome":"allowed"`) == 0 {
				ctx, cancel := context.WithTimeout(context.Background(), maxWait)
				_, err := envoy.Check(ctx, checkOf("GET", "/open/x"))
				cancel()
				if err != nil {
					t.Errorf("a check was lost: %v", err)
					return
				}
			}
		})
	}
	first.waitForLog(`"door":"ext_authz"`, `"outcome":"allowed"`)
	first.signal(syscall.SIGTERM)
	<-first.exited
	wg.Wait()
}

func checkOf(method, path string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: method, Host: "a", Path: path, Scheme: "http",
		}},
	}}
}

// When a drain (the orderly end of a gateway) ends, some requests may be cut off. A line of the log
// says how many, and the access log has a line for each of them.
func TestCutOffRequestsAreCounted(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	for n, want := range map[int]string{1: "1 request was cut off", 2: "2 requests were cut off"} {
		p := startGateway(t, "timeouts: {drain: 50ms, drain_delay: 0s}\n"+commonConfig(issuer, service), nil)
		reached := make(chan struct{}, n)
		service.answers(func(_ http.ResponseWriter, r *http.Request) {
			reached <- struct{}{}
			<-r.Context().Done()
		})
		for range n {
			_, _ = io.WriteString(newKeptClient(t, p.addr("proxy"), "").conn, "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		for range n {
			<-reached
		}
		p.signal(syscall.SIGTERM)
		<-p.exited
		written := p.output.String()
		if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(written, want) {
			t.Errorf("exit status %d, without %q", code, want)
		}
		if lines := p.lines(`"msg":"request"`, `"path":"/open/x"`); lines != n {
			t.Errorf("%d lines for %d requests", lines, n)
		}
	}
}

// Every request that got a response has a line in the access log, even if the gateway ends
// immediately afterwards.
func TestNoLineIsLostAtTheEnd(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {drain_delay: 0s}\n"+commonConfig(issuer, service), nil)
	const each, clients = 50, 8
	var wg sync.WaitGroup
	for range clients {
		k := newKeptClient(t, p.addr("proxy"), "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
		wg.Go(func() {
			for range each {
				if _, err := k.sendRequest(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	p.signal(syscall.SIGTERM)
	<-p.exited
	if n := p.lines(`"msg":"request"`); n != each*clients {
		t.Errorf("%d lines for %d requests", n, each*clients)
	}
	if last := strings.TrimSpace(p.output.String()); !strings.HasSuffix(last, `"msg":"stopped"}`) {
		t.Errorf("the last line is %q", last[strings.LastIndexByte(last, '\n')+1:])
	}
}
