package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/xenaauth/xenaauth/adapters/promauth"
)

// The type metrics contains the metrics of the gateway for Prometheus. Each label has only few
// values (route and upstream have at most maxRouteSeries combinations), and no value is a text that
// a client chooses.
type metrics struct {
	registry *prometheus.Registry
	// auth contains the metrics of decisions about tokens, and of calls to the issuer
	auth     *promauth.Metrics
	requests *requestMetrics
	upstream *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	reloadAt *prometheus.GaugeVec
}

// newMetrics registers all metrics of the gateway. hasKeys says whether the gateway signs
// assertions. Only in this case there is a metric for reloads of the keys for assertions.
func newMetrics(state *stateCollector, hasKeys bool) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		auth:     promauth.New(nil),
		requests: newRequestMetrics(),
		upstream: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_upstream_failures_total",
			Help: "Requests that an upstream didn't answer, by upstream and cause.",
		}, []string{"upstream", "cause"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "xenagate_reloads_total",
			Help: "Changes of routes, keys and certificate that were taken over or refused.",
		}, []string{"what", "result"}),
		reloadAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "xenagate_reload_success",
			Help: "Whether the latest change of routes, keys or certificate was taken over.",
		}, []string{"what"}),
	}
	m.reloadAt.WithLabelValues("routes").Set(1)
	if hasKeys {
		m.reloadAt.WithLabelValues("keys").Set(1)
	}
	m.requests.register(m.registry)
	m.registry.MustRegister(
		currentBuild().metric(), m.upstream, m.reloads, m.reloadAt, m.auth, state,
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

// stateCollector collects metrics about running requests, the drain, dropped log lines and lost
// audit records.
type stateCollector struct {
	activity *activity
	output   *logBuffer
	audit    *auditLog // the audit log of the gateway; nil if it is not configured
}

var (
	activeDesc   = desc("active_requests", "Requests under way, upgraded connections included.")
	drainingDesc = desc("draining", "Whether the gateway is shutting down.")
	droppedDesc  = desc("log_lines_dropped_total", "Lines of the log that the output didn't take.")
	auditDesc    = desc("audit_records_lost_total", "Records of the audit log that could not be written.")
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("xenagate_"+name, help, nil, nil)
}

// Describe returns the descriptions of the metrics. It implements [prometheus.Collector].
func (s *stateCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, to) }

// Collect returns the current values of the metrics. It implements [prometheus.Collector].
func (s *stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(activeDesc, float64(s.activity.requests.Load()))
	gauge(drainingDesc, bit(s.activity.draining.Load()))
	to <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(s.output.droppedLines.Load()))
	if s.audit != nil {
		to <- prometheus.MustNewConstMetric(auditDesc, prometheus.CounterValue, float64(s.audit.lost.Load()))
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
