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
// it has no request. lateIdle requires that such a connection is idle for the drain delay before it
// is closed. A connection that was idle before the drain need not wait.
func TestLateIdleConnectionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Second
		var draining atomic.Bool
		l := lateIdle{draining: &draining}
		early, _ := net.Pipe()
		late, _ := net.Pipe()
		l.note(early, http.StateIdle)
		draining.Store(true)
		if !l.over(delay) {
			t.Error("a connection that was idle before counts")
		}
		l.note(late, http.StateActive)
		l.note(late, http.StateIdle)
		time.Sleep(delay - 1)
		if l.over(delay) {
			t.Error("a connection was idle for less than the delay")
		}
		l.note(late, http.StateActive) // the client sends one more request on the connection late
		l.note(late, http.StateIdle)
		time.Sleep(delay - 1)
		if l.over(delay) {
			t.Error("a connection that was used again was idle for less than the delay")
		}
		time.Sleep(time.Nanosecond)
		if !l.over(delay) {
			t.Error("a connection was idle for the delay")
		}
		l.note(late, http.StateIdle)
		l.note(late, http.StateClosed)
		if !l.over(delay) {
			t.Error("a closed connection counts")
		}
	})
}
