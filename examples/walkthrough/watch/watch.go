package watch

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/tokencheck"
)

// Watcher watches the calls that it sends, with the hooks of xenaauth.
type Watcher struct {
	client *http.Client
	texts  Texts
	route  func(pattern string) (scopes []string, policy bool)

	sending sync.Mutex // one call at a time, so that every IssuerCall belongs to the call under way

	mu    sync.Mutex
	show  func(*Call) // nil if no call is under way
	call  Call
	check tokencheck.Check
}

// Texts explain stages, header fields and parameters of challenges, by their names.
type Texts struct{ Stages, Fields map[string]string }

// maxBody is the number of bytes that are shown of a response.
const maxBody = 16 << 10

// New returns a watcher for an API with the configuration cfg, and cfg with the hooks of the
// watcher. route says what a route requires.
func New(
	cfg xenaauth.Config, texts Texts, route func(pattern string) (scopes []string, policy bool),
) (*Watcher, xenaauth.Config) {
	w := &Watcher{
		client: &http.Client{Timeout: 20 * time.Second}, texts: texts, route: route,
		check: tokencheck.Check{Config: cfg},
	}
	cfg.HTTPClient = &http.Client{Transport: documents{w, http.DefaultTransport}}
	cfg.BeforeIssuerCall = func(ctx context.Context, document string, _ http.Header) context.Context {
		return context.WithValue(ctx, documentKey{}, document)
	}
	cfg.IssuerCall = func(_ context.Context, i xenaauth.IssuerCall) {
		w.update(func(c *Call) { c.Issuer = append(c.Issuer, IssuerCall{i.Document, i.Status, i.Duration}) })
	}
	return w, cfg
}

// update changes the call under way, and shows it.
func (w *Watcher) update(change func(*Call)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.show == nil {
		return
	}
	change(&w.call)
	shown := w.call
	shown.Issuer = slices.Clone(shown.Issuer)
	w.show(&shown)
}

// callField is the header field with the id of a call.
const callField = "X-Walkthrough-Call"

type callKey struct{}

// Handler wraps the API, so that Event knows the calls of the watcher.
func (w *Watcher) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), callKey{}, r.Header.Get(callField))
		next.ServeHTTP(out, r.WithContext(ctx))
	})
}

// Event is Options.Event of the API.
func (w *Watcher) Event(ctx context.Context, e xenaauth.Event) {
	w.update(func(c *Call) {
		if ctx.Value(callKey{}) != c.ID {
			return // another request, which the watcher did not send
		}
		c.Outcome, c.Source, c.Took, c.Waited = e.Outcome, e.Source, e.Duration, e.Upstream
		if e.Err != nil {
			c.Reason, c.Why = string(e.Err.Reason), e.Err.Detail()
		}
		scopes, policy := w.route(e.Route)
		w.check.Scopes = scopes
		c.Stages = stagesOf(e, w.check, policy)
		for i := range c.Stages {
			c.Stages[i].Asks = w.texts.Stages[c.Stages[i].Name]
		}
	})
}

// Send sends a request, and calls show each time when more is known about the call. prepare returns
// the token, or "" for a request without a token. Send calls the function end after the response, and
// sends no other request between prepare and end.
func (w *Watcher) Send(
	r *http.Request, c Call, show func(*Call), prepare func() (token string, end func(), err error),
) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	token, end, err := prepare()
	defer end()
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
		c.Credentials = fmt.Sprintf("Authorization: Bearer %s… (%d bytes)", token[:min(len(token), 12)], len(token))
	}
	c.ID, c.Method, c.Path, c.Sent = rand.Text(), r.Method, r.URL.Path, time.Now()
	r.Header.Set(callField, c.ID)
	w.mu.Lock()
	w.show, w.call, w.check.Token, w.check.Introspection = show, c, token, ""
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.show = nil
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
		c.Body, c.Done = indented(body), true
		for _, name := range []string{"WWW-Authenticate", "Retry-After", "Content-Type", "Cache-Control"} {
			if value := response.Header.Get(name); value != "" {
				c.Fields = append(c.Fields, Param{name, value, w.texts.Fields[name]})
			}
		}
		for _, p := range param.FindAllStringSubmatch(response.Header.Get("WWW-Authenticate"), -1) {
			c.Challenge = append(c.Challenge, Param{p[1], p[2], w.texts.Fields[p[1]]})
		}
	})
	return err
}

// indented returns JSON with line breaks, so that it can be read. It returns other texts as they are.
func indented(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	return b.String()
}

// param matches a parameter of a challenge (RFC 9110, section 11.2) as xenaauth writes it.
var param = regexp.MustCompile(`(\w+)="([^"]*)"`)

// documents is the transport of the API's calls to the issuer. It keeps the documents with which
// package tokencheck explains a check.
type documents struct {
	*Watcher
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
