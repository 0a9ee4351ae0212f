package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody bounds the time that each piece of a request's body may take. It removes the deadline
// when the body has ended. net/http then reads on, to notice that the client closes the connection,
// and would take the deadline for that.
type requestBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	failed  atomic.Bool // the client's body could not be read

	mu      sync.Mutex
	over    bool // the body has ended, or the handler has. From now on only net/http sets the deadline
	left    bool // the handler has ended
	reading sync.WaitGroup
}

// errLeft is the error of Read after the handler has returned. The transport to the upstream can
// still read then.
var errLeft = errors.New("the request has been answered")

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
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
		b.failed.Store(true) // the deadline stays: no more of the body is read
	}
	return n, err
}

func (b *requestBody) extend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over && !b.left {
		_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
	}
}

// leave ends the use of the body. The handler calls it when it returns. The transport may still be
// reading then. net/http would end that read, but it would also remove the read deadline. So leave
// ends the read first. net/http reads the rest of a short body and discards it.
func (b *requestBody) leave() {
	b.mu.Lock()
	b.left = true
	if !b.over {
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
	b.mu.Unlock()
	b.reading.Wait()
	b.end(time.Now().Add(b.timeout))
}

func (b *requestBody) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

func (b *requestBody) end(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.over = true
		_ = b.control.SetReadDeadline(deadline)
	}
}
