package watch

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Log contains the recent API calls of a browser. After each change of a call, it tells the open
// event streams of the browser. The zero value is an empty log.
type Log struct {
	mu      sync.Mutex
	calls   []*Call // the API calls, the newest call first
	streams []chan struct{}
}

const (
	maxCalls = 10 // a log contains at most this number of API calls
	// MaxStreams is how many event streams a browser may have at the same time. Each open tab of
	// the browser needs a stream.
	MaxStreams = 6
)

// Calls returns the recent API calls of the browser, the newest call first.
func (l *Log) Calls() []*Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Show adds an API call to the log. If the newest call in the log has the same ID, Show replaces
// that call.
func (l *Log) Show(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls) > 0 && l.calls[0].ID == c.ID {
		l.calls[0] = c
	} else {
		l.calls = append([]*Call{c}, l.calls[:min(len(l.calls), maxCalls-1)]...)
	}
	for _, stream := range l.streams {
		select {
		case stream <- struct{}{}:
		default:
			// The channel of this event stream still contains an earlier signal. After the stream
			// has read this signal, it sends the newest API call in the log to the browser: the
			// call c, or a later one. So the stream needs no second signal.
		}
	}
}

// Log.addStream adds an event stream. It returns the channel that gets a value after each change in
// the log. ok is false if the log already has MaxStreams streams.
func (l *Log) addStream() (wake chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) == MaxStreams {
		return nil, false
	}
	wake = make(chan struct{}, 1)
	l.streams = append(l.streams, wake)
	return wake, true
}

func (l *Log) removeStream(wake chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = slices.DeleteFunc(l.streams, func(c chan struct{}) bool { return c == wake })
}

// Stream writes server-sent events to a browser until the browser closes the connection. After each
// change in the log, Stream sends an event named "call". The event contains the newest call as
// HTML.
func (l *Log) Stream(w http.ResponseWriter, r *http.Request, html func(io.Writer, *Call) error) {
	wake, ok := l.addStream()
	if !ok {
		http.Error(w, "too many streams", http.StatusTooManyRequests)
		return
	}
	defer l.removeStream(wake)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for http.NewResponseController(w).Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
		var text bytes.Buffer
		if html(&text, l.Calls()[0]) != nil {
			return
		}
		fmt.Fprint(w, "event: call\n")
		for line := range strings.Lines(text.String()) {
			fmt.Fprintf(w, "data: %s\n", strings.TrimRight(line, "\r\n"))
		}
		fmt.Fprint(w, "\n")
	}
}
