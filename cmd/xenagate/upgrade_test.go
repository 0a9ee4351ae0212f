package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// service.echoUpgraded is a handler of the service. It switches to the protocol that a request asks
// for, and then sends back what it receives. If a request asks for no upgrade, the response is 200
// without a body.
func (s *service) echoUpgraded(w http.ResponseWriter, r *http.Request) {
	s.last.Store(&seenRequest{Header: r.Header})
	if r.Header.Get("Upgrade") == "" {
		return
	}
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		r.Header.Get("Upgrade"))
	_ = both.Flush()
	_, _ = io.Copy(conn, both)
}

// The gateway forwards a WebSocket connection, and tells the service who the user is. The gateway
// does not forward an upgrade to HTTP/2, because requests on the upgraded connection would reach
// the service without a check.
func TestUpgrades(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	service.answers(service.echoUpgraded)
	conn, err := net.Dial("tcp", p.addr("proxy"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(maxWait))
	_, _ = io.WriteString(conn, "GET /me HTTP/1.1\r\nHost: a\r\n"+
		"Connection: Upgrade, X-Auth-User\r\nUpgrade: websocket\r\n"+
		"X-Auth-User: root\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	service.last.Load().wantField(t, "X-Auth-User", "anna")
	for _, word := range []string{"hello", "again"} {
		_, _ = io.WriteString(conn, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != word {
			t.Fatalf("%q, %v", got, err)
		}
	}
	_ = conn.Close()
	p.waitForLog(`"status":101`, `"sub":"anna"`)

	for _, upgrade := range []string{
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Upgrade: websocket, h2c",
		"Upgrade: h2c\r\nUpgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", "Upgrade: TLS/1.0",
	} {
		a, err := sendBytes(t, p.addr("proxy"), "GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"+
			upgrade+"\r\n\r\n")
		if err != nil || a.status != 200 {
			t.Errorf("%q: %d, %v", upgrade, a.status, err)
		}
		service.last.Load().wantNoField(t, "Upgrade")
		service.last.Load().wantNoField(t, "HTTP2-Settings")
	}
	// If a request that asks for an upgrade has a body, the gateway forwards the request without
	// the upgrade. With the upgrade, the service could read the body as the beginning of the
	// upgraded stream, or as another request.
	for _, request := range []string{
		"GET /open/x HTTP/1.1\r\nContent-Length: 4\r\n%s\r\nbody",
		"GET /open/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n4\r\nbody\r\n0\r\n\r\n",
		"POST /open/x HTTP/1.1\r\nContent-Length: 0\r\n%s\r\n",
	} {
		a, err := sendBytes(t, p.addr("proxy"), fmt.Sprintf(request, "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"))
		if err != nil || a.status != 200 {
			t.Errorf("%q was upgraded: %d, %v", request, a.status, err)
		}
		service.last.Load().wantNoField(t, "Upgrade")
	}
	const old = "GET /open/x HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	// The gateway does not upgrade this request, because HTTP/1.0 has no upgrades (RFC 9110,
	// section 7.8).
	if a, err := sendBytes(t, p.addr("proxy"), old); err != nil || a.status != 200 {
		t.Errorf("HTTP/1.0 was upgraded: %d, %v", a.status, err)
	}
	const nobody = "GET /Api/Read HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	if a, err := sendBytes(t, p.addr("proxy"), nobody); err != nil || a.status != 401 {
		t.Errorf("%d, %v", a.status, err)
	}
}
