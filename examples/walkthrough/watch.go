package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
)

// watcher watches the calls that the pages send, with the hooks of xenaauth.
type watcher struct {
	client  *http.Client
	sending sync.Mutex // one call at a time: so each call to the issuer belongs to it

	mu      sync.Mutex
	session *session // of the call under way; nil if there is none
	call    Call
	check   tokencheck.Check
}

const (
	maxCalls = 10       // that a session remembers
	maxBody  = 16 << 10 // of a response
)

// watch returns a watcher, and cfg with the hooks that it needs.
func watch(cfg xenaauth.Config) (*watcher, xenaauth.Config) {
	w := &watcher{client: &http.Client{Timeout: 20 * time.Second}, check: tokencheck.Check{Config: cfg}}
	cfg.HTTPClient = &http.Client{Transport: documents{w, http.DefaultTransport}}
	cfg.BeforeIssuerCall = func(ctx context.Context, document string, _ http.Header) context.Context {
		return context.WithValue(ctx, documentKey{}, document)
	}
	cfg.IssuerCall = func(_ context.Context, i xenaauth.IssuerCall) {
		w.update(func(c *Call) { c.Issuer = append(c.Issuer, IssuerCall{i.Document, i.Status, i.Duration}) })
	}
	return w, cfg
}

// update changes the call under way, and shows it to its session.
func (w *watcher) update(change func(*Call)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil {
		return
	}
	change(&w.call)
	shown := w.call
	shown.Issuer, shown.Stages = slices.Clone(shown.Issuer), slices.Clone(shown.Stages)
	w.session.showCall(&shown)
}

// watched gives the requests of the pages a mark, so that event knows them.
func watched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, r.Header.Get(callField))))
	})
}

type callKey struct{}

// callField is the header field with the id of a call.
const callField = "X-Walkthrough-Call"

// event is Options.Event of the API.
func (w *watcher) event(ctx context.Context, e xenaauth.Event) {
	w.update(func(c *Call) {
		if ctx.Value(callKey{}) != c.ID {
			return // a request that no page has sent
		}
		c.Outcome, c.Source, c.Took, c.Waited = e.Outcome, e.Source, e.Duration, e.Upstream
		if e.Err != nil {
			c.Reason = string(e.Err.Reason)
		}
		at := slices.IndexFunc(routes, func(r route) bool { return r.pattern == e.Route })
		w.check.Scopes = routes[at].scopes
		c.Stages = stagesOf(e, w.check, routes[at].policy != nil)
	})
}

// send sends a call of a session to the API, and watches it.
func (a *app) send(ctx context.Context, s *session, c call) error {
	w := a.watcher
	w.sending.Lock()
	defer w.sending.Unlock()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.apiURL+c.path, nil)
	if err != nil {
		return err
	}
	token, credentials := "", "none"
	if c.token != nil {
		if token, err = c.token(ctx, a, s); err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		credentials = fmt.Sprintf("Authorization: Bearer %s (%d bytes)", cut(token), len(token))
	}
	if c.apiKey != "" {
		r.Header.Set("XenaApiKey", c.apiKey)
		credentials = "XenaApiKey: " + c.apiKey
	}
	if c.down {
		a.issuer.own.SetDown(true)
		defer a.issuer.own.SetDown(false)
	}
	id := rand.Text()
	r.Header.Set(callField, id)
	w.mu.Lock()
	w.session, w.check.Token, w.check.Introspection = s, token, ""
	w.call = Call{
		ID: id, Name: c.name, Label: texts.Calls[c.name][0], What: texts.Calls[c.name][1],
		Method: r.Method, Path: c.path, Credentials: credentials, Sent: time.Now(),
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.session = nil
		w.mu.Unlock()
	}()
	w.update(func(*Call) {}) // shows the request
	response, err := w.client.Do(r)
	if err != nil {
		return errors.New("the API can't be reached")
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	w.update(func(c *Call) {
		c.Status, c.StatusText = response.StatusCode, http.StatusText(response.StatusCode)
		c.Body, c.Done = string(body), true
		for _, name := range []string{"WWW-Authenticate", "Retry-After", "Content-Type", "Cache-Control"} {
			if value := response.Header.Get(name); value != "" {
				c.Fields = append(c.Fields, Param{name, value, texts.Fields[name]})
			}
		}
	})
	return err
}

// documents is the transport of the API's calls to the issuer. It keeps the documents with which
// package tokencheck explains a check.
type documents struct {
	*watcher
	next http.RoundTripper
}

type documentKey struct{}

// RoundTrip implements [http.RoundTripper].
func (d documents) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(strings.NewReader(string(body)))
	d.mu.Lock()
	defer d.mu.Unlock()
	switch document := r.Context().Value(documentKey{}); {
	case response.StatusCode != http.StatusOK:
	case document == "jwks":
		d.check.JWKS = string(body)
	case document == "introspection":
		d.check.Introspection = string(body)
	}
	return response, nil
}
