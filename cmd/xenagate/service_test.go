package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A seenRequest is a request as the service behind the gateway received it.
type seenRequest struct {
	Method, Host, URI string
	Header, Trailer   http.Header
	Body              string
}

// A service is an upstream of the gateway, and stores the last request that it received. If it has
// a hook, the hook must store the request.
type service struct {
	*httptest.Server
	n atomic.Int64
	// if hook contains a function, this function writes the response of the service, in place of
	// the default response
	hook atomic.Pointer[http.HandlerFunc]
	last atomic.Pointer[seenRequest]
}

func newService(t testing.TB) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.n.Add(1)
		if h := s.hook.Load(); h != nil {
			(*h)(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		now := &seenRequest{r.Method, r.Host, r.RequestURI, r.Header, r.Trailer, string(body)}
		s.last.Store(now)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(now)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) answers(h http.HandlerFunc) { s.hook.Store(&h) }

// An answer is the response that a client got from the gateway.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) seen(t testing.TB) seenRequest {
	t.Helper()
	var s seenRequest
	if a.status != http.StatusOK {
		t.Fatalf("%d: %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return s
}

func (a answer) reason() string {
	var p struct{ Reason string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Reason
}

// sendRequest sends a request with a token and with header fields. Each header field has the form
// "Name: value". If the token is "", the request has no token.
func sendRequest(t testing.TB, method, url, token string, fields ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header[name] = append(r.Header[name], value)
		}
	}
	return send(t, r)
}

var client = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	Timeout:   maxWait,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

func send(t testing.TB, r *http.Request) answer {
	t.Helper()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// sendBytes sends the bytes of request unchanged to the address addr, and reads one response.
func sendBytes(t testing.TB, addr, request string) (answer, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(maxWait))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}, err
	}
	body, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, nil
}

func newIssuer(t testing.TB) *xenaauthtest.Issuer {
	t.Helper()
	issuer := xenaauthtest.StartIssuer(nil)
	t.Cleanup(issuer.Close)
	return issuer
}

// commonConfig returns the configuration of the gateway that most tests use.
func commonConfig(issuer *xenaauthtest.Issuer, s *service) string {
	return `listen: 127.0.0.1:0
tokens: {issuer: "` + issuer.URL() + `", audiences: [testapi]}
upstreams:
  - {name: api, url: "` + s.URL + `"}
admin: {listen: 127.0.0.1:0}
routes:
  rules:
    - {route: GET /Api/Read, scopes: [testapi]}
    - {route: GET /Api/Admin, scopes: [admin]}
    - {route: /Api/Write, scopes: [testapi]}
    - {route: GET /me, access: user}
    - {route: GET /news, access: optional}
    - {route: /open/, access: public}
    - {route: /open/closed, access: deny}
`
}
