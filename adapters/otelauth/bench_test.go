package otelauth_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// BenchmarkRequest measures a whole request to a guarded API. The token of the request was used
// before. The benchmark measures alternately with and without OpenTelemetry. The result "x" is a
// median: the time of a request with OpenTelemetry, divided by the time without it.
func BenchmarkRequest(b *testing.B) {
	for _, bb := range []struct {
		name    string
		sampler trace.Sampler
	}{
		{"metrics", nil},
		{"metrics, spans not sampled", trace.NeverSample()},
		{"metrics and spans", trace.AlwaysSample()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			issuer := xenaauthtest.NewIssuer(nil)
			defer issuer.Close()
			v, err := xenaauth.NewValidator(issuer.Config())
			if err != nil {
				b.Fatal(err)
			}
			cfg := otelauth.Config{
				MeterProvider: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
			}
			if bb.sampler != nil {
				cfg.TracerProvider = trace.NewTracerProvider(trace.WithSampler(bb.sampler))
			}
			telemetry, err := otelauth.New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			pass := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			rs := xenaauth.AllScopes("testapi")
			off := xenaauth.NewMiddleware(v, nil).Require(rs)(pass)
			on := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: telemetry.Event}).Require(rs)(pass)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
			run := func(h http.Handler) float64 {
				const requests = 500
				start := time.Now()
				for range requests {
					h.ServeHTTP(discardWriter{}, r)
				}
				return float64(time.Since(start).Nanoseconds()) / requests
			}
			run(off)
			run(on)
			var ratios, times []float64
			for b.Loop() {
				a, c := run(off), run(on)
				ratios, times = append(ratios, c/a), append(times, c-a)
			}
			slices.Sort(ratios)
			slices.Sort(times)
			b.ReportMetric(ratios[len(ratios)/2], "x")
			b.ReportMetric(times[len(times)/2], "more-ns/req")
			b.ReportMetric(testing.AllocsPerRun(100, func() { on.ServeHTTP(discardWriter{}, r) }), "allocs/req")
		})
	}
}

// discardWriter is an http.ResponseWriter for the benchmark. It discards everything.
type discardWriter struct{}

func (discardWriter) Header() http.Header         { return http.Header{} }
func (discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (discardWriter) WriteHeader(int)             {}
