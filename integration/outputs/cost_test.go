package outputs

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/auditlog"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// BenchmarkRequest measures what the outputs of the library cost. It sends guarded requests whose
// token is in the cache. In each case, it measures the time of a request without any output, and
// the time of a request with the log, Prometheus and OpenTelemetry turned on. One case also turns
// on the audit log. Each round divides the time with outputs by the time without outputs. The
// metric "x" is the median of these ratios. An allowed request causes no line in the log of
// refusals, but one record in the audit log.
func BenchmarkRequest(b *testing.B) {
	for _, bb := range []struct {
		name    string
		sampler trace.Sampler
		audit   bool
	}{
		{"outputs=all,spans=none", trace.NeverSample(), false},
		{"outputs=all,spans=all", trace.AlwaysSample(), false},
		{"outputs=all,spans=all,audit", trace.AlwaysSample(), true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			issuer := xenaauthtest.NewIssuer(nil)
			defer issuer.Close()
			logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
			metrics := promauth.New(nil)
			telemetry, err := otelauth.New(otelauth.Config{
				TracerProvider: trace.NewTracerProvider(trace.WithSampler(bb.sampler)),
				MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
			})
			fatal(b, err)
			record := auditlog.New(logger, []byte(auditKey))
			event := func(ctx context.Context, e xenaauth.Event) {
				metrics.Event(ctx, e)
				telemetry.Event(ctx, e)
				if bb.audit {
					record(ctx, e)
				}
			}
			cfg := issuer.Config()
			off := mountForCost(b, cfg, xenaauth.Options{})
			cfg.Logger = logger
			cfg.BeforeIssuerCall = telemetry.BeforeIssuerCall
			cfg.IssuerCall = func(ctx context.Context, c xenaauth.IssuerCall) {
				metrics.IssuerCall(ctx, c)
				telemetry.IssuerCall(ctx, c)
			}
			prometheus.NewRegistry().MustRegister(metrics)
			on := mountForCost(b, cfg, xenaauth.Options{Logger: logger, Event: event})

			r := newRequest("/invoices", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
			w := discardingWriter{}
			run := func(h http.Handler) float64 {
				const requests = 500
				start := time.Now()
				for range requests {
					h.ServeHTTP(w, r)
				}
				return float64(time.Since(start).Nanoseconds()) / requests
			}
			run(off)
			run(on)
			var ratios, more []float64
			for b.Loop() {
				a, c := run(off), run(on)
				ratios, more = append(ratios, c/a), append(more, c-a)
			}
			slices.Sort(ratios)
			slices.Sort(more)
			// The usual result ns/op is left out: it would be the time of many requests, half of
			// them without outputs, and not the time of one request.
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ratios[len(ratios)/2], "x")
			b.ReportMetric(more[len(more)/2], "more-ns/request")
			b.ReportMetric(testing.AllocsPerRun(100, func() { on.ServeHTTP(w, r) }), "allocs/request")
		})
	}
}

func mountForCost(b *testing.B, cfg xenaauth.Config, opts xenaauth.Options) http.Handler {
	b.Helper()
	v, err := xenaauth.NewValidator(cfg)
	fatal(b, err)
	return xenaauth.NewMiddleware(v, &opts).Require(xenaauth.AllScopes("testapi"))(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// discardingWriter is a ResponseWriter that discards everything.
type discardingWriter http.Header

func (n discardingWriter) Header() http.Header       { return http.Header(n) }
func (discardingWriter) Write(p []byte) (int, error) { return len(p), nil }
func (discardingWriter) WriteHeader(int)             {}
