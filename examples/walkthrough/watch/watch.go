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

// Watcher sends calls to the API and observes with the hooks of xenaauth how the API checks them.
type Watcher struct {
	client *http.Client
	texts  Texts
	route  func(pattern string) (scopes []string, policy bool)

	// Send holds this lock, so that only one call runs, and every request to the issuer belongs to
	// this call
	sending sync.Mutex

	mu sync.Mutex
	// showCall shows a changed call to the browser; it is nil if no call is running
	showCall func(*Call)
	call     Call
	check    tokencheck.Check
}

// Texts contains explanations of stages, header fields and parameters. The map key is the name of
// the explained item.
type Texts struct{ Stages, Fields map[string]string }

// maxBody is how many bytes of the body of the API's response are shown.
const maxBody = 16 << 10

// New returns a watcher for an API, and the configuration that the API must use: cfg together with
// the hooks of the watcher. The function findRouteNeeds returns the scopes of the route with the
// given pattern, and whether the route has a policy.
func New(
	cfg xenaauth.Config, texts Texts, findRouteNeeds func(pattern string) (scopes []string, policy bool),
) (*Watcher, xenaauth.Config) {
	w := &Watcher{
		client: &http.Client{Timeout: 20 * time.Second}, texts: texts, route: findRouteNeeds,
		check: tokencheck.Check{Config: cfg},
	}
	cfg.HTTPClient = &http.Client{Transport: documentTransport{w, http.DefaultTransport}}
	cfg.BeforeIssuerCall = func(ctx context.Context, document string, _ http.Header) context.Context {
		return context.WithValue(ctx, documentKey{}, document)
	}
	cfg.IssuerCall = func(_ context.Context, i xenaauth.IssuerCall) {
		w.updateCall(func(c *Call) { c.Issuer = append(c.Issuer, IssuerCall{i.Document, i.Status, i.Duration}) })
	}
	return w, cfg
}

// Watcher.updateCall changes the data of the running API call, and passes the changed Call to
// showCall. If no API call is running, updateCall does nothing.
func (w *Watcher) updateCall(change func(*Call)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.showCall == nil {
		return
	}
	change(&w.call)
	shown := w.call
	shown.Issuer = slices.Clone(shown.Issuer)
	w.showCall(&shown)
}

// callField is the request header field that contains the ID of a call. The watcher sends it to the
// API.
const callField = "X-Walkthrough-Call"

type callKey struct{}

// Handler returns a handler that calls apiHandler, the handler of the API. It first puts the ID of
// the call into the context of the request. The method [Watcher.Event] reads the ID from there.
func (w *Watcher) Handler(apiHandler http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), callKey{}, r.Header.Get(callField))
		apiHandler.ServeHTTP(out, r.WithContext(ctx))
	})
}

// Event receives the events of the API's middleware. Assign this method to the field Event of the
// middleware's Options.
func (w *Watcher) Event(ctx context.Context, e xenaauth.Event) {
	w.updateCall(func(c *Call) {
		if ctx.Value(callKey{}) != c.ID {
			return // the event is about a request that the watcher did not send
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

// Send sends the request r to the API. First it calls getToken, which returns two things: the token
// for r, or "" for a request without a token, and the function finishCall. Send calls finishCall
// after the response to r has arrived. Send sends no other request between getToken and finishCall.
// During the request, more and more becomes known about it. Each time, Send passes a new Call to
// the function showCall.
func (w *Watcher) Send(
	r *http.Request, c Call, showCall func(*Call), getToken func() (token string, finishCall func(), err error),
) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	token, finishCall, err := getToken()
	defer finishCall()
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
	w.showCall, w.call, w.check.Token, w.check.Introspection = showCall, c, token, ""
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.showCall = nil
		w.mu.Unlock()
	}()
	// This call of updateCall changes no field. It only calls showCall, so that the browser shows
	// the request to the API before Send sends the request.
	w.updateCall(func(*Call) {})
	response, err := w.client.Do(r)
	if err != nil {
		return errors.New("the API can't be reached")
	}
	defer response.Body.Close() //nolint:errcheck // after reading, no error of Close matters
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	w.updateCall(func(c *Call) {
		c.Status, c.StatusText = response.StatusCode, http.StatusText(response.StatusCode)
		c.Body, c.Done = indentJSON(body), true
		for _, name := range []string{"WWW-Authenticate", "Retry-After", "Content-Type", "Cache-Control"} {
			if value := response.Header.Get(name); value != "" {
				c.Fields = append(c.Fields, Param{name, value, w.texts.Fields[name]})
			}
		}
		for _, p := range challengeParam.FindAllStringSubmatch(response.Header.Get("WWW-Authenticate"), -1) {
			c.Challenge = append(c.Challenge, Param{p[1], p[2], w.texts.Fields[p[1]]})
		}
	})
	return err
}

// indentJSON adds line breaks and indentation to a JSON text, so that people can read it. It
// returns any other text unchanged.
func indentJSON(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	return b.String()
}

// challengeParam is a regular expression for a parameter of a challenge (RFC 9110, section 11.2) in
// the form that xenaauth writes.
var challengeParam = regexp.MustCompile(`(\w+)="([^"]*)"`)

// documentTransport is the HTTP transport for the API's requests to the issuer. It stores the
// issuer's responses in the watcher, because package tokencheck needs them to explain how a token
// was checked.
type documentTransport struct {
	*Watcher
	next http.RoundTripper
}

type documentKey struct{}

// RoundTrip sends a request of the API to the issuer and stores the response. It implements
// [http.RoundTripper].
func (d documentTransport) RoundTrip(r *http.Request) (*http.Response, error) {
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
