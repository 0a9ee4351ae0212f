package promauth_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// testService is a guarded API with Prometheus metrics.
type testService struct {
	t         *testing.T
	issuer    *xenaauthtest.Issuer
	validator *xenaauth.Validator
	metrics   *promauth.Metrics
	registry  *prometheus.Registry
	handler   http.Handler
}

// startService starts a guarded API for a test. The API accepts JWTs and opaque tokens.
func startService(t *testing.T, o *promauth.Options, change func(*xenaauth.Config)) *testService {
	t.Helper()
	s := &testService{t: t, issuer: xenaauthtest.NewIssuer(nil), metrics: promauth.New(o), registry: prometheus.NewRegistry()}
	cfg := s.issuer.HybridConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.IssuerCall = s.metrics.IssuerCall
	if change != nil {
		change(&cfg)
	}
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.validator = v
	s.metrics.Watch(v)
	s.registry.MustRegister(s.metrics)
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: s.metrics.Event, Logger: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /users/{name}", auth.Require(xenaauth.AnyUser())(ok))
	mux.Handle("GET /admin", auth.Require(xenaauth.AllScopes("admin"))(ok))
	mux.Handle("GET /news", auth.Optional(ok))
	s.handler = mux
	return s
}

// testService.get sends a GET request to the API, and requires that the response has the given
// status.
func (s *testService) get(status int, url, token string) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "https://api.example"+url, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != status {
		s.t.Errorf("GET %s: %d, want %d: %s", url, w.Code, status, w.Body)
	}
}

// testService.scrape returns the metrics of the API in the text format that Prometheus reads.
func (s *testService) scrape() string {
	s.t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(
		s.t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		s.t.Fatalf("the metrics can't be collected: %s", w.Body)
	}
	return w.Body.String()
}

// testService.wantLines requires that the Prometheus metrics of the API contain each of the given
// lines.
func (s *testService) wantLines(lines ...string) {
	s.t.Helper()
	text := s.scrape()
	for _, line := range lines {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			found := regexp.MustCompile(`(?m)^`+name+`.*$`).FindAllString(text, -1)
			s.t.Errorf("the metrics lack %s, they have\n%s", line, strings.Join(found, "\n"))
		}
	}
}

// familyNames returns the names of all metrics in a text. The text has the format in which
// Prometheus reads metrics.
func familyNames(text string) (names []string) {
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return names
}

// programPath returns the path of a program that belongs to Prometheus. If the program is not
// installed, the test is skipped; in CI it fails.
func programPath(t *testing.T, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing: install Debian's package prometheus", name)
		}
		t.Skipf("%s is missing: install Debian's package prometheus", name)
	}
	return path
}

// runPromtool runs promtool, a program of Prometheus, in the folder dir. It returns the output of
// the program.
func runPromtool(t *testing.T, dir string, stdin io.Reader, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programPath(t, "promtool"), args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	out, err := cmd.CombinedOutput()
	return string(out), err
}
