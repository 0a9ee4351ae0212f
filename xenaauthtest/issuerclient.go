package xenaauthtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// errRefused says that the test issuer is down or closed. The transport of Issuer.Client replaces
// errRefused by the error that package net returns for a refused connection.
var errRefused = errors.New("xenaauthtest: connection refused")

// Client returns an HTTP client that calls the issuer directly, without a network, also if the
// issuer has a listener. The issuer makes the response in the goroutine of the caller. The client
// follows no redirect. A request fails when its context ends. The client reaches the host and port
// of the issuer identifier, and those of the listener if there is one. A request to another port of
// these hosts fails like a refused connection. A request to another host fails like a request to an
// unknown host.
func (i *Issuer) Client() *http.Client {
	return &http.Client{
		Transport: transport{i},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

// transport is the http.RoundTripper in the client of a test issuer. It calls the issuer directly,
// without a network.
type transport struct{ issuer *Issuer }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if err := t.dial(r.URL); err != nil {
		return nil, err
	}
	reply, err := t.issuer.respond(r)
	if errors.Is(err, errRefused) {
		return nil, refused()
	}
	if err != nil {
		return nil, err
	}
	body := io.Reader(bytes.NewReader(reply.body))
	length := int64(len(reply.body))
	if reply.breakInBody {
		body = io.MultiReader(bytes.NewReader(reply.firstHalf()), brokenReader{})
		length++
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", reply.status, http.StatusText(reply.status)),
		StatusCode:    reply.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        reply.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}, nil
}

// transport.dial returns the error of a client that tries to connect to target, or nil if target is
// a host and port of the test issuer.
func (t transport) dial(target *url.URL) error {
	known := false
	for _, server := range t.issuer.servers {
		if !strings.EqualFold(server.Hostname(), target.Hostname()) {
			continue
		}
		known = true
		if port(server) == port(target) {
			return nil
		}
	}
	if known {
		return refused()
	}
	return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{
		Err: "no such host", Name: target.Hostname(), IsNotFound: true,
	}}
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// brokenReader is the end of the body of a response whose connection breaks in the middle. It
// returns only an error: the bytes that arrived come from another reader before it.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
