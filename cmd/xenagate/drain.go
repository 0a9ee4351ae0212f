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

// drain ends what is under way so that no client loses a request. From its beginning, readiness probes are told no and
// each answer is the last one on its connection. After the time that load balancers take to see that, listeners close,
// and connections end once they are idle. A second signal ends everything at once.
func (s *servers) drain(signal os.Signal, signals <-chan os.Signal) error {
	s.gateway.activity.draining.Store(true)
	s.gateway.log.Info("draining", slog.String("signal", signal.String()))
	killed, stop := secondSignal(signals)
	defer stop()
	delay := s.gateway.cfg.Timeouts.DrainDelay
	if signal != syscall.SIGTERM {
		delay = 0 // a person who has pressed ^C has no load balancer
	}
	select {
	case <-time.After(delay):
	case <-killed:
		return s.cutOff("ended by a second signal")
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.gateway.cfg.Timeouts.Drain)
	defer cancel()
	finished := make(chan struct{})
	go func() { s.shutdown(ctx, delay); close(finished) }()
	select {
	case <-finished:
		if ctx.Err() != nil && s.gateway.activity.requests.Load() > 0 {
			return s.cutOff("timeouts.drain is over")
		}
		return nil
	case <-killed:
		return s.cutOff("ended by a second signal")
	}
}

// cutOff is an error that tells how many requests are under way, upgraded connections included.
func (s *servers) cutOff(why string) error {
	n, requests := s.gateway.activity.requests.Load(), "requests were"
	if n == 1 {
		requests = "request was"
	}
	return fmt.Errorf("%s: %d %s cut off", why, n, requests)
}

// secondSignal closes killed when a signal that ends the gateway comes.
func secondSignal(signals <-chan os.Signal) (killed <-chan struct{}, stop func()) {
	closed, over := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			select {
			case again := <-signals:
				if again == syscall.SIGHUP {
					continue
				}
				close(closed)
				return
			case <-over:
				return
			}
		}
	}()
	return closed, sync.OnceFunc(func() { close(over) })
}

// shutdown ends the listeners of requests and waits for what is under way, upgraded connections included, until ctx
// ends.
func (s *servers) shutdown(ctx context.Context, delay time.Duration) {
	var wg sync.WaitGroup
	for _, h := range s.http {
		wg.Go(func() {
			_ = h.listener.Close()
			// Shutdown would end connections of which the clients don't know that they end.
			waitUntil(ctx, func() bool { return s.gateway.activity.requests.Load() == 0 && h.idle.over(delay) })
			_ = h.Shutdown(ctx) // of requests of which only a part has come
		})
	}
	if s.grpc != nil {
		stopped := make(chan struct{})
		go func() { s.grpc.GracefulStop(); close(stopped) }() // GOAWAY, and RPCs that began before it end
		wg.Go(func() {
			select {
			case <-stopped:
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
	waitUntil(ctx, func() bool { return s.gateway.activity.requests.Load() == 0 }) // net/http doesn't count upgraded connections
}

// waitUntil waits until done reports true, or ctx ends.
func waitUntil(ctx context.Context, done func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lateIdle knows the connections that have become idle while the gateway drains. The header of their last answer was
// sent before, without a word that it is the last, so their clients may be sending another request.
type lateIdle struct {
	draining *atomic.Bool
	mu       sync.Mutex
	since    map[net.Conn]time.Time
}

// note is for [http.Server.ConnState].
func (l *lateIdle) note(conn net.Conn, state http.ConnState) {
	if !l.draining.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if state != http.StateIdle {
		delete(l.since, conn)
		return
	}
	if l.since == nil {
		l.since = make(map[net.Conn]time.Time)
	}
	l.since[conn] = time.Now()
}

// over reports whether each of these connections has been idle for as long as those that were idle when draining began.
func (l *lateIdle) over(delay time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, since := range l.since {
		if time.Since(since) < delay {
			return false
		}
	}
	return true
}

const (
	// adminWait is how long the end waits for probes, scrapes and revocations.
	adminWait = 2 * time.Second
	// cutOffWait is how long the end waits for requests that are cut off, whose lines of the log are written then.
	cutOffWait = 2 * time.Second
)

// close ends what is left, and at last the listener of probes.
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
