package main_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestLimits(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "limits: {header_bytes: 16384, body_bytes: 1000}\n"+commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	post := func(body io.Reader, length int64) answer {
		t.Helper()
		r, err := http.NewRequest("POST", p.url("proxy", "/Api/Write"), body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		r.Header.Set("Authorization", "Bearer "+token)
		return send(t, r)
	}
	for _, n := range []int{1000, 1001} {
		for _, length := range []int64{int64(n), -1} {
			a := post(struct{ io.Reader }{strings.NewReader(strings.Repeat("b", n))}, length)
			want := 200
			if n > 1000 {
				want = 413
			}
			if a.status != want {
				t.Errorf("%d bytes, length %d: %d %s", n, length, a.status, a.body)
			}
		}
	}
	for size, want := range map[int]int{12000: 200, 16384: 200, 16385: 431, 22000: 431} {
		const begin, end = "GET /open/x HTTP/1.1\r\nHost: a\r\nX-Large: ", "\r\n\r\n"
		request := begin + strings.Repeat("x", size-len(begin)-len(end)) + end
		if a, err := sendBytes(t, p.addr("proxy"), request); err != nil || a.status != want {
			t.Errorf("a header of %d bytes: %d, %v, want %d", size, a.status, err, want)
		}
	}
}

// A client sends a large body while the service sends a large response. The two bodies arrive
// complete.
func TestLargeBodies(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	service.answers(func(w http.ResponseWriter, r *http.Request) {
		// The service responds before it has read the body. Without "Connection: close", net/http
		// would read the body before it sends the response.
		w.Header().Set("Connection", "close")
		_, _ = io.Copy(w, r.Body)
	})
	p := startGateway(t, commonConfig(issuer, service), nil)
	body := make([]byte, 8<<20)
	_, _ = rand.Read(body)
	r, _ := http.NewRequest("POST", p.url("proxy", "/open/x"), bytes.NewReader(body))
	if a := send(t, r); a.status != 200 || a.body != string(body) {
		t.Errorf("%d, %d bytes came back", a.status, len(a.body))
	}
}

// A client with "Expect: 100-continue" waits for the response 100 before it sends its body. If the
// request is refused, the client gets the refusal without having sent the body.
func TestRefusedBeforeTheBody(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
	const head = "POST /Api/Write HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
	if a, err := sendBytes(t, p.addr("proxy"), head+"\r\n"); err != nil || a.status != 401 {
		t.Errorf("%d, %v", a.status, err)
	}
	// A client without Expect does not wait for a response before it sends the body. It gets the
	// refusal too, even if it has not sent the body.
	const later = "POST /Api/Write HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
	if a, err := sendBytes(t, p.addr("proxy"), later); err != nil || a.status != 401 {
		t.Errorf("%d, %v", a.status, err)
	}
	conn, err := net.Dial("tcp", p.addr("proxy"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(maxWait))
	_, _ = io.WriteString(conn, head+"Authorization: Bearer "+token+"\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 100 {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.WriteString(conn, "body")
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("%v, %v", res, err)
	}
	if got := service.last.Load().Body; got != "body" {
		t.Errorf("the service got %q", got)
	}
}

// The gateway refuses a request, or the service responds to it, before the whole body has arrived.
// The gateway must never read the rest of the body as another request (request smuggling).
func TestBodyIsNoRequest(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {read: 100ms}\n"+commonConfig(issuer, service), nil)
	service.answers(func(w http.ResponseWriter, _ *http.Request) {
		// Without "Connection: close", the net/http of the service would read the body before it
		// sends the response.
		w.Header().Set("Connection", "close")
		// the service sends this response although it has not read the body
		w.WriteHeader(http.StatusTeapot)
	})
	for path, want := range map[string]int{"/Api/Write": 401, "/open/x": 418} {
		conn, err := net.Dial("tcp", p.addr("proxy"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(maxWait))
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != want || !res.Close {
			t.Fatalf("%s: %v, %v", path, res, err)
		}
		_, _ = io.ReadAll(res.Body)
		// This text, a part of the body, looks like a request. The client sends it twice: once
		// before the gateway stops reading the body, and once after that.
		const smuggled = "GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
		_, _ = io.WriteString(conn, smuggled)
		rest, err := io.ReadAll(in)
		if len(rest) > 0 {
			t.Errorf("%s: the body was answered with %q", path, rest)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays open for as long as the client likes", path)
		}
		_, _ = io.WriteString(conn, smuggled)
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			t.Errorf("%s: the body was answered with %d", path, res.StatusCode)
		}
		_ = conn.Close()
	}
	if p.lines("smuggled") > 0 {
		t.Error("the body was taken for a request")
	}
}

func TestSlowClients(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {header: 200ms, read: 200ms}\n"+commonConfig(issuer, service), nil)
	for _, sent := range []string{"GET /open/x HTTP/1.1\r\nHo",
		"POST /Api/Write HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbo",
		"POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbo"} {
		conn, err := net.Dial("tcp", p.addr("proxy"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(maxWait))
		_, _ = io.WriteString(conn, sent)
		got, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || strings.HasPrefix(sent, "POST /open") && !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
			t.Errorf("%q: %q, %v", sent, got, err)
		}
	}
	p.waitForLog(`"reason":"body"`, `"status":408`)
}

// If a client does not read its response, the gateway breaks off the response.
func TestClientsThatDoNotRead(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	service.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, 64<<20) })
	p := startGateway(t, "timeouts: {write: 200ms}\n"+commonConfig(issuer, service), nil)
	k := newKeptClient(t, p.addr("proxy"), "")
	_, _ = io.WriteString(k.conn, "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
	p.waitForLog(`"reason":"aborted"`, `"path":"/open/x"`)
}

// If a client closes its connection, its request to the service ends. The gateway does not count
// the ended request as a failure of the upstream.
func TestClientGoesAway(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	reached, gone := make(chan struct{}), make(chan struct{})
	service.answers(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(gone)
	})
	conn, err := net.Dial("tcp", p.addr("proxy"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n")
	<-reached
	_ = conn.Close()
	select {
	case <-gone:
	case <-time.After(maxWait):
		t.Fatal(errors.New("the service still works for nobody"))
	}
	p.waitForLog(`"reason":"client_gone"`)
	if m := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body; strings.Contains(m, "xenagate_upstream_failures_total{") {
		t.Error("it counts as a failure of the service")
	}
}

// A client that uses HTTP/1.0 gets no 1xx response, because it would take a 1xx response for the
// final response.
func TestInformationalAnswers(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	service.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "done")
	})
	p := startGateway(t, commonConfig(issuer, service), nil)
	for version, want := range map[string]int{"1.0": 200, "1.1": 103} {
		a, err := sendBytes(t, p.addr("proxy"), "GET /open/x HTTP/"+version+"\r\nHost: a\r\n\r\n")
		if err != nil || a.status != want {
			t.Errorf("HTTP/%s: %d, %v", version, a.status, err)
		}
	}
}

// If the service responds before it has read the whole body, the gateway ends the request with the
// status of this response, even if the client never sends the rest of the body.
func TestAnAnswerBeforeTheEndOfTheBody(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, "timeouts: {read: 1h}\n"+commonConfig(issuer, service), nil)
	service.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	k := newKeptClient(t, p.addr("proxy"), "")
	_, _ = io.WriteString(k.conn, "POST /open/early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbeginning")
	p.waitForLog(`"path":"/open/early"`, `"status":409`)
}
