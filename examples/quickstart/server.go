package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// shutdownTimeout limits the time that the server needs to stop: it is the longest wait for
// requests that have not ended.
const shutdownTimeout = 10 * time.Second

// serveUntilEnd serves requests on the listener l until ctx ends or l fails. If ctx ends, it closes
// l and waits for the requests that have not ended.
func serveUntilEnd(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		// The check of a token may wait for the issuer. WriteTimeout is longer than this wait.
		WriteTimeout:   30 * time.Second,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 64 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close()
		return err
	}
	return nil
}

// listenOn listens on the address addr. If addr can't be used and anyPort is true, it uses a free
// loopback port instead.
func listenOn(ctx context.Context, addr string, anyPort bool) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil && anyPort {
		l, err = config.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: ADDR is the address to listen on", err)
	}
	return l, nil
}

// baseURL returns the URL with which programs on this machine reach a listener on addr.
func baseURL(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		_, port, _ := net.SplitHostPort(tcp.String())
		return "http://" + net.JoinHostPort("localhost", port)
	}
	return "http://" + addr.String()
}
