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
// read deadline for each piece. It removes the deadline at the end of the body, because net/http
// then continues to read from the connection, to notice when the client closes it. If the deadline
// expired during this read, net/http would think that the client has closed the connection.
type requestBody struct {
	io.ReadCloser
	control    *http.ResponseController
	timeout    time.Duration
	readFailed atomic.Bool // readFailed is true if reading the body of the request has failed

	mu sync.Mutex
	// isOver is true if the body has ended or the handler of the request has returned; from then
	// on, only net/http sets read deadlines
	isOver          bool
	handlerReturned bool // handlerReturned is true if the handler of the request has returned
	reading         sync.WaitGroup
}

// errHandlerReturned is the error of a read from the body of a request after the handler of the
// request has returned. The transport to the upstream may still try such a read.
var errHandlerReturned = errors.New("the request has been answered")

// Read reads a piece of the request's body. It implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.handlerReturned {
		b.mu.Unlock()
		return 0, errHandlerReturned
	}
	b.reading.Add(1)
	b.mu.Unlock()
	defer b.reading.Done()
	b.extendDeadline()
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		b.end(time.Time{})
	default:
		// The body has not ended, so the read deadline of the connection stays. If net/http now
		// reads the rest of the body, the deadline limits this too.
		b.readFailed.Store(true)
	}
	return n, err
}

func (b *requestBody) extendDeadline() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOver && !b.handlerReturned {
		_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
	}
}

// requestBody.endReading ends the body when the handler of the request has returned. First, it
// interrupts a read of the body that the transport to the upstream may still be making: it sets the
// read deadline to a time in the past. Later, net/http may read the rest of the body and discard
// it, so that the connection can serve another request. For this, endReading sets a new read
// deadline. Without this deadline, a client that sends no more of its body could keep the
// connection forever. net/http itself could also interrupt the read of the transport, but it would
// then leave the connection without a read deadline.
func (b *requestBody) endReading() {
	b.mu.Lock()
	b.handlerReturned = true
	if !b.isOver {
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
	b.mu.Unlock()
	b.reading.Wait()
	b.end(time.Now().Add(b.timeout))
}

func (b *requestBody) hasEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isOver
}

func (b *requestBody) end(deadline time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.isOver {
		b.isOver = true
		_ = b.control.SetReadDeadline(deadline)
	}
}
