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

// playRole turns this process into one of the measured programs, or into the service behind them.
// It first prints the address on which the program listens.
func playRole(role, target string) error {
	var handler http.Handler
	switch role {
	case "service":
		handler = serviceHandler(512)
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
		handler = bareProxy(to)
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

// serviceHandler returns the handler of the service behind the proxies. The handler responds with
// JSON text of the given size in bytes.
func serviceHandler(size int) http.Handler {
	body := []byte(`{"text":"` + strings.Repeat("x", size-11) + `"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
}

// bareProxy returns the reverse proxy that xenagate is compared with: httputil.ReverseProxy with
// its defaults, and with as many idle connections as xenagate keeps.
func bareProxy(to *url.URL) http.Handler {
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
