package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// body gives the client time for each piece of a request's body. The deadline must be gone when the body has ended:
// net/http goes on reading, to see whether the client goes away, and would take it for that.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	rec     *record

	mu      sync.Mutex
	over    bool // the body has ended, or the handler has, and from now on the deadline is net/http's
	left    bool // the handler has ended
	reading sync.WaitGroup
}

// errLeft is what Read returns to a transport that still reads the body after the response is complete.
var errLeft = errors.New("the request has been answered")

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.left {
		b.mu.Unlock()
		return 0, errLeft
	}
	b.reading.Add(1)
	b.mu.Unlock()
	defer b.reading.Done()
	b.extend()
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.end(time.Time{})
	default:
		b.rec.bodyFailed.Store(true) // the deadline stays: there is nothing more to wait for
	}
	return n, err
}

func (b *body) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && !b.left {
		_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
	}
}

// leave ends the use of the body. The handler calls it when it returns. The transport may still be reading then.
// net/http would end that read, but it would also remove the read deadline. So leave ends the read first. net/http
// reads the rest of a short body and discards it.
func (b *body) leave() {
	b.mu.Lock()
	b.left = true
	if !b.over {
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
	b.mu.Unlock()
	b.reading.Wait()
	b.end(time.Now().Add(b.timeout))
}

func (b *body) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

func (b *body) end(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over = true
		_ = b.control.SetReadDeadline(deadline)
	}
}
