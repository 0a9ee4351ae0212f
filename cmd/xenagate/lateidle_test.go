package main

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// During the drain (the orderly end of the gateway), a connection may become idle, which means that
// it has no request. The gateway closes such a connection only when it has been idle for the drain
// delay. A connection that was idle before the drain need not wait.
func TestLateIdleConnectionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Second
		var draining atomic.Bool
		l := lateIdleConns{draining: &draining}
		early, _ := net.Pipe()
		late, _ := net.Pipe()
		l.noteState(early, http.StateIdle)
		draining.Store(true)
		if !l.allIdleFor(delay) {
			t.Error("a connection that was idle before counts")
		}
		l.noteState(late, http.StateActive)
		l.noteState(late, http.StateIdle)
		time.Sleep(delay - 1)
		if l.allIdleFor(delay) {
			t.Error("a connection was idle for less than the delay")
		}
		l.noteState(late, http.StateActive) // the client sends one more request on this connection
		l.noteState(late, http.StateIdle)
		time.Sleep(delay - 1)
		if l.allIdleFor(delay) {
			t.Error("a connection that was used again was idle for less than the delay")
		}
		time.Sleep(time.Nanosecond)
		if !l.allIdleFor(delay) {
			t.Error("a connection was idle for the delay")
		}
		l.noteState(late, http.StateIdle)
		l.noteState(late, http.StateClosed)
		if !l.allIdleFor(delay) {
			t.Error("a closed connection counts")
		}
	})
}
