package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Each piece of a response reaches the client before the service sends the next piece. The test
// requires this for responses with a known and with an unknown length, and for the content types of
// server-sent events and of gRPC.
func TestPiecesArriveOneByOne(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	next := make(chan string)
	service.answers(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open/sized" {
			w.Header().Set("Content-Length", "24")
		} else {
			w.Header().Set("Content-Type", r.Header.Get("Accept"))
		}
		// the service sends the header before it sends any piece of the body
		_ = http.NewResponseController(w).Flush()
		for piece := range next {
			if piece == "" {
				return
			}
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
	p := startGateway(t, commonConfig(issuer, service), nil)
	for path, kind := range map[string]string{
		"/open/events": "text/event-stream", "/open/chunked": "application/json", "/open/grpc": "application/grpc",
		"/open/sized": "",
	} {
		r, _ := http.NewRequest("GET", p.url("proxy", path), nil)
		r.Header.Set("Accept", kind)
		// The method Do returns when the header of the response has arrived. At that time the
		// service has not sent any piece of the body yet.
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(res.Body)
		for i := range 3 {
			want := fmt.Sprintf("piece %d\n", i)
			next <- want
			if got, err := in.ReadString('\n'); got != want || err != nil {
				t.Errorf("%s: %q, %v", path, got, err)
			}
		}
		next <- ""
		if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q, %v", path, rest, err)
		}
		_ = res.Body.Close()
	}
}

// Request and response are streams at the same time: the service responds to each piece of the
// request's body before the client sends the next piece.
func TestPiecesInBothDirections(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	service.answers(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, strings.ToUpper(line))
			_ = control.Flush()
		}
	})
	p := startGateway(t, commonConfig(issuer, service), nil)
	out, in := io.Pipe()
	r, _ := http.NewRequest("POST", p.url("proxy", "/open/echo"), out)
	r.Header.Set("Content-Type", "application/grpc-web")
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	echoed := bufio.NewReader(res.Body)
	for i := range 3 {
		_, _ = fmt.Fprintf(in, "piece %d\n", i)
		if got, err := echoed.ReadString('\n'); got != fmt.Sprintf("PIECE %d\n", i) || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	_ = in.Close()
	if rest, err := io.ReadAll(echoed); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}
