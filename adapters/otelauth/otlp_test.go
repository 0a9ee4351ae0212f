package otelauth_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// otlpReceiver is a server that accepts spans and metrics in the protocol OTLP, and keeps them for
// a test.
type otlpReceiver struct {
	*httptest.Server
	mu      sync.Mutex
	traces  tracepb.ExportTraceServiceRequest
	metrics metricspb.ExportMetricsServiceRequest
}

func startReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	r := new(otlpReceiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body io.Reader = req.Body
		if req.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				http.Error(w, "gzip", http.StatusBadRequest)
				return
			}
		}
		data, err := io.ReadAll(body)
		r.mu.Lock()
		defer r.mu.Unlock()
		merge := proto.UnmarshalOptions{Merge: true}
		switch {
		case err != nil:
		case req.URL.Path == "/v1/traces":
			err = merge.Unmarshal(data, &r.traces)
		case req.URL.Path == "/v1/metrics":
			err = merge.Unmarshal(data, &r.metrics)
		}
		if err != nil {
			http.Error(w, "body", http.StatusBadRequest)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// otlpReceiver.text returns all texts in the spans and metrics that have arrived, except the names
// of schemas and packages.
func (r *otlpReceiver) text(t *testing.T) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	traces, err := protojson.Marshal(&r.traces)
	require.NoError(t, err)
	metrics, err := protojson.Marshal(&r.metrics)
	require.NoError(t, err)
	return schema.ReplaceAllString(string(traces)+string(metrics), "")
}

var schema = regexp.MustCompile(`"schemaUrl":\s*"[^"]*"`)

// A service sends its spans and metrics to an OTLP receiver. They contain no token, no secret, no
// URL, no subject and no scope.
func TestOTLP(t *testing.T) {
	r := startReceiver(t)
	spans, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(r.URL+"/v1/traces"))
	require.NoError(t, err)
	points, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(r.URL+"/v1/metrics"))
	require.NoError(t, err)
	s := startService(t, nil)
	s.tracers = trace.NewTracerProvider(trace.WithBatcher(spans))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(points)))
	s.addGuard(t, otelauth.Config{TracerProvider: s.tracers, MeterProvider: meters})

	secrets := []string{
		s.issuer.APISecret(), s.issuer.Addr(), s.issuer.URL(), "://", "subject-of-ann", "scope-of-ann",
	}
	send := func(token string) {
		secrets = append(secrets, token)
		s.send(t, xenaauth.AllScopes("testapi"), "Bearer "+token)
	}
	secretUser := xenaauthtest.Token{
		Subject: "subject-of-ann", Scopes: []string{"testapi", "scope-of-ann"},
	}
	jwt, opaque := s.issuer.JWT(secretUser), s.issuer.Opaque(secretUser)
	other := s.issuer.JWT(xenaauthtest.Token{})
	forged := jwt[:strings.LastIndex(jwt, ".")] + other[strings.LastIndex(other, "."):]
	for _, token := range []string{
		jwt, opaque, jwt, opaque, jwt + "x", forged, strings.Replace(jwt, ".", ".e", 1),
		"e30.e30.c2lnbmF0dXJl",
		"unknown-opaque-token", s.issuer.IDToken(secretUser), "https://evil.example/token",
		s.issuer.Sign(s.issuer.Header(), map[string]any{"iss": "https://evil.example"}),
		s.issuer.JWT(xenaauthtest.Token{Subject: "subject-of-ann", Scopes: []string{"scope-of-ann"}}),
	} {
		send(token)
	}
	s.issuer.Down()
	send(s.issuer.Opaque(secretUser))
	require.NoError(t, s.tracers.Shutdown(t.Context()))
	require.NoError(t, meters.Shutdown(t.Context()))

	text := r.text(t)
	for _, want := range []string{
		"xenaauth.authenticate", "xenaauth.issuer.introspection", "xenaauth.issuer.jwks",
		"insufficient_scope",
		"signature", "inactive", "unavailable", "STATUS_CODE_ERROR", "xenaauth.authenticate.duration",
		"xenaauth.forbids", "xenaauth.issuer.request.duration", "xenaauth.issuer.ready",
		"xenaauth.cache.lookups",
	} {
		require.True(t, strings.Contains(text, want), want)
	}
	for _, secret := range secrets {
		if secret != "" {
			require.False(t, strings.Contains(text, secret), secret)
		}
	}
	for _, part := range strings.Split(jwt, ".") {
		require.False(t, strings.Contains(text, part), part)
	}
}
