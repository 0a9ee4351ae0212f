package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
)

// servers are the listeners and what serves them.
type servers struct {
	gateway *gateway
	http    []*httpServer // the listeners for clients and for proxies that ask
	admin   *httpServer   // nil without admin. It serves until all others have ended
	grpc    *grpcServer   // nil without ext_authz
	ended   chan error    // the error of a server that ends by itself
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

type httpServer struct {
	*http.Server
	name     string
	listener net.Listener
	write    time.Duration // bounds each piece of a response
	idle     lateIdle
}

type grpcServer struct {
	*grpc.Server
	address  string
	listener net.Listener
}

// accepting returns the listener. Unless net/http has a timeout for responses, connections have the
// one of the gateway.
func (h *httpServer) accepting() net.Listener {
	if h.WriteTimeout > 0 {
		return h.listener
	}
	return &clientListener{Listener: h.listener, timeout: h.write}
}

// newServers makes what the listeners serve. It opens no listener. The error lists all mistakes in
// the configuration of the listeners.
func newServers(g *gateway) (*servers, error) {
	s := &servers{gateway: g, ended: make(chan error, 4)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	own := newEndpoints(g.cfg, g.identity, g.validator)
	var errs []error
	if g.cfg.Listen != "" {
		s.http = append(s.http, s.newHTTPServer(ctx, "proxy", g.cfg.Listen, newProxy(g, own).serve))
	}
	if g.cfg.ForwardAuth != nil {
		f, err := newForwardAuth(g, own)
		errs = append(errs, err)
		s.http = append(s.http, s.newHTTPServer(ctx, "forward_auth", g.cfg.ForwardAuth.Listen, f.serve))
	}
	if g.cfg.ExtAuthz != nil {
		server, err := newExtAuthz(g)
		errs = append(errs, err)
		s.grpc = &grpcServer{Server: server, address: g.cfg.ExtAuthz.Listen}
	}
	if g.cfg.Admin != nil {
		s.admin = newHTTPServer(ctx, g, "admin", g.cfg.Admin.Listen, newAdmin(g))
		s.admin.ReadTimeout, s.admin.WriteTimeout = g.cfg.Timeouts.Read, g.cfg.Timeouts.Write
	}
	return s, errors.Join(errs...)
}

// newHTTPServer makes a server whose requests pass the listener stage, and then next.
func (s *servers) newHTTPServer(ctx context.Context, name, address string, next stage) *httpServer {
	g := s.gateway
	return newHTTPServer(ctx, g, name, address, &listenerHandler{
		name: name, next: next, readTimeout: g.cfg.Timeouts.Read,
		activity: g.activity, recorder: g.recorder, log: g.log,
	})
}

func newHTTPServer(ctx context.Context, g *gateway, name, address string, handler http.Handler) *httpServer {
	h := &httpServer{name: name, write: g.cfg.Timeouts.Write, idle: lateIdle{draining: &g.activity.draining}}
	h.Server = &http.Server{
		Addr:              address,
		Handler:           handler,
		ReadHeaderTimeout: g.cfg.Timeouts.Header,
		IdleTimeout:       g.cfg.Timeouts.Idle,
		MaxHeaderBytes:    g.cfg.Limits.HeaderBytes - 4<<10, // net/http adds 4 KiB
		BaseContext:       func(net.Listener) context.Context { return ctx },
		// net/http would respond to "OPTIONS *" with 200, which a proxy that asks takes for a yes.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		ConnState:                    h.idle.note,
	}
	return h
}

// ballast is memory that is never used, so it occupies no memory of the machine. It makes the heap
// larger: without it, the garbage of some 400 requests starts a garbage collection; with it, the
// garbage of some 2000 requests.
const ballast = 16 << 20

// run serves until a signal ends it. A second signal ends it at once.
func (s *servers) run(signals <-chan os.Signal) error {
	untouched := make([]byte, ballast)
	defer runtime.KeepAlive(untouched)
	if err := s.open(); err != nil {
		return err
	}
	g := s.gateway
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.wg.Go(func() { g.reloader.watchRoutes(ctx) })
	if g.redis != nil {
		s.wg.Go(func() { followRevocations(ctx, g.validator, g.log) })
	}
	err := s.wait(signals)
	s.close()
	cancel()
	s.wg.Wait()
	if g.redis != nil {
		_ = g.redis.Close() // everything has been written
	}
	g.log.Info("stopped")
	return err
}

// wait returns when the servers have ended, or after the drain that a signal starts. SIGHUP
// reloads.
func (s *servers) wait(signals <-chan os.Signal) error {
	for {
		select {
		case signal := <-signals:
			if signal != syscall.SIGHUP {
				return s.drain(signal, signals)
			}
			s.gateway.reloader.reload()
		case err := <-s.ended:
			return err
		}
	}
}

// open opens all listeners and serves them. If one can't be opened, it opens none.
func (s *servers) open() (err error) {
	var opened []net.Listener
	defer func() {
		if err != nil {
			for _, l := range opened {
				_ = l.Close()
			}
		}
	}()
	all := s.http
	if s.admin != nil {
		all = append(all[:len(all):len(all)], s.admin)
	}
	for _, h := range all {
		if h.listener, err = listen(h.name, h.Addr); err != nil {
			return err
		}
		opened = append(opened, h.listener)
	}
	if s.grpc != nil {
		if s.grpc.listener, err = listen("ext_authz", s.grpc.address); err != nil {
			return err
		}
	}
	for _, h := range all {
		s.serve(h.name, h.listener, func() error { return h.Serve(h.accepting()) })
	}
	if s.grpc != nil {
		s.serve("ext_authz", s.grpc.listener, func() error { return s.grpc.Serve(s.grpc.listener) })
	}
	return nil
}

// listen opens a TCP listener, or a Unix socket for "unix:path".
func listen(name, address string) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			_ = os.Remove(path) // left by a gateway that was killed
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// serve runs a server. If it ends before the gateway drains, it ends the gateway.
func (s *servers) serve(name string, l net.Listener, serve func() error) {
	s.wg.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !s.gateway.activity.draining.Load() {
			s.ended <- fmt.Errorf("%s: %w", name, err)
		}
	})
	s.gateway.log.Info("listening", slog.String("door", name), slog.String("address", l.Addr().String()))
}

// newProxy makes the stages of the listener for clients.
func newProxy(g *gateway, own endpoints) *proxy {
	return &proxy{
		auth: g.auth, identity: g.identity, tables: g.tables, endpoints: own,
		upstreams: newUpstreams(g.cfg), bodyBytes: g.cfg.Limits.BodyBytes,
		forwarder: newForwarder(g),
	}
}
