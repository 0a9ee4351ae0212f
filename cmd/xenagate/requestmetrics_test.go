package main

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// If the table of routes changes often, the number of time series with the label route stays
// limited. Each request is still counted.
func TestSeriesByRouteAreBounded(t *testing.T) {
	m := newRequestMetrics()
	r := prometheus.NewRegistry()
	m.register(r)
	const n = 3 * maxRouteSeries
	for i := range n {
		m.observe(&record{listener: "proxy", method: "GET", status: 200, route: fmt.Sprint("/", i)}, 1)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "xenagate_route_requests_total" {
			continue
		}
		sum := 0.0
		for _, one := range f.GetMetric() {
			sum += one.GetCounter().GetValue()
		}
		if len(f.GetMetric()) > maxRouteSeries+1 || sum != n {
			t.Errorf("%d series, %v requests", len(f.GetMetric()), sum)
		}
		return
	}
	t.Error("no series")
}
