package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A flushCounter is a ResponseWriter that counts how often data is sent to the client before the
// handler returns.
type flushCounter struct {
	*httptest.ResponseRecorder
	n int
}

func (f *flushCounter) FlushError() error                { f.n++; return nil }
func (f *flushCounter) SetWriteDeadline(time.Time) error { return nil }

// If a response has a Content-Length, the gateway sends each of its pieces immediately, except the
// last piece: it is sent when the handler returns. So a short response needs only one write.
func TestWhatIsSentBeforeTheHandlerReturns(t *testing.T) {
	for name, c := range map[string]struct {
		length string
		pieces []string
		want   int
	}{
		"whole":  {"4", []string{"body"}, 0},
		"pieces": {"8", []string{"bo", "dy", "bo", "dy"}, 3},
		// If the length of a response is not known, ReverseProxy itself flushes each piece of the
		// response.
		"unknown length": {"", []string{"body", "body"}, 0},
		"broken off":     {"9", []string{"body"}, 1},
	} {
		f := &flushCounter{ResponseRecorder: httptest.NewRecorder()}
		w := &response{
			ResponseWriter: f, control: *http.NewResponseController(f), rec: &record{},
			draining: new(atomic.Bool),
		}
		if c.length != "" {
			w.Header().Set("Content-Length", c.length)
		}
		w.WriteHeader(200)
		for _, piece := range c.pieces {
			if _, err := w.Write([]byte(piece)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if f.n != c.want {
			t.Errorf("%s: flushed %d times, want %d", name, f.n, c.want)
		}
	}
}
