// Package promauth provides metrics for Prometheus. They describe the decisions about requests, the
// durations of the checks, the calls to the issuer, and the state of a Validator.
//
//	metrics := promauth.New(nil)
//	cfg.IssuerCall = metrics.IssuerCall
//	v, err := xenaauth.NewValidator(cfg)
//	...
//	metrics.Watch(v)
//	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Event: metrics.Event})
//	prometheus.MustRegister(metrics)
//
// # Metrics
//
// Decisions about requests, from [Metrics.Event]:
//
//	xenaauth_decisions_total{outcome,reason,source}      requests; outcome is allowed, anonymous, refused or unavailable
//	xenaauth_check_duration_seconds{outcome}             how long checks took, without the handler
//	xenaauth_check_upstream_seconds{outcome}             how long requests waited for the issuer; only requests that waited count
//	xenaauth_query_tokens_total                          requests whose query has access_token, which is not read
//	xenaauth_route_decisions_total{route,outcome}        requests by route; only with Options.Routes
//
// Calls to the issuer, from [Metrics.IssuerCall]. The document is metadata, jwks or introspection:
//
//	xenaauth_issuer_calls_total{document,status}                 HTTP requests; status is "none" if there was no response
//	xenaauth_issuer_call_duration_seconds{document}              how long these requests took
//	xenaauth_issuer_last_call_timestamp_seconds{document}        when the latest of these requests ended
//
// The state of a Validator, after [Metrics.Watch]:
//
//	xenaauth_issuer_ready                                        1 if tokens can be checked now
//	xenaauth_issuer_failing{document}                            1 if the latest attempt to get the document failed
//	xenaauth_issuer_last_success_timestamp_seconds{document}     when metadata and jwks were last fetched or found unchanged
//	xenaauth_issuer_keys                                         number of usable keys of the issuer
//	xenaauth_key_set_hash                                        a hash of these keys: replicas with the same keys have the same value
//	xenaauth_introspection_open                                  1 if the circuit breaker makes no introspection calls
//	xenaauth_cache_entries{cache}                                cache is tokens, active or inactive
//	xenaauth_cache_bytes{cache}                                  the approximate memory that the entries take
//	xenaauth_cache_hits_total{cache}                             lookups that found an entry
//	xenaauth_cache_misses_total{cache}                           lookups that found no entry
//	xenaauth_shared_cache_lookups_total{result}                  result is hit, miss or failure
//	xenaauth_revocations                                         revocations in force
//
// The metrics of introspection exist only if the Validator introspects tokens.
//
// # Histograms and exemplars
//
// Each histogram is a classic one and a native one: a Prometheus that is configured for native
// histograms reads these, with a resolution of 10 % at each duration, and others read the buckets.
// With Options.TraceID, histograms have exemplars. Prometheus reads exemplars only from a handler
// with promhttp.HandlerOpts.EnableOpenMetrics, or from native histograms.
//
// # Labels
//
// Each label has few values, and a client can't choose a value: no label contains a user, a client
// or a path. The label reason is the reason of a refusal, or "" if the request may pass. A reason
// that xenaauth does not define counts as unavailable. The label source is jwt, introspection,
// cache or "". The label route is the pattern of a route. There are at most about 1000 series with
// this label; then further routes count as "other". No metric contains a token, a secret or a URL.
//
// Rules for alerts are in the folder alerts, and a dashboard for Grafana is
// dashboard/xenaauth.json. docs/operations.md says what the alerts mean, and how to import the
// dashboard.
//
// A [Metrics] belongs to one Validator. A service with several issuers makes one Metrics for each,
// and registers it with a label:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"issuer": "staff"}, registry).MustRegister(metrics)
package promauth

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xenaauth/xenaauth"
)

// Options are settings of [New]. The zero value is usable.
type Options struct {
	// Routes adds the metric xenaauth_route_decisions_total, which counts decisions by route. Set
	// it only if all readers of the metrics may see the patterns of the routes.
	Routes bool
	// TraceID returns the id of the trace in the context of a request, or "" if the trace is not
	// sampled. With OpenTelemetry, trace.SpanContextFromContext returns a SpanContext, which has
	// the id and says whether the trace is sampled. If TraceID is set, the histograms have
	// exemplars with the label trace_id, so that a dashboard can lead from a slow request to its
	// trace. If TraceID is nil, there are no exemplars.
	TraceID func(context.Context) string
}

// Metrics collects Prometheus metrics. It implements [prometheus.Collector], and is safe for
// concurrent use.
type Metrics struct {
	decisions   *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	upstream    *prometheus.HistogramVec
	queryTokens prometheus.Counter
	// routeDecisions counts the decisions about requests, by route. It is nil without
	// Options.Routes.
	routeDecisions *prometheus.CounterVec
	traceID        func(context.Context) string

	calls        *prometheus.CounterVec
	callDuration *prometheus.HistogramVec
	lastCall     *prometheus.GaugeVec

	byDecision seriesMap[decisionKey, decisionSeries]
	byRoute    seriesMap[routeKey, prometheus.Counter]

	watched atomic.Pointer[xenaauth.Validator]
}

var _ prometheus.Collector = (*Metrics)(nil)

// maxRouteSeries is the largest number of Prometheus series that have the label route.
const maxRouteSeries = 1000

// otherRoutes is a value of the label route. When maxRouteSeries series have this label, every new
// route is counted under otherRoutes.
const otherRoutes = "other"

