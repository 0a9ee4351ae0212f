package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

type server struct {
	net.Listener
	handler http.Handler
}

// serve serves requests of all listeners until ctx ends or a listener fails.
func serve(ctx context.Context, servers ...server) error {
	ended := make(chan error, len(servers))
	var running []*http.Server
	for _, s := range servers {
		h := &http.Server{
			Handler:           s.handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    64 << 10,
			// the end of ctx also ends the event streams
			BaseContext: func(net.Listener) context.Context { return ctx },
		}
		running = append(running, h)
		go func() { ended <- h.Serve(s.Listener) }()
	}
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, h := range running {
		err = errors.Join(err, h.Shutdown(last))
	}
	return err
}

// listen listens on a loopback address. It refuses other addresses, because the walkthrough shows
// tokens, and other machines must not see them.
func listen(addr string) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address", addr)
	}
	return net.ListenTCP("tcp", tcp)
}

func baseURL(l net.Listener) string { return "http://" + l.Addr().String() }
