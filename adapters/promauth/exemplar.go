package promauth

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// maxTraceID is the largest length of the id of a trace. An exemplar with a longer label is not
// permitted.
const maxTraceID = 64

// The method exemplar returns the labels of the exemplar for a measurement, or nil.
func (m *Metrics) exemplar(ctx context.Context) prometheus.Labels {
	if m.traceID == nil {
		return nil
	}
	id := m.traceID(ctx)
	if id == "" || len(id) > maxTraceID || !utf8.ValidString(id) {
		return nil
	}
	return prometheus.Labels{"trace_id": id}
}

// The function observe adds a duration to a histogram. If exemplar is nil, the measurement has no
// exemplar.
func observe(to prometheus.Observer, d time.Duration, exemplar prometheus.Labels) {
	if with, ok := to.(prometheus.ExemplarObserver); ok && exemplar != nil {
		with.ObserveWithExemplar(d.Seconds(), exemplar)
		return
	}
	to.Observe(d.Seconds())
}
