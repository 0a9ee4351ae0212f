package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"
)

const (
	maxCalls   = 10 // that a session remembers
	maxStreams = 6  // of a session: one for each open tab
)

// showCall makes a call the last one of the session, and wakes up its streams.
func (s *session) showCall(c *watch.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) > 0 && s.calls[0].ID == c.ID {
		s.calls[0] = c
	} else {
		s.calls = append([]*watch.Call{c}, s.calls[:min(len(s.calls), maxCalls-1)]...)
	}
	for stream := range s.streams {
		select {
		case stream <- struct{}{}:
		default: // it is awake already
		}
	}
}

// listen adds a stream, unless the session has too many. The function ends the stream.
func (s *session) listen() (wake chan struct{}, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) >= maxStreams {
		return nil, nil
	}
	wake = make(chan struct{}, 1)
	s.streams[wake] = true
	return wake, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, wake)
	}
}

// events is a stream of server-sent events. Each event "call" is the template "call" with the last
// call of the session, as far as it is known.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	s := a.sessions.of(w, r)
	wake, end := s.listen()
	if end == nil {
		http.Error(w, "too many streams", http.StatusTooManyRequests)
		return
	}
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		if http.NewResponseController(w).Flush() != nil {
			return // the browser has gone
		}
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
		s.mu.Lock()
		last := s.calls[0]
		s.mu.Unlock()
		var html bytes.Buffer
		if pages.WriteCall(&html, last) != nil {
			return
		}
		fmt.Fprint(w, "event: call\n")
		for line := range strings.Lines(html.String()) {
			fmt.Fprintf(w, "data: %s\n", strings.TrimRight(line, "\r\n"))
		}
		fmt.Fprint(w, "\n")
	}
}
