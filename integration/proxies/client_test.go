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

// answer is the response that the client got.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// The method raw sends bytes to the proxy and reads one response. The request in these bytes must
// have the given method.
func (e *env) raw(method, request string) (a answer, err error) {
	c, err := net.DialTimeout("tcp", e.addr, 5*time.Second)
	if err != nil {
		return a, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(c, request); err != nil {
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

// The method try sends a request with these header lines exactly as they are. It returns an error
// if the proxy sends no response.
func (e *env) try(method, target, body string, lines ...string) (answer, error) {
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
	return e.raw(method, b.String())
}

// The method do calls try and fails the test if the proxy sends no response.
func (e *env) do(t *testing.T, method, target, body string, lines ...string) answer {
	t.Helper()
	a, err := e.try(method, target, body, lines...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// The method get calls do with the method GET.
func (e *env) get(t *testing.T, target string, lines ...string) answer {
	t.Helper()
	return e.do(t, http.MethodGet, target, "", lines...)
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// The method seen returns the description of the request that arrived at the service.
func (a answer) seen(t *testing.T) (s seen) {
	t.Helper()
	if a.Status != http.StatusOK {
		t.Fatalf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return s
}
