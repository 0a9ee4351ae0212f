package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"crypto/rand"

	"github.com/xenaauth/xenaauth"
)

// watcher watches the calls that the pages send, with the events of xenaauth.
type watcher struct {
	client  *http.Client
	sending sync.Mutex // one call at a time: so each call to the issuer belongs to it

	mu      sync.Mutex
	current *watched // nil while no call is under way
}

// watched is a call under way, with what its session shows of it.
type watched struct {
	session *session
	call    Call
}

func newWatcher() *watcher {
	return &watcher{client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}} // no proxy
}

const (
	maxCalls = 10       // that a session remembers
	maxBody  = 16 << 10 // of a response
)

// update changes the call under way, and shows it to its session.
func (w *watcher) update(change func(*Call)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil {
		return
	}
	change(&w.current.call)
	shown := w.current.call
	shown.Issuer, shown.Stages = slices.Clone(shown.Issuer), slices.Clone(shown.Stages)
	w.current.session.showCall(&shown)
}

// showCall makes a call the last one of the session, and wakes up its streams.
func (s *session) showCall(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) > 0 && s.calls[0].ID == c.ID {
		s.calls[0] = c
	} else {
		s.calls = append([]*Call{c}, s.calls...)
		s.calls = s.calls[:min(len(s.calls), maxCalls)]
	}
	for stream := range s.streams {
		select {
		case stream <- struct{}{}:
		default: // it is awake already
		}
	}
}

// send sends a call of a session to the API, and watches it.
func (a *app) send(ctx context.Context, s *session, c call) error {
	w := a.watcher
	w.sending.Lock()
	defer w.sending.Unlock()
	field, undo, err := c.prepare(ctx, a, s)
	if undo != nil {
		defer undo()
	}
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.apiURL+c.path, nil)
	if err != nil {
		return err
	}
	r.Header = field
	w.mu.Lock()
	w.current = &watched{session: s, call: Call{
		ID: rand.Text(), Name: c.name, Label: c.label, What: c.what, Method: r.Method, Path: c.path,
		Credentials: shown(field), Sent: time.Now(),
	}}
	w.mu.Unlock()
	defer func() {
		w.update(func(c *Call) { c.Done = true })
		w.mu.Lock()
		w.current = nil
		w.mu.Unlock()
	}()
	w.update(func(*Call) {})
	response, err := w.client.Do(r)
	if err != nil {
		return fmt.Errorf("the API can't be reached")
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	w.update(func(c *Call) {
		c.Status, c.StatusText = response.StatusCode, http.StatusText(response.StatusCode)
		c.Body = string(body)
		for _, name := range []string{"WWW-Authenticate", "Retry-After", "Content-Type", "Cache-Control"} {
			for _, value := range response.Header.Values(name) {
				c.Fields = append(c.Fields, Param{Name: name, Value: value})
			}
		}
	})
	return err
}

// shown returns the credentials of a request, with the token cut.
func shown(h http.Header) string {
	for name, values := range h {
		scheme, token, _ := strings.Cut(values[0], " ")
		if token == "" {
			return name + ": " + cut(scheme)
		}
		return fmt.Sprintf("%s: %s %s (%d bytes)", name, scheme, cut(token), len(token))
	}
	return "none"
}

// watched is a handler around the API: it sees the handlers that run.
func (w *watcher) watched(next http.Handler) http.Handler { return next }

// event is Options.Event of the API.
func (w *watcher) event(_ context.Context, e xenaauth.Event) {
	w.update(func(c *Call) {
		c.Outcome, c.Source, c.Took, c.Waited = e.Outcome, e.Source, e.Duration, e.Upstream
		if e.Err != nil {
			c.Reason = string(e.Err.Reason)
		}
		c.Stages = stagesOf(e)
	})
}

// issuerCall is Config.IssuerCall of the API.
func (w *watcher) issuerCall(_ context.Context, i xenaauth.IssuerCall) {
	w.update(func(c *Call) {
		c.Issuer = append(c.Issuer, IssuerCall{i.Document, i.Status, i.Duration})
	})
}

// maxStreams is the number of streams of a session: one for each open tab.
const maxStreams = 6

// events is a stream of server-sent events. Each event "call" is the template "call" with the last
// call of the session.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	s := a.sessions.of(w, r)
	wake := make(chan struct{}, 1)
	s.mu.Lock()
	full := len(s.streams) >= maxStreams
	if !full {
		s.streams[wake] = true
	}
	s.mu.Unlock()
	if full {
		http.Error(w, "too many streams", http.StatusTooManyRequests)
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.streams, wake)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flusher := http.NewResponseController(w)
	_ = flusher.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-wake:
		}
		s.mu.Lock()
		last := s.calls[0]
		s.mu.Unlock()
		var html bytes.Buffer
		if err := a.templates["watch"].ExecuteTemplate(&html, "call", last); err != nil {
			return
		}
		fmt.Fprint(w, "event: call\n")
		for line := range strings.Lines(html.String()) {
			fmt.Fprintf(w, "data: %s\n", strings.TrimRight(line, "\r\n"))
		}
		if _, err := fmt.Fprint(w, "\n"); err != nil || flusher.Flush() != nil {
			return
		}
	}
}
