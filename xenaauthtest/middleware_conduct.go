package xenaauthtest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// testConduct tests that a guard leaves the behavior of handlers and connections unchanged.
func (s *middlewareSuite) testConduct(t *testing.T) {
	t.Run("methods", s.testMethods)
	t.Run("panicking handler", s.testPanic)
	t.Run("streaming", s.testStreaming)
	t.Run("cancellation", s.testCancellation)
	t.Run("upgrade by http.Hijacker", func(t *testing.T) {
		s.testUpgrade(t, func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			hijacker, ok := w.(http.Hijacker)
			if !ok {
				t.Errorf("a %T is no http.Hijacker behind the guard", w)
				return nil, nil, http.ErrNotSupported
			}
			return hijacker.Hijack()
		})
	})
	t.Run("upgrade by http.ResponseController", func(t *testing.T) {
		s.testUpgrade(t, func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		})
	})
}

// oneRoute returns the routes of a test: only one route, which requires the scope "a".
func oneRoute(method string, serve func(http.ResponseWriter, *http.Request, *xenaauth.User, bool)) []Guarded {
	return []Guarded{{Method: method, Path: "/", Require: []xenaauth.Requirement{xenaauth.AllScopes("a")}, Serve: serve}}
}

func (s *middlewareSuite) testMethods(t *testing.T) {
	var routes []Guarded
	for _, method := range []string{http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodDelete} {
		routes = append(routes, oneRoute(method, greetUser)...)
	}
	m := s.start(t, xenaauth.Options{}, routes)
	bodiless := func(a answer) answer { a.body = ""; return a }
	a := bearerToken(s.token("a"))
	posted := passedAnswer("ann")
	posted.body += ", the body"
	s.run(t, m, []exchange{
		{name: "HEAD, no token", method: http.MethodHead, path: "/", want: bodiless(noTokenAnswer("a"))},
		{name: "HEAD, no scope", method: http.MethodHead, path: "/", authorization: bearerToken(s.token()), want: bodiless(noScopeAnswer("a"))},
		{name: "HEAD, outage", method: http.MethodHead, path: "/", authorization: bearerToken(tokenOutage), want: bodiless(outageAnswer("90"))},
		{name: "HEAD, allowed", method: http.MethodHead, path: "/", authorization: a, want: bodiless(passedAnswer("ann"))},
		{name: "OPTIONS, no token", method: http.MethodOptions, path: "/", want: noTokenAnswer("a")},
		{name: "OPTIONS, allowed", method: http.MethodOptions, path: "/", authorization: a, want: passedAnswer("ann")},
		{name: "POST, no token", method: http.MethodPost, path: "/", body: ", the body", want: noTokenAnswer("a")},
		{name: "POST, allowed", method: http.MethodPost, path: "/", authorization: a, body: ", the body", want: posted},
		{name: "DELETE, no token", method: http.MethodDelete, path: "/", want: noTokenAnswer("a")},
		{name: "DELETE, allowed", method: http.MethodDelete, path: "/", authorization: a, want: passedAnswer("ann")},
	})
}

