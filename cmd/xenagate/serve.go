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
	*gateway
	http  []*httpServer // those of requests
	admin *httpServer   // nil without; it serves to the end
	grpc  *grpc.Server  // nil without
	grpcL net.Listener
	done  chan error // what ends a server that nobody stopped
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

type httpServer struct {
	*http.Server
	door     string
	listener net.Listener
	write    time.Duration // for each piece of an answer
	idle     lateIdle
}

// accepting is the listener with the timeout for answers. The admin listener has one of net/http's.
func (h *httpServer) accepting() net.Listener {
	if h.WriteTimeout > 0 {
		return h.listener
	}
	return &clientListener{Listener: h.listener, timeout: h.write}
}

// handlers makes what the listeners serve. It opens none, so that -check can use it.
func (g *gateway) handlers() (*servers, error) {
	s := &servers{gateway: g, done: make(chan error, 4)}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	own := g.own()
	server := func(door, address string, handler http.Handler) *httpServer {
		h := &httpServer{door: door, write: g.cfg.Timeouts.Write, idle: lateIdle{draining: &g.draining}}
		h.Server = &http.Server{
			Addr:              address,
			Handler:           handler,
			ReadHeaderTimeout: g.cfg.Timeouts.Header,
			IdleTimeout:       g.cfg.Timeouts.Idle,
			MaxHeaderBytes:    g.cfg.Limits.HeaderBytes - 4<<10, // net/http adds as much
			BaseContext:       func(net.Listener) context.Context { return ctx },
			// Else net/http answers "OPTIONS *" itself, with 200, which is yes to a proxy that asks.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
			ConnState:                    h.idle.note,
		}
		return h
	}
	var errs []error
	if g.cfg.Listen != "" {
		s.http = append(s.http, server("proxy", g.cfg.Listen, g.door("proxy", newProxy(g, own))))
	}
	if g.cfg.ForwardAuth != nil {
		h, err := g.forwardAuth(own)
		errs = append(errs, err)
		s.http = append(s.http, server("forward_auth", g.cfg.ForwardAuth.Listen, g.door("forward_auth", h)))
	}
	if g.cfg.ExtAuthz != nil {
		var err error
		s.grpc, err = newExtAuthz(g)
		errs = append(errs, err)
	}
	if g.cfg.Admin != nil {
		s.admin = server("admin", g.cfg.Admin.Listen, g.admin())
		s.admin.ReadTimeout, s.admin.WriteTimeout = g.cfg.Timeouts.Read, g.cfg.Timeouts.Write
	}
	return s, errors.Join(errs...)
}

// ballast is memory that is never touched, and so takes none of the machine's. Without it the heap is so small that the
// garbage of some 400 requests starts a collection; with it that takes five times as many, and as much more memory.
const ballast = 16 << 20

// run serves until a signal ends it. A second one ends it at once.
func (s *servers) run(signals <-chan os.Signal) error {
	untouched := make([]byte, ballast)
	defer runtime.KeepAlive(untouched)
	if err := s.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.wg.Go(func() { s.watchRoutes(ctx) })
	if s.redis != nil {
		s.wg.Go(func() { s.followRevocations(ctx) })
	}
	var err error
	for ending := false; !ending; {
		select {
		case signal := <-signals:
			if signal == syscall.SIGHUP {
				s.reload()
				continue
			}
			err = s.drain(signal, signals)
			ending = true
		case err = <-s.done:
			ending = true
		}
	}
	s.close()
	cancel()
	s.wg.Wait()
	if s.redis != nil {
		_ = s.redis.Close() // there is nothing left to lose
	}
	s.log.Info("stopped")
	return err
}

// open opens all listeners, or none.
func (s *servers) open() error {
	var opened []net.Listener
	listen := func(door, address string) (net.Listener, error) {
		network := "tcp"
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			network, address = "unix", path
			if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
				_ = os.Remove(path) // of a gateway that was killed
			}
		}
		l, err := net.Listen(network, address)
		if err != nil {
			for _, o := range opened {
				_ = o.Close()
			}
			return nil, fmt.Errorf("%s: %w", door, err)
		}
		opened = append(opened, l)
		return l, nil
	}
	var err error
	all := s.http
	if s.admin != nil {
		all = append(all[:len(all):len(all)], s.admin)
	}
	for _, h := range all {
		if h.listener, err = listen(h.door, h.Addr); err != nil {
			return err
		}
	}
	if s.grpc != nil {
		if s.grpcL, err = listen("ext_authz", s.cfg.ExtAuthz.Listen); err != nil {
			return err
		}
	}
	for _, h := range all {
		s.wg.Go(func() {
			if err := h.Serve(h.accepting()); !errors.Is(err, http.ErrServerClosed) && !s.draining.Load() {
				s.done <- fmt.Errorf("%s: %w", h.door, err)
			}
		})
		s.log.Info("listening", slog.String("door", h.door), slog.String("address", h.listener.Addr().String()))
	}
	if s.grpc != nil {
		s.wg.Go(func() {
			if err := s.grpc.Serve(s.grpcL); err != nil {
				s.done <- fmt.Errorf("ext_authz: %w", err)
			}
		})
		s.log.Info("listening", slog.String("door", "ext_authz"), slog.String("address", s.grpcL.Addr().String()))
	}
	return nil
}
