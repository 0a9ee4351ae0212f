package promauth

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// maxTraceID is the largest length of a trace's id in an exemplar. The library of Prometheus panics
// if the labels of an exemplar have more than 128 characters.
const maxTraceID = 64

// Metrics.exemplarLabels returns the labels of an exemplar, or nil if the request has no usable
// trace id. An exemplar links a measurement to the trace of one request.
func (m *Metrics) exemplarLabels(ctx context.Context) prometheus.Labels {
	if m.traceID == nil {
		return nil
	}
	id := m.traceID(ctx)
	if id == "" || len(id) > maxTraceID || !utf8.ValidString(id) {
		return nil
	}
	return prometheus.Labels{"trace_id": id}
}

// addDuration adds a duration to a Prometheus histogram. The parameter exemplar links the duration
// to a trace. It may be nil.
func addDuration(to prometheus.Observer, d time.Duration, exemplar prometheus.Labels) {
	if with, ok := to.(prometheus.ExemplarObserver); ok && exemplar != nil {
		with.ObserveWithExemplar(d.Seconds(), exemplar)
		return
	}
	to.Observe(d.Seconds())
}
