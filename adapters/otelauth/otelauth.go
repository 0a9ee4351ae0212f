// Package otelauth makes OpenTelemetry spans and metrics of what a [xenaauth.Middleware] decides and
// of the calls of the issuer.
//
//	telemetry, err := otelauth.New(otelauth.Config{})
//	…
//	cfg.BeforeIssuerCall, cfg.IssuerCall = telemetry.BeforeIssuerCall, telemetry.IssuerCall
//	v, err := xenaauth.NewValidator(cfg)
//	…
//	_, err = telemetry.Watch(v)
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: telemetry.Event})
//
// Each part can be left out; BeforeIssuerCall and IssuerCall belong together.
//
// # Spans
//
// xenaauth.authenticate is the check of one request. Its parent is the span of the request's context:
// put the middleware that traces requests before the guard. Its status is Error only if the response
// is 503. As with HTTP servers, a response of 400, 401 or 403 is no error of this service.
//
// xenaauth.issuer.metadata, xenaauth.issuer.jwks and xenaauth.issuer.introspection are calls of the
// issuer. The issuer receives the trace as the fields traceparent and tracestate (W3C Trace Context),
// and no baggage. The parent of an introspection call is the span of the request that caused it. If
// that span has ended, the call begins a trace of its own, with a link to the span. Requests with the
// same token share one call: it is in the trace of the first of them. Calls for metadata and keys
// serve all requests, so they have no parent.
//
// # Metrics
//
//   - xenaauth.authenticate.duration, a histogram in seconds: how long the check of a request took,
//     without the handler. Its count is the number of requests. A public route, and a refusal that
//     no check decided, count as 0 seconds.
//   - xenaauth.forbids, a counter: the requests that were answered with 403.
//   - xenaauth.issuer.request.duration, a histogram in seconds: how long a call of the issuer took.
//   - xenaauth.ready, a gauge: 1 if tokens can be checked, 0 if not.
//   - xenaauth.keys, a gauge: the usable keys of the issuer.
//   - xenaauth.issuer.document.fetched, a gauge in seconds since 1970: when metadata and key set were
//     last fetched.
//   - xenaauth.issuer.breaker.open, a gauge: 1 while no introspection call is made because the issuer
//     failed, 0 otherwise.
//   - xenaauth.cache.entries, xenaauth.cache.size and xenaauth.cache.lookups: entries, bytes and
//     lookups of each cache.
//   - xenaauth.revocations, a gauge: the revocations in force.
//
// The first three come from the hooks, the others from [Telemetry.Watch]. The library measures no
// whole requests, as http.server.request.duration does that.
//
// # Attributes
//
// "Spans" are all spans of checks, "calls" the spans of calls of the issuer. The last column is the
// name of the field in the log.
//
//	xenaauth.outcome             spans, authenticate.duration  allowed, anonymous, refused, unavailable        outcome
//	error.type                   spans, authenticate.duration  the Reason of a refusal                         reason
//	                             forbids                       the Reason of a refusal with the status 403     reason
//	                             calls, request.duration       the status from 400, timeout, canceled, _OTHER
//	xenaauth.source              spans, authenticate.duration  jwt, introspection, cache                       source
//	http.response.status_code    spans                         the status of a refusal                         status
//	                             calls, request.duration       the status of the response                      status
//	http.route                   spans                         the path of the route's pattern, if known       route
//	xenaauth.client_id           spans                         the client of a valid token                     client_id
//	xenaauth.upstream            spans                         the seconds of waiting for the issuer           upstream
//	xenaauth.token_in_query      spans                         true if the query has access_token
//	xenaauth.document            calls, request.duration,      metadata, jwks, introspection
//	                             document.fetched
//	xenaauth.cache               cache.*                       tokens, active, inactive
//	xenaauth.cache.result        cache.lookups                 hit, miss
//
// The values of attributes of metrics come from fixed sets, and the status of the issuer's responses
// has three digits, so no client can make a metric grow. No attribute contains a token, a secret, a
// server address, a subject or a scope. [Config.SpanAttributes] adds what else a service wants to see.
package otelauth

import (
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/xenaauth/xenaauth"
)

const scope = "github.com/xenaauth/xenaauth/adapters/otelauth"

// Config configures a [Telemetry]. The zero value means the global providers of OpenTelemetry.
type Config struct {
	// TracerProvider makes spans. nil is [otel.GetTracerProvider]. For no spans, use a provider of
	// package go.opentelemetry.io/otel/trace/noop.
	TracerProvider trace.TracerProvider
	// MeterProvider makes metrics. nil is [otel.GetMeterProvider]. For no metrics, use a provider of
	// package go.opentelemetry.io/otel/metric/noop.
	MeterProvider metric.MeterProvider
	// Attributes are added to all spans and measurements, for example to tell several issuers apart.
	Attributes []attribute.KeyValue
	// SpanAttributes returns further attributes of the span of a check. It is called only if the span
	// is recorded. Metrics don't have these attributes. Names and subjects of users are personal data:
	// prefer enduser.pseudo.id with a keyed hash of [xenaauth.User.Subject]. If nil, there are none.
	SpanAttributes func(xenaauth.Event) []attribute.KeyValue
}

// Telemetry makes spans and metrics. It is safe for concurrent use.
type Telemetry struct {
	cfg    Config
	tracer trace.Tracer
	meter  metric.Meter

	checks   metric.Float64Histogram
	forbids  metric.Int64Counter
	requests metric.Float64Histogram

	mu   sync.RWMutex
	sets map[key][]metric.RecordOption // at most one for each value of key
}

// New returns a Telemetry, or an error if the MeterProvider refuses an instrument.
func New(cfg Config) (*Telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	cfg.Attributes = slices.Clip(cfg.Attributes)
	t := &Telemetry{
		cfg:    cfg,
		tracer: cfg.TracerProvider.Tracer(scope),
		meter:  cfg.MeterProvider.Meter(scope),
		sets:   make(map[key][]metric.RecordOption),
	}
	var errs [3]error
	t.checks, errs[0] = t.meter.Float64Histogram("xenaauth.authenticate.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of the checks of requests."),
		metric.WithExplicitBucketBoundaries(checkBounds...))
	t.forbids, errs[1] = t.meter.Int64Counter("xenaauth.forbids",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that were answered with 403."))
	t.requests, errs[2] = t.meter.Float64Histogram("xenaauth.issuer.request.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of the calls of the issuer."),
		metric.WithExplicitBucketBoundaries(callBounds...))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return t, nil
}

var (
	// A token in use takes about a microsecond, a new one some ten, and a call of the issuer some
	// milliseconds.
	checkBounds = []float64{
		1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
		1, 2.5, 5, 10,
	}
	callBounds = []float64{1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
)
