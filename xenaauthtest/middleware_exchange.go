package xenaauthtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// exchange is a request that TestMiddleware sends, and the response that it expects.
type exchange struct {
	name   string
	method string // method is the HTTP method of the request; "" means GET
	path   string
	// authorization has the value of each Authorization field in the request; usually there is one.
	authorization []string
	// If plantUser is true, the test server puts the user bob into the context before the guards
	// run.
	plantUser bool
	body      string

	want answer
}

// answer is a response that TestMiddleware expects. The body of the real response, its challenge
// and its field Retry-After must be the same, byte for byte. The method compare also checks the
// other header fields that a refusal must have.
type answer struct {
	status int
	body   string
	// challenge is the expected value of WWW-Authenticate. "" means that this field must be
	// missing.
	challenge  string
	retryAfter string
	// If hasVary is true, the request passes, and the field Vary of the response must contain
	// Authorization.
	hasVary     bool
	validations int // validations is how often the validator must be called
}

// anyChallenge stands in place of the challenge in an expected response if another function
// compares the challenge.
const anyChallenge = "*"

// passedAnswer returns the response that a test expects if a request with a token passes and the
// handler is greetUser. subject is the subject of the user, or "" if there is no user.
func passedAnswer(subject string) answer {
	return answer{status: http.StatusOK, body: "hello " + subject, validations: 1}
}

// greetUser is the handler of most routes in TestMiddleware. Its response greets the user.
func greetUser(w http.ResponseWriter, r *http.Request, user *xenaauth.User, ok bool) {
	subject := ""
	if ok {
		subject = user.Subject()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprint(w, "hello "+subject+string(body))
}

func bearerToken(token string) []string { return []string{"Bearer " + token} }

// middlewareSuite.run sends the requests of the exchanges one after the other, and compares the
// responses with the expected ones. All requests use the same connection, unless the server closes
// it.
func (s *middlewareSuite) run(t *testing.T, m *guardedServer, exchanges []exchange) {
	for _, e := range exchanges {
		if s.plainValidator != nil && len(e.authorization) == 1 &&
			(e.authorization[0] == "Bearer "+tokenOutage || e.authorization[0] == "Bearer "+tokenForeign) {
			continue
		}
		t.Run(e.name, func(t *testing.T) {
			m.reportErrorsTo(t)
			m.reset()
			s.validator.calls.Store(0)
			resp, body, err := m.send(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			served, events, _ := m.reset()
			e.want.compare(t, e.method, resp, body)
			passes := e.want.status == http.StatusOK
			if runs := map[bool]int{true: 1}[passes]; served != runs {
				t.Errorf("the handler ran %d times, want %d", served, runs)
			}
			if n := int(s.validator.calls.Load()); s.plainValidator == nil && n != e.want.validations {
				t.Errorf("the token was validated %d times, want %d", n, e.want.validations)
			}
			e.want.compareEvents(t, events)
		})
	}
}

// guardedServer.send sends a request to the test server. It returns the response, and its whole
// body.
func (m *guardedServer) send(ctx context.Context, e exchange) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	method := e.method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, m.server.URL+e.path, strings.NewReader(e.body))
	if err != nil {
		return nil, "", err
	}
	if e.authorization != nil {
		req.Header["Authorization"] = e.authorization
	}
	if e.plantUser {
		req.Header.Set(plantHeader, "1")
	}
	resp, err := m.server.Client().Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", fmt.Errorf("the body breaks off after %q: %w", body, err)
	}
	return resp, string(body), nil
}

func (want answer) compare(t *testing.T, method string, resp *http.Response, body string) {
	t.Helper()
	if resp.StatusCode != want.status {
		t.Errorf("status %d, want %d", resp.StatusCode, want.status)
	}
	if body != want.body {
		t.Errorf("body %q\nwant %q", body, want.body)
	}
	if want.challenge != anyChallenge {
		wantField(t, resp.Header, "WWW-Authenticate", want.challenge)
	}
	wantField(t, resp.Header, "Retry-After", want.retryAfter)
	refusal := want.status != http.StatusOK
	if (refusal || want.hasVary) && !slices.Contains(resp.Header.Values("Vary"), "Authorization") {
		t.Errorf("Vary %q, want Authorization in it", resp.Header.Values("Vary"))
	}
	if !refusal {
		return
	}
	wantField(t, resp.Header, "Cache-Control", "no-store")
	if method == http.MethodHead {
		return
	}
	if strings.HasPrefix(want.body, "{") {
		wantField(t, resp.Header, "Content-Type", "application/problem+json")
		wantField(t, resp.Header, "X-Content-Type-Options", "nosniff")
	}
	if resp.ContentLength != int64(len(want.body)) {
		t.Errorf("Content-Length %s, want %d", strconv.FormatInt(resp.ContentLength, 10), len(want.body))
	}
}

// answer.compareEvents compares the calls of the hook Options.Event with the response. A request
// that passes causes one event, and a refused request causes one event with the refusal. If the
// guard of a group lets a request pass and the guard of the route refuses it, there are two events.
func (want answer) compareEvents(t *testing.T, events []xenaauth.Event) {
	t.Helper()
	if len(events) == 0 || len(events) > 2 {
		t.Errorf("Options.Event was called %d times", len(events))
		return
	}
	if len(events) == 2 && (want.status == http.StatusOK || events[0].Err != nil) {
		t.Errorf("Options.Event was called with %q and %q", events[0].Outcome, events[1].Outcome)
	}
	e := events[len(events)-1]
	outcome := xenaauth.OutcomeRefused
	switch {
	case want.status == http.StatusServiceUnavailable:
		outcome = xenaauth.OutcomeUnavailable
	case want.status == http.StatusOK && e.User == nil:
		outcome = xenaauth.OutcomeAnonymous
	case want.status == http.StatusOK:
		outcome = xenaauth.OutcomeAllowed
	}
	if e.Outcome != outcome || (e.Err != nil) != (want.status != http.StatusOK) || e.Err != nil && e.Err.StatusCode() != want.status {
		t.Errorf("the event of the request is %q, %v, want %q", e.Outcome, e.Err, outcome)
	}
}

// wantField requires that a header field occurs once in a response and has the value want. If want
// is "", the field must be missing.
func wantField(t *testing.T, h http.Header, name, want string) {
	t.Helper()
	var values []string
	if want != "" {
		values = []string{want}
	}
	if got := h.Values(name); !slices.Equal(got, values) {
		t.Errorf("%s %q\nwant %q", name, got, values)
	}
}
