package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody limits how long the client may take to send each piece of a request's body. It sets a
// read deadline for each piece, and removes the deadline at the end of the body. After the end of
// the body, net/http continues to read from the connection, to notice when the client closes it. An
// expired deadline would look like a closed connection to net/http.
type requestBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
	failed  atomic.Bool // the field failed says that reading the body of the request failed

	mu sync.Mutex
	// the field over says that the body has ended or the handler of the request has returned; from
	// then on, only net/http sets read deadlines
	over    bool
	left    bool // the field left says that the handler of the request has returned
	reading sync.WaitGroup
}

// After the handler of a request has returned, reading the body of the request returns the error
// errLeft. The transport to the upstream may still try to read the body at that time.
var errLeft = errors.New("the request has been answered")

// Read reads a piece of the request's body. It implements [io.Reader].
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
		// the rest of the body is not read, so the read deadline of the connection is kept
		b.failed.Store(true)
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

// requestBody.leave is called when the handler of the request returns. The transport to the
// upstream may still be reading the body of the request. net/http would end this read, but it would
// also remove the read deadline. So leave ends the read before net/http does. After that, net/http
// reads the rest of a short body and discards it.
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
