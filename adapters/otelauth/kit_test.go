package otelauth_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// testService is a guarded API with OpenTelemetry. A test can read the spans and the metrics that
// the API makes.
type testService struct {
	issuer    *xenaauthtest.Issuer
	telemetry *otelauth.Telemetry
	validator *xenaauth.Validator
	auth      *xenaauth.Middleware
	tracers   *trace.TracerProvider
	spans     *tracetest.InMemoryExporter
	reader    *metric.ManualReader
}

func startService(t *testing.T, change func(*otelauth.Config)) *testService {
	t.Helper()
	s := &testService{
		issuer: xenaauthtest.NewIssuer(nil),
		spans:  tracetest.NewInMemoryExporter(),
		reader: metric.NewManualReader(),
	}
	t.Cleanup(s.issuer.Close)
	s.tracers = trace.NewTracerProvider(trace.WithSyncer(s.spans))
	cfg := otelauth.Config{
		TracerProvider: s.tracers,
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(s.reader)),
	}
	if change != nil {
		change(&cfg)
	}
	s.addGuard(t, cfg)
	return s
}

// testService.addGuard makes the Middleware that guards the API. cfg configures its spans and
// metrics.
func (s *testService) addGuard(t *testing.T, cfg otelauth.Config) {
	t.Helper()
	var err error
	s.telemetry, err = otelauth.New(cfg)
	require.NoError(t, err)
	config := s.issuer.HybridConfig()
	config.Logger = slog.New(slog.DiscardHandler)
	config.BeforeIssuerCall, config.IssuerCall = s.telemetry.BeforeIssuerCall, s.telemetry.IssuerCall
	s.validator, err = xenaauth.NewValidator(config)
	require.NoError(t, err)
	_, err = s.telemetry.Watch(s.validator)
	require.NoError(t, err)
	s.auth = xenaauth.NewMiddleware(s.validator, &xenaauth.Options{Event: s.telemetry.Event})
}

// testService.send sends a request to the guarded API. The request has a span with the name
// "server". The result is the status of the response.
func (s *testService) send(t *testing.T, rs xenaauth.Requirement, authorization string) int {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /invoices/{id}", s.auth.Require(rs)(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) {})))
	ctx, span := s.tracers.Tracer("test").Start(t.Context(), "server")
	defer span.End()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/invoices/7", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Code
}

// testService.spansNamed returns the spans with the given name that have ended since the start of
// the test. If the test has called the method Reset of the exporter, earlier spans are not
// returned.
func (s *testService) spansNamed(name string) (found tracetest.SpanStubs) {
	for _, span := range s.spans.GetSpans() {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

// testService.metrics collects the metrics of the API, and returns them by name.
func (s *testService) metrics(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(context.WithoutCancel(t.Context()), &all))
	byName := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// textsByName returns the values of attributes as strings, by the name of the attribute.
func textsByName(all []attribute.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, a := range all {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// countsOf returns how many values a histogram has recorded, for each set of attributes.
func countsOf(m metricdata.Metrics) map[string]uint64 {
	all := make(map[string]uint64)
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		all[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
	}
	return all
}
