package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
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
}

// handlers makes what the listeners serve. It opens none, so that -check can use it.
func (g *gateway) handlers() (*servers, error) {
	s := &servers{gateway: g, done: make(chan error, 4)}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	own := g.own()
	server := func(door, address string, h http.Handler) *httpServer {
		return &httpServer{door: door, Server: &http.Server{
			Addr:              address,
			Handler:           h,
			ReadHeaderTimeout: g.cfg.Timeouts.Header,
			IdleTimeout:       g.cfg.Timeouts.Idle,
			MaxHeaderBytes:    g.cfg.Limits.HeaderBytes - 4<<10, // net/http adds as much
			BaseContext:       func(net.Listener) context.Context { return ctx },
			// Else net/http answers "OPTIONS *" itself, with 200, which is yes to a proxy that asks.
			DisableGeneralOptionsHandler: true,
			ErrorLog:                     slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		}}
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

// run serves until a signal ends it. A second one ends it at once.
func (s *servers) run(signals <-chan os.Signal) error {
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
			s.log.Info("draining", slog.String("signal", signal.String()))
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
			if err := h.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
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

// errKilled is a second signal.
var errKilled = errors.New("ended by a second signal")

// drain says no to readiness probes, goes on for as long as load balancers take to see that, and then ends what is
// under way.
func (s *servers) drain(signal os.Signal, signals <-chan os.Signal) error {
	s.draining.Store(true)
	killed := make(chan struct{})
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case again := <-signals:
				if again == syscall.SIGHUP {
					continue
				}
				close(killed)
				return
			case <-over:
				return
			}
		}
	}()
	if signal == syscall.SIGTERM { // a person who has pressed ^C has no load balancer
		select {
		case <-time.After(s.cfg.Timeouts.DrainDelay):
		case <-killed:
			return errKilled
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeouts.Drain)
	defer cancel()
	finished := make(chan error, 1)
	go func() { finished <- s.shutdown(ctx) }()
	select {
	case err := <-finished:
		return err
	case <-killed:
		return errKilled
	}
}

// shutdown ends the listeners of requests and waits for what is under way, upgraded connections included.
func (s *servers) shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.http))
	for i, h := range s.http {
		wg.Go(func() { errs[i] = h.Shutdown(ctx) })
	}
	if s.grpc != nil {
		stopped := make(chan struct{})
		go func() { s.grpc.GracefulStop(); close(stopped) }()
		wg.Go(func() {
			select {
			case <-stopped:
			case <-ctx.Done():
				s.grpc.Stop()
			}
		})
	}
	wg.Wait()
	tick := time.NewTicker(10 * time.Millisecond) // net/http doesn't count upgraded connections
	defer tick.Stop()
	for s.active.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d requests were cut off", s.active.Load())
		}
	}
	return errors.Join(errs...)
}

// close ends what is left, and at last the listener of probes.
func (s *servers) close() {
	s.stop()
	for _, h := range s.http {
		_ = h.Close()
	}
	if s.grpc != nil {
		s.grpc.Stop()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
}
