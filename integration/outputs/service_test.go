package outputs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/auditlog"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// auditKey is the secret key with which the audit log computes hashes. No output may contain it.
const auditKey = "audit-key-that-is-long-enough-7f3a"

// policySecret is a text that only the policies of the API know. No output may contain it.
const policySecret = "policy-secret-8c41"

// A service is an API with all outputs of the library turned on: logs, audit log, metrics, spans
// and status.
type service struct {
	t         testing.TB
	issuer    *xenaauthtest.Issuer
	network   *issuerTransport
	validator *xenaauth.Validator
	handler   http.Handler
	logger    *slog.Logger

	text, json, audit, eventBuffer, responses bytes.Buffer

	mu       sync.Mutex // mu must be locked while eventBuffer is used
	registry *prometheus.Registry
	spans    *tracetest.InMemoryExporter
	reader   *metric.ManualReader
	last     *xenaauth.Event
}

// newService returns an API that verifies JWTs and introspects opaque tokens. The function
// editConfig, unless it is nil, edits the configuration of the Validator.
func newService(t testing.TB, editConfig func(*xenaauth.Config), proofs ...xenaauth.Proof) *service {
	t.Helper()
	s := &service{
		t: t, issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}),
		registry: prometheus.NewRegistry(),
		spans:    tracetest.NewInMemoryExporter(), reader: metric.NewManualReader(),
	}
	s.network = &issuerTransport{issuer: s.issuer}
	all := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	s.logger = slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(&s.text, all), slog.NewJSONHandler(&s.json, all)))
	audit := auditlog.New(slog.New(slog.NewJSONHandler(&s.audit, nil)), []byte(auditKey))
	metrics := promauth.New(&promauth.Options{Routes: true})
	telemetry, err := otelauth.New(otelauth.Config{
		TracerProvider: trace.NewTracerProvider(trace.WithSyncer(s.spans)),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(s.reader)),
	})
	fatal(t, err)

	cfg := s.issuer.HybridConfig()
	s.network.useInternalURLs(&cfg)
	cfg.Logger = s.logger
	cfg.BeforeIssuerCall = telemetry.BeforeIssuerCall
	cfg.IssuerCall = func(ctx context.Context, c xenaauth.IssuerCall) {
		metrics.IssuerCall(ctx, c)
		telemetry.IssuerCall(ctx, c)
		s.hook("%v %+v\n", c.Err, c)
	}
	if editConfig != nil {
		editConfig(&cfg)
	}
	s.validator, err = xenaauth.NewValidator(cfg)
	fatal(t, err)
	metrics.Watch(s.validator)
	_, err = telemetry.Watch(s.validator)
	fatal(t, err)
	s.registry.MustRegister(metrics)

	s.mount(xenaauth.NewMiddleware(s.validator, &xenaauth.Options{
		Logger: s.logger, Proofs: proofs, ProblemTypes: "https://api.example/problems#",
		Event: func(ctx context.Context, e xenaauth.Event) {
			audit(ctx, e)
			metrics.Event(ctx, e)
			telemetry.Event(ctx, e)
			// If a policy of the API refuses the request, the error contains the text of the
			// policy. In the tests this text contains the token. The library did not write it, so
			// the test leaves this error out of eventBuffer, in which it later looks for tokens.
			if e.Err == nil || e.Err.Reason != xenaauth.ReasonForbidden {
				s.hook("%v %+v ", e.Err, e.Err)
			}
			s.hook("%s %v\n", e.Outcome, e.User)
			s.last = &e
		},
	}))
	return s
}

// service.mount registers the routes of the API.
func (s *service) mount(auth *xenaauth.Middleware) {
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux := http.NewServeMux()
	mux.Handle("GET /invoices", auth.Require(xenaauth.AllScopes("testapi"))(next))
	mux.Handle("GET /admin", auth.Require(xenaauth.AllScopes("admin"))(next))
	mux.Handle("GET /news", auth.Optional(next))
	panics := func(r *http.Request, _ *xenaauth.User) error {
		panic(fmt.Sprint(policySecret, r.Header))
	}
	refuses := func(r *http.Request, _ *xenaauth.User) error {
		// The library writes the error of a policy to the log. The error contains the token, so the
		// library must remove the token from the log record.
		return fmt.Errorf("the company is closed: %s", r.Header)
	}
	mux.Handle("GET /panic", auth.Require(xenaauth.WhereRequest("panic", panics))(next))
	mux.Handle("GET /policy", auth.Require(xenaauth.WhereRequest("policy", refuses))(next))
	s.handler = mux
}

func (s *service) hook(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(&s.eventBuffer, format, args...)
}

// service.send sends a request to the API and stores the whole response. It returns the status.
func (s *service) send(r *http.Request) int {
	w := httptest.NewRecorder()
	func() {
		// An HTTP server of package net/http also recovers if a handler panics, and then writes the
		// panic to the log of the server. The tests need not search this log, because it is not an
		// output of the library.
		defer func() { _ = recover() }()
		s.handler.ServeHTTP(w, r)
	}()
	fatal(s.t, w.Result().Write(&s.responses))
	return w.Code
}

// service.outputs returns everything that the API wrote. The map key is the name of the output, for
// example "audit log".
func (s *service) outputs() map[string]string {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context())
	var measured metricdata.ResourceMetrics
	fatal(s.t, s.reader.Collect(ctx, &measured))
	measurements, err := json.Marshal(measured)
	fatal(s.t, err)
	spans, err := json.Marshal(s.spans.GetSpans())
	fatal(s.t, err)
	get := func(h http.Handler) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		var b bytes.Buffer
		fatal(s.t, w.Result().Write(&b))
		return b.String()
	}
	status := get(s.validator.StatusHandler())
	scrape := get(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]string{
		"log as text": s.text.String(), "log as JSON": s.json.String(), "audit log": s.audit.String(),
		"events": s.eventBuffer.String(), "responses": s.responses.String(), "status": status,
		"Prometheus": scrape, "OpenTelemetry metrics": string(measurements), "OpenTelemetry spans": string(spans),
	}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
