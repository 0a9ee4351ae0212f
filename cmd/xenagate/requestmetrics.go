package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxRouteSeries is the largest number of combinations of a route, an upstream and a class of
// status that get a time series of their own in the metrics. Requests with further combinations are
// counted with the route "other".
const maxRouteSeries = 2000

// requestMetrics counts requests in the metrics. It stores each counter that it has looked up by
// labels, because looking up a counter takes longer than adding to it.
type requestMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	byRoute  *prometheus.CounterVec

	mu     sync.RWMutex
	series map[requestKey]requestSeries
	routes map[routeKey]prometheus.Counter
}

// requestKey contains the labels of the time series in which a request is counted. Each label has
// only few values, and no value is a text that a client chooses.
type requestKey struct{ listener, method, code, outcome, reason string }

type requestSeries struct {
	total    prometheus.Counter
	duration prometheus.Observer
}

type routeKey struct{ route, upstream, code string }

func newRequestMetrics() *requestMetrics {
	return &requestMetrics{
		series: make(map[requestKey]requestSeries), routes: make(map[routeKey]prometheus.Counter),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_requests_total",
			Help: "Requests by door, method, class of status, outcome and reason.",
		}, []string{"door", "method", "code", "outcome", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "xenagate_request_duration_seconds",
			Help:    "How long requests took, upgraded connections not counted.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
			// These settings add a native histogram of the durations of requests. A Prometheus
			// server can be configured to read it.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"door", "outcome"}),
		byRoute: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_route_requests_total",
			Help: "Requests by the pattern of their route, upstream and class of status. No route is \"\".",
		}, []string{"route", "upstream", "code"}),
	}
}

func (m *requestMetrics) register(r *prometheus.Registry) {
	r.MustRegister(m.total, m.duration, m.byRoute)
}

// requestMetrics.observe counts a request in the metrics.
func (m *requestMetrics) observe(rec *record, seconds float64) {
	key := requestKey{rec.listener, knownMethod(rec.method), classOf(rec.status), rec.outcome(), rec.reason}
	route := routeKey{route: rec.route, upstream: rec.upstream, code: key.code}
	m.mu.RLock()
	series, known := m.series[key]
	byRoute, routeKnown := m.routes[route]
	m.mu.RUnlock()
	if !known || !routeKnown {
		series, byRoute = m.add(key, route)
	}
	series.total.Inc()
	if key.code != "1xx" {
		series.duration.Observe(seconds)
	}
	byRoute.Inc()
}

// requestMetrics.add creates the time series in which a request with these labels is counted.
func (m *requestMetrics) add(key requestKey, route routeKey) (requestSeries, prometheus.Counter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	series := requestSeries{
		total:    m.total.WithLabelValues(key.listener, key.method, key.code, key.outcome, key.reason),
		duration: m.duration.WithLabelValues(key.listener, key.outcome),
	}
	m.series[key] = series
	// A gateway that runs for a long time may get many tables of routes, each with new routes, so
	// the number of time series is limited.
	if len(m.routes) >= maxRouteSeries {
		return series, m.byRoute.WithLabelValues("other", route.upstream, route.code)
	}
	byRoute := m.byRoute.WithLabelValues(route.route, route.upstream, route.code)
	m.routes[route] = byRoute
	return series, byRoute
}

func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

// classOf returns the class of a status, for example "2xx", and "none" for a request without a
// response.
func classOf(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}
