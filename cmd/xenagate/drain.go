package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// servers.drain ends the gateway after a signal, so that clients lose no request that ends within
// timeouts.drain. From the beginning of the drain, /readyz responds with 503, and each connection
// ends after its next response. Then the gateway waits for some time (the setting
// timeouts.drain_delay; only after SIGTERM), so that load balancers can notice the 503. After this
// delay the gateway closes its listeners, except the admin listener, and closes each connection
// when it is idle. After a second signal, drain returns immediately, and the caller closes
// everything. The error says how many requests were cut off.
func (s *servers) drain(signal os.Signal, signals <-chan os.Signal) error {
	s.gateway.activity.draining.Store(true)
	s.gateway.log.Info("draining", slog.String("signal", signal.String()))
	secondSignal, stop := watchSecondSignal(signals)
	defer stop()
	delay := s.gateway.cfg.Timeouts.DrainDelay
	if signal != syscall.SIGTERM {
		// A person at a terminal sends other signals than SIGTERM, for example SIGINT. Then no load
		// balancer needs time to notice the status 503 of /readyz, so the gateway does not wait for
		// drain_delay.
		delay = 0
	}
	select {
	case <-time.After(delay):
	case <-secondSignal:
		return s.cutOffError("ended by a second signal")
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.gateway.cfg.Timeouts.Drain)
	defer cancel()
	finished := make(chan struct{})
	go func() { s.shutdown(ctx, delay); close(finished) }()
	select {
	case <-finished:
		if ctx.Err() != nil && s.gateway.activity.requests.Load() > 0 {
			return s.cutOffError("timeouts.drain is over")
		}
		return nil
	case <-secondSignal:
		return s.cutOffError("ended by a second signal")
	}
}

// servers.cutOffError returns an error that says how many requests the end of the gateway has cut
// off. An upgraded connection counts as a request.
func (s *servers) cutOffError(why string) error {
	n, requests := s.gateway.activity.requests.Load(), "requests were"
	if n == 1 {
		requests = "request was"
	}
	return fmt.Errorf("%s: %d %s cut off", why, n, requests)
}

// watchSecondSignal returns the channel secondSignal. It closes this channel when the next signal
// arrives, and then the drain ends immediately. It ignores SIGHUP.
func watchSecondSignal(signals <-chan os.Signal) (secondSignal <-chan struct{}, stop func()) {
	closed, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			select {
			case again := <-signals:
				if again == syscall.SIGHUP {
					continue
				}
				close(closed)
				return
			case <-stopped:
				return
			}
		}
	}()
	return closed, sync.OnceFunc(func() { close(stopped) })
}

// servers.shutdown closes all listeners except the admin listener. It waits for requests that have
// not ended, but not longer than until ctx ends. An upgraded connection counts as a request.
func (s *servers) shutdown(ctx context.Context, delay time.Duration) {
	var wg sync.WaitGroup
	for _, h := range s.http {
		wg.Go(func() {
			_ = h.listener.Close()
			// Shutdown of net/http closes idle connections immediately. But if a connection became
			// idle during the drain, the client may be sending another request on it. So waitUntil
			// first waits until no request is running, and until each of these connections has been
			// idle for the time timeouts.drain_delay. After a signal other than SIGTERM, this time
			// is 0.
			waitUntil(ctx, func() bool { return s.gateway.activity.requests.Load() == 0 && h.idle.allIdleFor(delay) })
			// The header of the first request on a new connection may not have arrived yet.
			// Shutdown closes such a connection only when it is about 5 seconds old.
			_ = h.Shutdown(ctx)
		})
	}
	if s.grpc != nil {
		stopped := make(chan struct{})
		// GracefulStop tells Envoy with GOAWAY to send no more calls, and waits for the calls that
		// have not ended.
		go func() { s.grpc.GracefulStop(); close(stopped) }()
		wg.Go(func() {
			select {
			case <-stopped:
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	// Shutdown of net/http does not wait for upgraded connections, but this call of waitUntil does.
	waitUntil(ctx, func() bool { return s.gateway.activity.requests.Load() == 0 })
}

// waitUntil calls isDone repeatedly. It returns when isDone returns true, or when ctx ends.
func waitUntil(ctx context.Context, isDone func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !isDone() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lateIdleConns records the connections that became idle (without a request) during the drain of
// the gateway. If the last response on a connection began before the drain, its header had no
// "Connection: close". So the client may be sending another request on the connection.
type lateIdleConns struct {
	draining  *atomic.Bool
	mu        sync.Mutex
	idleSince map[net.Conn]time.Time
}

// lateIdleConns.noteState records during a drain that a connection became idle, and removes the
// record when the connection leaves this state. It is a hook for [http.Server.ConnState].
func (l *lateIdleConns) noteState(conn net.Conn, state http.ConnState) {
	if !l.draining.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if state != http.StateIdle {
		delete(l.idleSince, conn)
		return
	}
	if l.idleSince == nil {
		l.idleSince = make(map[net.Conn]time.Time)
	}
	l.idleSince[conn] = time.Now()
}

// lateIdleConns.allIdleFor reports whether each recorded connection has been idle for minIdleTime
// or longer, so that the gateway can close it. Connections that were idle when the drain began are
// not recorded, because they have been idle for longer than that.
func (l *lateIdleConns) allIdleFor(minIdleTime time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, start := range l.idleSince {
		if time.Since(start) < minIdleTime {
			return false
		}
	}
	return true
}

const (
	// adminWait is the longest time that the drain of the gateway waits for requests on the admin
	// listener.
	adminWait = 2 * time.Second
	// cutOffWait limits the wait after the gateway has cut requests off: these requests must still
	// write their lines to the access log.
	cutOffWait = 2 * time.Second
)

// servers.close closes all connections of the gateway. It closes the admin listener last.
func (s *servers) close() {
	s.cancel()
	for _, h := range s.http {
		_ = h.Close()
	}
	if s.grpc != nil {
		s.grpc.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), cutOffWait)
	defer cancel()
	waitUntil(ctx, func() bool { return s.gateway.activity.requests.Load() == 0 })
	if s.admin == nil {
		return
	}
	ctx, cancel = context.WithTimeout(context.Background(), adminWait)
	defer cancel()
	if err := s.admin.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = s.admin.Close()
	}
}
