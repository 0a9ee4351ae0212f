package main

import (
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// The timeouts of the gateway limit the time between two pieces of a response, and not the time of
// the whole response. So a stream whose pieces follow each other fast enough may last longer than
// all timeouts.
func TestStreamsOutliveTimeouts(t *testing.T) {
	const pause, pieces = 25 * time.Second, 20
	service := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range pieces {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}
	inBubble(t, "write: 30s, read: 30s, response_header: 40s", service, func(b *bubbleGateway) {
		c := b.dial()
		c.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
		started := time.Now()
		body, err := io.ReadAll(c.wantResponse(200).Body)
		if err != nil || len(body) < pieces*len("data: 0\n\n") {
			t.Errorf("%q, %v", body, err)
		}
		if took := time.Since(started); took != pieces*pause {
			t.Errorf("the stream took %v", took)
		}
	})
}

// If a client stops sending in the middle of a request's body, the gateway ends the request. It
// does this when no piece of the body has arrived for a certain time (the setting timeouts.read).
func TestTimeoutOfABody(t *testing.T) {
	service := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	inBubble(t, "read: 30s", service, func(b *bubbleGateway) {
		c := b.dial()
		c.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
		started := time.Now()
		time.Sleep(20 * time.Second)
		c.send("bo")
		if c.wantResponse(408); time.Since(started) != 50*time.Second {
			t.Errorf("the body was given up after %v", time.Since(started))
		}
	})
}

// The timeouts of a request do not apply to the next request on the same connection.
func TestTimeoutsEndWithTheirRequest(t *testing.T) {
	service := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		// The service needs longer than the timeouts for the client. These timeouts must not end
		// the request, because the client is not the cause.
		time.Sleep(45 * time.Second)
	}
	inBubble(t, "write: 30s, read: 30s, idle: 2m", service, func(b *bubbleGateway) {
		c := b.dial()
		for range 3 {
			c.send("POST /open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
			c.wantResponse(100)
			c.send("body")
			res := c.wantResponse(200)
			_, _ = io.ReadAll(res.Body)
			// The client pauses between two requests. The pause is longer than the timeouts "read"
			// and "write" of the request that has just ended, and shorter than the timeout "idle".
			time.Sleep(40 * time.Second)
		}
	})
}

// The drain (the orderly end of the gateway) waits until an upgraded connection has ended. The
// setting timeouts.drain limits this wait.
func TestDrainWaitsForUpgradedConnections(t *testing.T) {
	service := func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = both.Flush()
		_, _ = io.Copy(conn, both)
	}
	for name, closes := range map[string]bool{"the client closes": true, "the drain is over": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, "drain: 30s", service, func(b *bubbleGateway) {
				c := b.dial()
				c.send("GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				c.wantResponse(101)
				drained := make(chan error, 1)
				go func() { drained <- b.drain(syscall.SIGINT, nil) }()
				for range 29 {
					time.Sleep(time.Second)
					c.send("x")
					if got, err := c.in.ReadByte(); err != nil || got != 'x' {
						t.Fatalf("cut off: %v", err)
					}
				}
				select {
				case err := <-drained:
					t.Fatalf("the drain has ended: %v", err)
				default:
				}
				if closes {
					_ = c.Close()
				}
				if err := <-drained; (err == nil) != closes {
					t.Errorf("%v", err)
				}
			})
		})
	}
}
