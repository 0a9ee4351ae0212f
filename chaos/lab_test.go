package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A lab is a test environment: an issuer behind a faultProxy. All URLs in the issuer's metadata
// lead to the faultProxy.
type lab struct {
	t          testing.TB
	issuer     *xenaauthtest.Issuer
	faultProxy *faultProxy
	url        string
	client     *http.Client // the HTTP client of the API; nil means the library's own client
	// nameServer is the DNS server for the issuer's host name; nil if the issuer has no host name
	nameServer *nameServer
	// certificates contains the TLS certificates between which the test can change; nil if the test
	// changes none
	certificates *certificateChoice
	// relay makes connections to the issuer die silently; nil if the test needs no such connections
	relay *relay

	protocol protocol
}

func newLab(t testing.TB) *lab {
	t.Helper()
	g := newFaultProxy(t)
	return newLabAt(t, g, g.url())
}

// newLabAt returns a lab whose issuer has the given URL. The caller must choose a URL that leads to
// the given faultProxy, because it is the proxy between the library and the issuer.
func newLabAt(t testing.TB, g *faultProxy, url string) *lab {
	t.Helper()
	l := &lab{t: t, faultProxy: g, url: url}
	l.issuer = xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{URL: url, Algorithm: "ES256"})
	t.Cleanup(l.issuer.Close)
	l.issuer.SetMetadata(l.metadata())
	l.issuer.ResetCalls()
	g.forwardTo(l.issuer.Addr())
	return l
}

// lab.metadata returns the metadata of the issuer. In it, the URLs of the endpoints lead to the
// faultProxy.
func (l *lab) metadata() []byte {
	recorder := httptest.NewRecorder()
	l.issuer.SetMetadata(nil)
	l.issuer.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
	return []byte(strings.ReplaceAll(recorder.Body.String(), l.issuer.Addr(), l.url))
}

func (l *lab) config() xenaauth.Config {
	cfg := l.issuer.HybridConfig()
	cfg.HTTPClient = l.client
	cfg.AllowHTTP = true
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

func (l *lab) jwt(subject string) string {
	return l.issuer.JWT(xenaauthtest.Token{Subject: subject})
}

func (l *lab) opaque(subject string) string {
	return l.issuer.Opaque(xenaauthtest.Token{Subject: subject})
}

// lab.jwtOfUnknownKey returns a JWT that was signed with an unpublished key. The rest of the JWT is
// valid.
func (l *lab) jwtOfUnknownKey(kid string) string {
	return l.issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": kid, "x5t": nil}})
}

// The type api is an API with a guarded handler. It has a real HTTP server, unless newAPI has made
// it.
type api struct {
	t         testing.TB
	validator *xenaauth.Validator
	handler   http.Handler
	server    *httptest.Server
	client    *http.Client
}

func (l *lab) api(change ...func(*xenaauth.Config)) *api {
	l.t.Helper()
	cfg := l.config()
	for _, c := range change {
		c(&cfg)
	}
	a := newAPI(l.t, cfg)
	a.server = httptest.NewServer(a.handler)
	l.t.Cleanup(a.server.Close)
	transport := a.server.Client().Transport.(*http.Transport)
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 4096, 0
	a.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	return a
}

// newAPI returns a guarded API without an HTTP server. A test calls its handler with api.serve.
func newAPI(t testing.TB, cfg xenaauth.Config) *api {
	t.Helper()
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		_, _ = io.WriteString(w, user.Subject())
	})
	guard := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))
	return &api{t: t, validator: v, handler: guard(hello)}
}

// An answer is the response that a client got from the API.
type answer struct {
	status int
	reason string // why the API refused the request, or "" if it did not
	retry  string // the value of the header field Retry-After
	body   string
	took   time.Duration
}

// String returns the response as the tables of docs/reliability.md write it.
func (a answer) String() string {
	switch {
	case a.reason == "":
		return fmt.Sprint(a.status)
	case a.status == http.StatusServiceUnavailable:
		return fmt.Sprintf("503, Retry-After: %s", a.retry)
	default:
		return fmt.Sprintf("%d %s", a.status, a.reason)
	}
}

// api.get sends a request with a token to the API. Several goroutines may call it at the same time.
func (a *api) get(ctx context.Context, token string) answer {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server.URL, nil)
	if err != nil {
		a.t.Error(err)
		return answer{}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	start := time.Now()
	resp, err := a.client.Do(r)
	if err != nil {
		if ctx.Err() == nil {
			a.t.Errorf("the API doesn't answer: %v", err)
		}
		return answer{}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Error(err)
	}
	return read(resp.StatusCode, resp.Header, body, time.Since(start))
}

// api.serve calls the handler of the API directly. A test uses it if the API has no HTTP server.
func (a *api) serve(ctx context.Context, token string) answer {
	recorder := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	start := time.Now()
	a.handler.ServeHTTP(recorder, r)
	return read(recorder.Code, recorder.Header(), recorder.Body.Bytes(), time.Since(start))
}

func read(status int, header http.Header, body []byte, took time.Duration) answer {
	a := answer{status: status, retry: header.Get("Retry-After"), body: string(body), took: took}
	var problem struct{ Reason string }
	if status != http.StatusOK && json.Unmarshal(body, &problem) == nil {
		a.reason = problem.Reason
	}
	return a
}

// api.expect sends a request with a token, and fails the test unless the API responds with
// wantResponse. wantResponse is written as in the tables of docs/reliability.md.
func (a *api) expect(token, wantResponse string) {
	a.t.Helper()
	if got := a.get(a.t.Context(), token); got.String() != wantResponse && !got.matchesUnavailable(wantResponse) {
		a.t.Errorf("got %s, want %s", got, wantResponse)
	}
}

// unavailableUpTo returns the response that a test expects from the API after the issuer has sent
// Retry-After. This response has status 503 and a Retry-After of at most the given seconds. The
// Retry-After may be less, because some of the time may have passed already.
func unavailableUpTo(seconds int) string { return fmt.Sprintf("503, Retry-After: up to %d", seconds) }

// answer.matchesUnavailable compares the response with wantResponse, a result of unavailableUpTo.
// It returns true if the status is 503 and Retry-After is at most the number of seconds in
// wantResponse. If wantResponse is another text, it returns false.
func (a answer) matchesUnavailable(wantResponse string) bool {
	seconds, err := strconv.Atoi(a.retry)
	var most int
	_, scanned := fmt.Sscanf(wantResponse, "503, Retry-After: up to %d", &most)
	return scanned == nil && err == nil && a.status == http.StatusServiceUnavailable && 1 <= seconds && seconds <= most
}

// api.waitUntilAccepted sends requests with a token until the API accepts one of them. It returns
// how long this took. The test fails if an earlier request gets another status than 503, or if it
// took longer than timeLimit.
func (a *api) waitUntilAccepted(what, token string, timeLimit time.Duration) time.Duration {
	start, allowed := time.Now(), allow(timeLimit)
	for {
		got := a.get(a.t.Context(), token)
		took := time.Since(start)
		switch {
		case got.status == http.StatusOK:
			if allowed.exceeded(took) {
				a.t.Errorf("%s: passes after %v, want %v at most", what, took, timeLimit)
			}
			return took
		case got.status != http.StatusServiceUnavailable:
			a.t.Errorf("%s: %v while it recovers", what, got)
			return took
		case took > timeLimit+10*time.Second:
			a.t.Errorf("%s: doesn't recover: %v", what, got)
			return took
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// logLines stores the lines that a logger writes, so that a test can read them.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) has(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
