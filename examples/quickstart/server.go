package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// grace is how long requests under way may take once the server is told to stop.
const grace = 10 * time.Second

// serve answers on l until ctx ends, and then what is under way. It closes l.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // longer than a token check waits for the issuer
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close()
		return err
	}
	return nil
}

// listen opens addr, or any free loopback port if there is none to be had and it doesn't matter which.
func listen(ctx context.Context, addr string, anyPort bool) (net.Listener, error) {
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

// baseURL is where this machine reaches what listens at addr.
func baseURL(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		_, port, _ := net.SplitHostPort(tcp.String())
		return "http://" + net.JoinHostPort("localhost", port)
	}
	return "http://" + addr.String()
}