// testPanic tests that the panic of a handler comes out of the framework with the same value, and
// that the next requests get their responses.
func (s *middlewareSuite) testPanic(t *testing.T) {
	boom := &struct{ string }{"boom"}
	m := s.start(t, xenaauth.Options{}, oneRoute(http.MethodPost, func(w http.ResponseWriter, r *http.Request, u *xenaauth.User, ok bool) {
		if r.URL.RawQuery == "boom" {
			panic(boom)
		}
		greetUser(w, r, u, ok)
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.server.URL+"/?boom", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = bearerToken(s.token("a"))
	resp, err := m.server.Client().Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("a handler panicked and the client is answered %d", resp.StatusCode)
	}
	if _, _, panicked := m.reset(); panicked != boom {
		t.Errorf("the panic that comes out is %v, not the handler's", panicked)
	}
	s.run(t, m, []exchange{
		{name: "afterwards, no token", method: http.MethodPost, path: "/", want: noTokenAnswer("a")},
		{name: "afterwards, allowed", method: http.MethodPost, path: "/", authorization: bearerToken(s.token("a")), want: passedAnswer("ann")},
	})
}

// testStreaming tests that the client gets flushed bytes while the handler still runs.
func (s *middlewareSuite) testStreaming(t *testing.T) {
	read := make(chan struct{})
	m := s.start(t, xenaauth.Options{}, oneRoute(http.MethodGet, func(w http.ResponseWriter, r *http.Request, _ *xenaauth.User, _ bool) {
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Errorf("a %T is no http.Flusher behind the guard", w)
			return
		}
		rc := http.NewResponseController(w)
		if err := rc.SetWriteDeadline(time.Now().Add(maxWait)); err != nil {
			t.Errorf("SetWriteDeadline through http.ResponseController: %v", err)
		}
		_, _ = io.WriteString(w, "one\n")
		flusher.Flush()
		select {
		case <-read:
		case <-r.Context().Done():
			return
		}
		_, _ = io.WriteString(w, "two\n")
		if err := rc.Flush(); err != nil {
			t.Errorf("Flush through http.ResponseController: %v", err)
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = bearerToken(s.token("a"))
	resp, err := m.server.Client().Do(req)
	if err != nil {
		t.Fatalf("nothing arrives before the handler ends: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); line != "one\n" {
		t.Errorf("what was flushed first does not arrive: %q, %v", line, err)
	}
	close(read)
	if rest, err := io.ReadAll(lines); string(rest) != "two\n" || err != nil {
		t.Errorf("after the first flush arrive %q, %v, want %q", rest, err, "two\n")
	}
}

// testCancellation tests that the context of a handler ends when the client closes the connection.
func (s *middlewareSuite) testCancellation(t *testing.T) {
	started, ended := make(chan struct{}), make(chan error, 1)
	m := s.start(t, xenaauth.Options{}, oneRoute(http.MethodGet, func(_ http.ResponseWriter, r *http.Request, _ *xenaauth.User, _ bool) {
		close(started)
		outer, ok := r.Context().Value(serverContextKey{}).(context.Context)
		if !ok {
			ended <- nil
			return
		}
		<-outer.Done()
		// When the server's context of the request ends, a context that is derived from it also
		// ends, but perhaps a little later.
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			ended <- r.Context().Err()
		case <-timer.C:
			ended <- nil
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = bearerToken(s.token("a"))
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		if resp, err := m.server.Client().Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	select {
	case <-started:
	case <-failed:
		t.Fatal("the request ended before its handler ran")
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("the client hung up, and the handler's context says %v", err)
	}
	<-failed
}

// testUpgrade tests that a handler can switch the connection to another protocol, as for WebSocket.
func (s *middlewareSuite) testUpgrade(t *testing.T, hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)) {
	m := s.start(t, xenaauth.Options{}, oneRoute(http.MethodGet, func(w http.ResponseWriter, _ *http.Request, user *xenaauth.User, _ bool) {
		conn, stream, err := hijack(w)
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = stream.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = stream.Flush()
		line, _ := stream.ReadString('\n')
		_, _ = stream.WriteString(user.Subject() + " said " + line)
		_ = stream.Flush()
	}))
	upgrade := func(authorization string) (*http.Response, *bufio.Reader, net.Conn) {
		conn, err := net.DialTimeout("tcp", m.server.Listener.Addr().String(), maxWait)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(maxWait))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: api.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"+authorization+"\r\n")
		stream := bufio.NewReader(conn)
		resp, err := http.ReadResponse(stream, nil)
		if err != nil {
			t.Fatalf("no response to an upgrade: %v", err)
		}
		return resp, stream, conn
	}
	resp, stream, conn := upgrade("Authorization: Bearer " + s.token("a") + "\r\n")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("an upgrade is answered %d, want 101", resp.StatusCode)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if got, err := io.ReadAll(stream); strings.TrimSpace(string(got)) != "ann said hello" {
		t.Errorf("behind the upgrade arrives %q, %v", got, err)
	}
	m.reset()
	resp, _, _ = upgrade("")
	body, _ := io.ReadAll(resp.Body)
	noTokenAnswer("a").compare(t, http.MethodGet, resp, string(body))
	if served, _, _ := m.reset(); served != 0 {
		t.Errorf("an upgrade without a token reaches the handler")
	}
}
