// Package otelauth makes OpenTelemetry spans and metrics of the checks of a [xenaauth.Middleware]
// and of the calls to the issuer.
//
//	telemetry, err := otelauth.New(otelauth.Config{})
//	…
//	cfg.BeforeIssuerCall, cfg.IssuerCall = telemetry.BeforeIssuerCall, telemetry.IssuerCall
//	v, err := xenaauth.NewValidator(cfg)
//	…
//	_, err = telemetry.Watch(v)
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: telemetry.Event})
//
// A service can leave out parts of this code, but it should set BeforeIssuerCall and IssuerCall
// together.
//
// # Spans
//
// xenaauth.authenticate is the check of one request. Its parent is the span in the request's
// context: put the middleware that traces requests before the guard. The status of
// xenaauth.authenticate is Error only if the response is 503. A response of 400, 401 or 403 is not
// an error of this service; OpenTelemetry has the same rule for HTTP servers.
//
// xenaauth.issuer.metadata, xenaauth.issuer.jwks and xenaauth.issuer.introspection are calls to
// the issuer. The issuer receives the trace in the fields traceparent and tracestate (W3C Trace
// Context), and no baggage. The parent of an introspection call is the span of the request that
// caused it. If that span has ended, the call begins a trace of its own, with a link to the span.
// Requests with the same token share one call, which is in the trace of the first request. Calls
// for metadata and keys serve all requests, so they have no parent.
//
// # Metrics
//
// From Event, BeforeIssuerCall and IssuerCall:
//
//   - xenaauth.authenticate.duration, a histogram in seconds: how long the check of a request
//     took, without the handler. Its count is the number of requests. A request for a public
//     route, and a refusal by [xenaauth.Middleware.Refuse], count as 0 seconds.
//   - xenaauth.forbids, a counter: the requests that were answered with 403.
//   - xenaauth.issuer.request.duration, a histogram in seconds: how long a call to the issuer
//     took.
//
// From [Telemetry.Watch], about the state of a [xenaauth.Validator]:
//
//   - xenaauth.issuer.ready, a gauge: 1 if tokens can be checked, 0 if not.
//   - xenaauth.issuer.keys, a gauge: the usable keys of the issuer.
//   - xenaauth.key_set.hash, a gauge: a hash of these keys. Instances with the same keys have the
//     same value.
//   - xenaauth.issuer.last_success, a gauge in seconds since 1970: when metadata and jwks were
//     last fetched or found unchanged.
//   - xenaauth.issuer.failing, a gauge: 1 if the latest attempt to fetch a document failed, or
//     the latest introspection call failed, and 0 otherwise.
//   - xenaauth.introspection.open, a gauge: 1 while the circuit breaker makes no introspection
//     calls, 0 otherwise.
//   - xenaauth.cache.entries, xenaauth.cache.size and xenaauth.cache.lookups: the entries, the
//     bytes and the lookups of a cache.
//   - xenaauth.revocations, a gauge: the revocations in force.
//
// No metric of this package measures whole requests, because http.server.request.duration does.
//
// # Attributes
//
// "Check" is the span xenaauth.authenticate, "call" is a span of a call to the issuer.
//
//	xenaauth.outcome           check, authenticate.duration   allowed anonymous refused unavailable
//	xenaauth.source            check, authenticate.duration   jwt introspection cache
//	xenaauth.client_id         check                          the client of the valid token
//	xenaauth.upstream          check                          seconds of waiting for the issuer
//	xenaauth.token_in_query    check                          true if the query has access_token
//	http.route                 check                          path of the route's pattern
//	http.response.status_code  check                          the status of a refusal
//	                           call, issuer.request.duration  the status of the response
//	error.type                 check, authenticate.duration   the Reason of a refusal
//	                           forbids                        the Reason of a refusal with 403
//	                           call, issuer.request.duration  4xx 5xx timeout canceled _OTHER
//	xenaauth.document          call, issuer.request.duration  metadata jwks introspection
//	                           issuer.last_success            metadata jwks
//	                           issuer.failing                 metadata jwks introspection
//	xenaauth.waited            call                           requests that waited for the call
//	xenaauth.cache             cache.*                        tokens active inactive shared
//	xenaauth.cache.result      cache.lookups                  hit miss failure
//
// All attributes of metrics have values from fixed sets, except that the issuer chooses the status
// of its responses, a number of three digits. So no client can add series to a metric. No attribute
// contains a token, a secret, a server address, a subject or a scope. With [Config.SpanAttributes],
// a service can add attributes to spans.
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

// Config configures a [Telemetry]. The zero value uses the global providers of OpenTelemetry.
type Config struct {
	// TracerProvider makes the spans. If nil, it is [otel.GetTracerProvider]. To make no spans, set
	// a provider of package go.opentelemetry.io/otel/trace/noop.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. If nil, it is [otel.GetMeterProvider]. To make no metrics,
	// set a provider of package go.opentelemetry.io/otel/metric/noop.
	MeterProvider metric.MeterProvider
	// Attributes are added to all spans and measurements. A service with several issuers can add
	// the name of the issuer.
	Attributes []attribute.KeyValue
	// SpanAttributes returns further attributes for the span of a check. Telemetry calls it only if
	// the span is recorded. Metrics do not get these attributes. If nil, no attributes are added.
	// The subject of a user is personal data: use enduser.pseudo.id with a keyed hash of the
	// subject, as in the example.
	SpanAttributes func(xenaauth.Event) []attribute.KeyValue
}

// Telemetry makes OpenTelemetry spans and metrics. It is safe for concurrent use.
type Telemetry struct {
	cfg    Config
	tracer trace.Tracer
	meter  metric.Meter

	checks   metric.Float64Histogram
	forbids  metric.Int64Counter
	requests metric.Float64Histogram

	mu        sync.RWMutex
	optionsOf map[attributeValues][]metric.RecordOption // results of recordOptions
}

// New returns a Telemetry, or an error if the MeterProvider can't make one of the metrics.
func New(cfg Config) (*Telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	cfg.Attributes = slices.Clip(cfg.Attributes)
	t := &Telemetry{
		cfg:       cfg,
		tracer:    cfg.TracerProvider.Tracer(scope),
		meter:     cfg.MeterProvider.Meter(scope),
		optionsOf: make(map[attributeValues][]metric.RecordOption),
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
	// These are the upper bounds of the histograms' buckets, in seconds. They suit the usual
	// durations: the check of a token that was used before takes about a microsecond, the check of
	// a new token tens of microseconds, and a call to the issuer several milliseconds.
	checkBounds = []float64{
		1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
		1, 2.5, 5, 10,
	}
	callBounds = []float64{1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
)
