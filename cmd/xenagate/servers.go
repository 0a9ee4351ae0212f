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

// The type servers contains the HTTP and gRPC servers of the gateway. Each server accepts
// connections from one listener.
type servers struct {
	gateway *gateway
	// http contains the servers for clients, and for proxies that call the gateway over HTTP
	http []*httpServer
	// admin is the server of the admin listener, or nil; it ends after all other servers
	admin *httpServer
	// grpc is the server for Envoy; nil if ext_authz is not configured
	grpc   *grpcServer
	ended  chan error // if one of the servers fails, its error is sent to this channel
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type httpServer struct {
	*http.Server
	name     string
	listener net.Listener
	// acceptTimeout limits how long a client may take to accept each piece of a response
	acceptTimeout time.Duration
	idle          lateIdleConns
}

type grpcServer struct {
	*grpc.Server
	address  string
	listener net.Listener
}

// httpServer.timedListener returns the listener from which the server accepts connections. If the
// server has no write timeout of net/http, each connection of this listener limits the time in
// which the client must accept a piece of a response.
func (h *httpServer) timedListener() net.Listener {
	if h.WriteTimeout > 0 {
		return h.listener
	}
	return &clientListener{Listener: h.listener, timeout: h.acceptTimeout}
}

// newServers returns the servers for the listeners in the configuration. It opens no listener. The
// error lists all mistakes in the configuration of the listeners.
func newServers(g *gateway) (*servers, error) {
	s := &servers{gateway: g, ended: make(chan error, 4)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	own := newEndpoints(g.cfg, g.identity, g.validator)
	var errs []error
	if g.cfg.Listen != "" {
		front := s.newHTTPServer(ctx, "proxy", g.cfg.Listen, newProxy(g, own).serve)
		front.useTLS(g.tls)
		s.http = append(s.http, front)
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

// servers.newHTTPServer returns an HTTP server. The server passes each request to a
// listenerHandler, and this handler calls firstStage for the request.
func (s *servers) newHTTPServer(ctx context.Context, name, address string, firstStage stage) *httpServer {
	g := s.gateway
	return newHTTPServer(ctx, g, name, address, &listenerHandler{
		name: name, nextStage: firstStage, readTimeout: g.cfg.Timeouts.Read,
		activity: g.activity, recorder: g.recorder, log: g.log,
	})
}

func newHTTPServer(ctx context.Context, g *gateway, name, address string, handler http.Handler) *httpServer {
	h := &httpServer{name: name, acceptTimeout: g.cfg.Timeouts.Write, idle: lateIdleConns{draining: &g.activity.draining}}
	h.Server = &http.Server{
		Addr:              address,
		Handler:           handler,
		ReadHeaderTimeout: g.cfg.Timeouts.Header,
		IdleTimeout:       g.cfg.Timeouts.Idle,
		// net/http adds 4 KiB to this limit on the size of a request's header
		MaxHeaderBytes: g.cfg.Limits.HeaderBytes - 4<<10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		// Without this setting, net/http itself would respond to "OPTIONS *" with 200. A proxy that
		// asks the gateway about a request would take the 200 as permission.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     newServerLog(g.log),
		ConnState:                    h.idle.noteState,
	}
	return h
}

// ballastSize is the number of bytes of the ballast, a block of memory that the gateway allocates
// and never uses. The block needs no physical memory, but it makes the heap larger. So the garbage
// collector runs less often: once in about 2000 requests. Without the ballast it would run once in
// about 400 requests.
const ballastSize = 16 << 20

// servers.run runs all servers of the gateway until a signal ends them, or until one of them fails.
// A second signal ends them immediately.
func (s *servers) run(signals <-chan os.Signal) error {
	ballast := make([]byte, ballastSize)
	defer runtime.KeepAlive(ballast)
	g := s.gateway
	if err := g.audit.openFile(); err != nil {
		return err
	}
	defer g.audit.closeFile()
	if err := s.openListeners(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.wg.Go(func() { g.reloader.watchRoutes(ctx) })
	if g.certificate != nil {
		s.wg.Go(func() { g.certificate.watchFiles(ctx) })
	}
	if g.redis != nil {
		s.wg.Go(func() { followRevocations(ctx, g.validator, g.log) })
	}
	err := s.waitForEnd(signals)
	s.close()
	cancel()
	s.wg.Wait()
	if g.redis != nil {
		_ = g.redis.Close() // the servers have ended, so they no longer need Redis
	}
	g.log.Info("stopped")
	return err
}

// servers.waitForEnd waits until the servers of the gateway have ended. It returns the error of a
// server that fails. After the signal SIGHUP, it reads the files of the configuration again, such
// as routes and certificates, and waits further. Any other signal starts a drain, and waitForEnd
// returns after the drain.
func (s *servers) waitForEnd(signals <-chan os.Signal) error {
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

// servers.openListeners opens all listeners of the gateway and starts to serve requests. If one
// listener can't be opened, openListeners closes the listeners that it has already opened.
func (s *servers) openListeners() (err error) {
	var openedListeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range openedListeners {
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
		openedListeners = append(openedListeners, h.listener)
	}
	if s.grpc != nil {
		if s.grpc.listener, err = listen("ext_authz", s.grpc.address); err != nil {
			return err
		}
	}
	for _, h := range all {
		s.serve(h.name, h.listener, h.serveConnections)
	}
	if s.grpc != nil {
		s.serve("ext_authz", s.grpc.listener, func() error { return s.grpc.Serve(s.grpc.listener) })
	}
	return nil
}

// listen opens a TCP listener, or a listener on a Unix socket if the address has the form
// "unix:path". The parameter name is the section of the configuration that contains the address.
func listen(name, address string) (l net.Listener, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if l, err = listenSocket(path); err != nil {
			return nil, fmt.Errorf("%s.listen: %w", name, err)
		}
		return l, nil
	}
	if l, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// servers.serve runs one server of the gateway in a goroutine. If this server ends before a drain,
// the whole gateway ends.
func (s *servers) serve(name string, l net.Listener, serve func() error) {
	s.wg.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !s.gateway.activity.draining.Load() {
			s.ended <- fmt.Errorf("%s: %w", name, err)
		}
	})
	s.gateway.log.Info("listening", slog.String("door", name), slog.String("address", l.Addr().String()))
}

// newProxy returns the proxy, which processes the requests of the listener for clients.
func newProxy(g *gateway, own ownEndpoints) *proxy {
	return &proxy{
		auth: g.auth, identity: g.identity, tables: g.tables, endpoints: own,
		upstreams: newUpstreams(g.cfg), bodyBytes: g.cfg.Limits.BodyBytes,
		forwarder: newForwarder(g),
	}
}
