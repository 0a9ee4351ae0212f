package proxies

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An answer is the response that the client got through a proxy.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// env.sendRaw sends the bytes of requestText to the proxy and reads one response. method is the
// method of the request in requestText.
func (e *env) sendRaw(method, requestText string) (a answer, err error) {
	c, err := net.DialTimeout("tcp", e.addr, 5*time.Second)
	if err != nil {
		return a, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(c, requestText); err != nil {
		return a, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

// env.trySend sends a request with the given header lines, exactly as they are, to the proxy.
// trySend also writes the header fields that every request needs. It returns an error if the proxy
// sends no response.
func (e *env) trySend(method, target, body string, lines ...string) (answer, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: api.example\r\n", method, target)
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	if !strings.Contains(b.String(), "Connection:") {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n" + body)
	return e.sendRaw(method, b.String())
}

// env.send sends a request with the given header lines to the proxy. It fails the test if the proxy
// sends no response.
func (e *env) send(t *testing.T, method, target, body string, lines ...string) answer {
	t.Helper()
	a, err := e.trySend(method, target, body, lines...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// env.get sends a GET request without a body to the proxy. It fails the test if the proxy sends no
// response.
func (e *env) get(t *testing.T, target string, lines ...string) answer {
	t.Helper()
	return e.send(t, http.MethodGet, target, "", lines...)
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// answer.readArrivedRequest returns the request that arrived at the service behind the proxy. The
// service describes this request in the body of its response. If the response does not have status
// 200, the test fails.
func (a answer) readArrivedRequest(t *testing.T) (s arrivedRequest) {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return s
}
