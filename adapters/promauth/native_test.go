package promauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/promauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// scrapeAs reads the metrics over HTTP, as Prometheus does. The parameter accept names the format
// of the response.
func scrapeAs(t *testing.T, registry *prometheus.Registry, accept string) (body io.Reader, format expfmt.Format) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body, expfmt.ResponseFormat(w.Header())
}

const protobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// scrapeFamilies reads the metrics in the only format that contains native histograms (protobuf).
// It returns the metrics by name.
func scrapeFamilies(t *testing.T, registry *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	body, format := scrapeAs(t, registry, protobuf)
	if format.FormatType() != expfmt.TypeProtoDelim {
		t.Fatalf("the format is %s", format)
	}
	all := make(map[string]*dto.MetricFamily)
	for d := expfmt.NewDecoder(body, format); ; {
		family := new(dto.MetricFamily)
		if err := d.Decode(family); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[family.GetName()] = family
	}
}

// Prometheus has two kinds of histograms: classic ones with few buckets, and native ones with many.
// Each histogram of promauth must be both. The native one must have the better resolution.
func TestNativeHistograms(t *testing.T) {
	s := startService(t, nil, nil)
	s.get(http.StatusOK, "/users/ann", s.issuer.JWT(xenaauthtest.Token{}))
	s.get(http.StatusOK, "/users/ann", s.issuer.Opaque(xenaauthtest.Token{}))
	s.metrics.Event(t.Context(), xenaauth.Event{Outcome: xenaauth.OutcomeRefused, Duration: 3 * time.Second, Upstream: time.Second})
	all := scrapeFamilies(t, s.registry)
	for _, name := range []string{"check_duration_seconds", "check_upstream_seconds", "issuer_call_duration_seconds"} {
		metrics := all["xenaauth_"+name].GetMetric()
		if len(metrics) == 0 {
			t.Errorf("%s: there is no series", name)
		}
		for _, m := range metrics {
			h := m.GetHistogram()
			if len(h.GetPositiveSpan()) == 0 || h.GetSchema() != 3 || h.GetSampleCount() == 0 {
				t.Errorf("%s: not a native histogram: %v", name, h)
			}
			if len(h.GetBucket()) < 10 {
				t.Errorf("%s: not a classic histogram: %v", name, h)
			}
		}
	}
}

type traceKey struct{}

// An exemplar has the id of the request's trace. A request is measured without an exemplar if it
// has no trace, or if the id of its trace is too long or not UTF-8.
func TestExemplars(t *testing.T) {
	id := func(ctx context.Context) string {
		id, _ := ctx.Value(traceKey{}).(string)
		return id
	}
	m := promauth.New(&promauth.Options{TraceID: id})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	traced := func(id string) context.Context { return context.WithValue(t.Context(), traceKey{}, id) }
	event := xenaauth.Event{Outcome: xenaauth.OutcomeAllowed, Duration: 20 * time.Millisecond, Upstream: 10 * time.Millisecond}
	m.Event(t.Context(), event)
	m.Event(traced(strings.Repeat("x", 500)), event)
	m.Event(traced("\xff"), event)
	text, _ := scrapeAs(t, registry, "application/openmetrics-text; version=1.0.0")
	if body, err := io.ReadAll(text); err != nil || strings.Contains(string(body), "trace_id") {
		t.Errorf("%v: an exemplar without a trace:\n%s", err, body)
	}
	m.Event(traced("0af7651916cd43dd8448eb211c80319c"), event)
	m.IssuerCall(traced("1bf7651916cd43dd8448eb211c80319c"), xenaauth.IssuerCall{Document: "jwks", Duration: time.Second, Status: 200})
	text, _ = scrapeAs(t, registry, "application/openmetrics-text; version=1.0.0")
	body, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^xenaauth_check_duration_seconds_bucket{outcome="allowed",le="0.05"} 4 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.02 `,
		`(?m)^xenaauth_check_upstream_seconds_bucket{outcome="allowed",le="0.01"} 4 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.01 `,
		`(?m)^xenaauth_issuer_call_duration_seconds_bucket{document="jwks",le="1.0"} 1 # {trace_id="1bf7651916cd43dd8448eb211c80319c"} 1.0 `,
	} {
		if !regexp.MustCompile(want).Match(body) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
	h := scrapeFamilies(t, registry)["xenaauth_check_duration_seconds"].GetMetric()[0].GetHistogram()
	if len(h.GetExemplars()) != 1 || h.GetExemplars()[0].GetLabel()[0].GetValue() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("exemplars of the native histogram: %v", h.GetExemplars())
	}
}