type decisionKey struct{ outcome, reason, source string }

type decisionSeries struct {
	total              prometheus.Counter
	duration, upstream prometheus.Observer
}

type routeKey struct{ route, outcome string }

// New returns Metrics. A nil o means the zero Options.
func New(o *Options) *Metrics {
	m := &Metrics{
		decisions: counters("decisions_total", "Requests, by what was decided about them.",
			"outcome", "reason", "source"),
		duration: histograms("check_duration_seconds", "How long checks took, without the handler.",
			[]float64{5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, .001, .005, .01, .05, .1, .5, 1, 5, 10}, "outcome"),
		upstream: histograms("check_upstream_seconds", "How long requests waited for the issuer, of those that waited.",
			issuerBuckets, "outcome"),
		queryTokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "query_tokens_total",
			Help: "Requests whose query has access_token, which is not read.",
		}),
		calls: counters("issuer_calls_total", "HTTP requests to the issuer, by document and status of the response.",
			"document", "status"),
		callDuration: histograms("issuer_call_duration_seconds", "How long HTTP requests to the issuer took.",
			issuerBuckets, "document"),
		lastCall: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "issuer_last_call_timestamp_seconds",
			Help: "When the latest HTTP request to the issuer ended, in Unix time.",
		}, []string{"document"}),
	}
	if o != nil {
		m.traceID = o.TraceID
	}
	if o != nil && o.Routes {
		m.routeDecisions = counters("route_decisions_total", "Requests, by route and by what was decided about them.",
			"route", "outcome")
	}
	return m
}

// prefix is the beginning of the name of each Prometheus metric in this package.
const prefix = "xenaauth_"

// issuerBuckets are the upper bounds of the buckets in the histogram that shows how long calls to
// the issuer take, in seconds.
var issuerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: prefix + name, Help: help, Buckets: buckets,
		// A Prometheus that can read native histograms gets native histograms, and any other gets
		// buckets. The documentation of package prometheus recommends the three values below.
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// Event counts the decision of a guard about a request. Assign this method to the field Event of
// [xenaauth.Options].
func (m *Metrics) Event(ctx context.Context, e xenaauth.Event) {
	key := decisionKey{e.Outcome, reasonOf(e.Err), e.Source}
	series, ok := m.byDecision.get(key)
	if !ok {
		series, _ = m.byDecision.add(key, math.MaxInt, func() decisionSeries {
			return decisionSeries{
				total:    m.decisions.WithLabelValues(key.outcome, key.reason, key.source),
				duration: m.duration.WithLabelValues(key.outcome),
				upstream: m.upstream.WithLabelValues(key.outcome),
			}
		})
	}
	series.total.Inc()
	trace := m.exemplarLabels(ctx)
	addDuration(series.duration, e.Duration, trace)
	if e.Upstream > 0 {
		addDuration(series.upstream, e.Upstream, trace)
	}
	if e.TokenInQuery {
		m.queryTokens.Inc()
	}
	if m.routeDecisions != nil {
		m.countRoute(routeKey{e.Route, e.Outcome})
	}
}

// reasonOf returns the value of the label reason for a refusal. The value is a constant of
// xenaauth, or "" if the request may pass.
func reasonOf(e *xenaauth.Error) string {
	switch {
	case e == nil:
		return ""
	// A TokenValidator of the service may use a reason that xenaauth does not define. The response
	// is then 503, so the label says unavailable.
	case e.StatusCode() == http.StatusServiceUnavailable:
		return string(xenaauth.ReasonUnavailable)
	}
	return string(e.Reason)
}

func (m *Metrics) countRoute(key routeKey) {
	counter, ok := m.byRoute.get(key)
	if !ok {
		counter, ok = m.byRoute.add(key, maxRouteSeries, func() prometheus.Counter {
			return m.routeDecisions.WithLabelValues(strings.ToValidUTF8(key.route, "?"), key.outcome)
		})
	}
	if !ok {
		counter = m.routeDecisions.WithLabelValues(otherRoutes, key.outcome)
	}
	counter.Inc()
}

// IssuerCall counts an HTTP request to the issuer. Assign this method to the field IssuerCall of
// [xenaauth.Config].
func (m *Metrics) IssuerCall(ctx context.Context, c xenaauth.IssuerCall) {
	m.calls.WithLabelValues(c.Document, statusLabel(c.Status)).Inc()
	addDuration(m.callDuration.WithLabelValues(c.Document), c.Duration, m.exemplarLabels(ctx))
	m.lastCall.WithLabelValues(c.Document).Set(float64(time.Now().UnixMilli()) / 1000)
}

func statusLabel(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return strconv.Itoa(status)
}

// Watch adds the state of the Validator v to the metrics, for example how many keys the issuer has.
// If Watch was called before, v replaces the earlier Validator.
func (m *Metrics) Watch(v *xenaauth.Validator) { m.watched.Store(v) }

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(to)
	}
	for _, d := range stateDescs {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(to)
	}
	if v := m.watched.Load(); v != nil {
		collectState(to, v.Status())
	}
}

func (m *Metrics) collectors() []prometheus.Collector {
	all := []prometheus.Collector{
		m.decisions, m.duration, m.upstream, m.queryTokens, m.calls, m.callDuration, m.lastCall,
	}
	if m.routeDecisions != nil {
		all = append(all, m.routeDecisions)
	}
	return all
}
