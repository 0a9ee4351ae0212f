package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The function play turns this process into one of the measured programs, or into the service
// behind them. It first prints the address on which that program listens.
func play(role, target string) error {
	var handler http.Handler
	switch role {
	case "service":
		handler = service(512)
	case "empty": // this program is a server for forward-auth that always responds with 200
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Length", "0")
		})
	case "bare":
		to, err := url.Parse(target)
		if err != nil {
			return err
		}
		handler = bare(to)
	default:
		return fmt.Errorf("no role %q", role)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// The function service returns the handler of the service behind the proxies. It responds with JSON
// text of the given size in bytes.
func service(size int) http.Handler {
	body := []byte(`{"text":"` + strings.Repeat("x", size-11) + `"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}

// The function bare returns the reverse proxy that xenagate is compared with: httputil.ReverseProxy
// with its defaults, and with as many idle connections as xenagate keeps.
func bare(to *url.URL) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 256
	transport.DisableCompression = true
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
		},
	}
}
