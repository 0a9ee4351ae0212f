package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xenaauth/xenaauth"
)

// metrics are the metrics for Prometheus. Every label has few values, and a client can choose none
// of them.
type metrics struct {
	registry *prometheus.Registry
	requests *requestMetrics
	upstream *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	reloadAt *prometheus.GaugeVec
}

// newMetrics registers all metrics. Assertion keys have a reload metric only if hasKeys is true.
func newMetrics(state *stateCollector, hasKeys bool) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: newRequestMetrics(),
		upstream: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_upstream_failures_total",
			Help: "Requests that an upstream didn't answer, by upstream and cause.",
		}, []string{"upstream", "cause"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_reloads_total",
			Help: "Changes of routes and keys that were taken over or refused.",
		}, []string{"what", "result"}),
		reloadAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "xenagate_reload_success",
			Help: "Whether the latest change of routes or keys was taken over.",
		}, []string{"what"}),
	}
	m.reloadAt.WithLabelValues("routes").Set(1)
	if hasKeys {
		m.reloadAt.WithLabelValues("keys").Set(1)
	}
	m.requests.register(m.registry)
	m.registry.MustRegister(
		thisBuild().metric(), m.upstream, m.reloads, m.reloadAt, state,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func (m *metrics) upstreamFailed(upstream, cause string) {
	m.upstream.WithLabelValues(upstream, cause).Inc()
}

func (m *metrics) reloaded(what string, taken bool) {
	result, success := "taken", 1.0
	if !taken {
		result, success = "refused", 0
	}
	m.reloads.WithLabelValues(what, result).Inc()
	m.reloadAt.WithLabelValues(what).Set(success)
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.HTTPErrorOnError, MaxRequestsInFlight: 4,
	})
}

// stateCollector collects the state of the validator, of the listeners and of the log.
type stateCollector struct {
	validator *xenaauth.Validator
	activity  *activity
	output    *logBuffer
}

var (
	activeDesc      = desc("active_requests", "Requests under way, upgraded connections included.")
	drainingDesc    = desc("draining", "Whether the gateway is shutting down.")
	readyDesc       = desc("issuer_ready", "Whether tokens can be told good from bad just now.")
	keysDesc        = desc("issuer_keys", "Usable keys that the issuer publishes.")
	breakerDesc     = desc("introspection_open", "Whether the issuer was found down for introspection.")
	revocationsDesc = desc("revocations", "Revocations in force.")
	droppedDesc     = desc("log_lines_dropped_total", "Lines of the log that the output didn't take.")
	entriesDesc     = desc("cache_entries", "Entries of a cache.", "cache")
	hitsDesc        = desc("cache_hits_total", "Lookups that found something.", "cache")
	missesDesc      = desc("cache_misses_total", "Lookups that found nothing.", "cache")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xenagate_"+name, help, labels, nil)
}

// Describe implements [prometheus.Collector].
func (s *stateCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, to) }

// Collect implements [prometheus.Collector].
func (s *stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	now := s.validator.Status()
	gauge(activeDesc, float64(s.activity.requests.Load()))
	gauge(drainingDesc, bit(s.activity.draining.Load()))
	gauge(readyDesc, bit(now.Ready))
	gauge(keysDesc, float64(now.Keys))
	gauge(breakerDesc, bit(now.Introspection == "open"))
	gauge(revocationsDesc, float64(now.Revocations))
	to <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(s.output.dropped.Load()))
	cache := func(name string, c xenaauth.CacheStatus) {
		gauge(entriesDesc, float64(c.Entries), name)
		to <- prometheus.MustNewConstMetric(hitsDesc, prometheus.CounterValue, float64(c.Hits), name)
		to <- prometheus.MustNewConstMetric(missesDesc, prometheus.CounterValue, float64(c.Misses), name)
	}
	cache("tokens", now.Tokens)
	if now.Introspection != "" {
		cache("active", now.Active)
		cache("inactive", now.Inactive)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
