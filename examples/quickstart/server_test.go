package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
)

// closeListener is a listener that tells a test when it is closed. It does so through a channel.
type closeListener struct {
	net.Listener
	closed chan struct{}
	once   sync.Once
}

func (l *closeListener) Close() error {
	defer l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// TestServeFinishes stops the server while the server handles a request. The client must still get
// the response.
func TestServeFinishes(t *testing.T) {
	inner, err := listenOn(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	l := &closeListener{Listener: inner, closed: make(chan struct{})}
	entered := make(chan struct{})
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveUntilEnd(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-l.closed
			if r.Context().Err() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}))
	}()
	go func() {
		<-entered
		interrupt()
	}()
	if response, _ := sendGet(t, baseURL(l.Addr()), ""); response.StatusCode != http.StatusOK {
		t.Errorf("status %s", response.Status)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeFails(t *testing.T) {
	l, err := listenOn(t.Context(), "127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := serveUntilEnd(t.Context(), l, http.NotFoundHandler()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestBaseURL(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"127.0.0.1:80", "http://127.0.0.1:80"},
		{"[::1]:80", "http://[::1]:80"},
		{"0.0.0.0:80", "http://localhost:80"},
		{"[::]:80", "http://localhost:80"},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := baseURL(addr); got != c.want {
			t.Errorf("%s: %s", c.addr, got)
		}
	}
}

func TestAbridged(t *testing.T) {
	for _, c := range []struct{ challenge, want string }{
		{``, ``},
		{`Bearer realm="xena"`, `Bearer`},
		{`Bearer realm="xena", scope="a b"`, `Bearer scope="a b"`},
		{`Bearer realm="xena", error="invalid_token", error_description="No, never."`, `Bearer error="invalid_token"`},
		{`Bearer realm="xena", error="e", error_description="No, never.", scope="a"`, `Bearer error="e", scope="a"`},
		{`DPoP realm="xena", error="e", scope="a", algs="ES256 RS256"`, `DPoP error="e", scope="a"`},
	} {
		if got := shortenChallenge([]string{c.challenge}); got != c.want {
			t.Errorf("%s: %s", c.challenge, got)
		}
	}
	two := []string{`Bearer realm="xena"`, `DPoP realm="xena", error="e"`}
	if got := shortenChallenge(two); got != `DPoP error="e"` {
		t.Errorf("two challenges: %s", got)
	}
}
