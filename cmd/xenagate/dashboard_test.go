package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The Grafana dashboard of package promauth has panels about the gateway. The gateway must have the
// metric of each query, and each label by which the query groups.
func TestDashboardMetricsExist(t *testing.T) {
	descs := make(chan *prometheus.Desc)
	go func() {
		newMetrics(&stateCollector{&activity{}, &logBuffer{}, nil}, true).registry.Describe(descs)
		close(descs)
	}()
	labels := map[string][]string{} // the map key is the name of a metric
	described := regexp.MustCompile(`fqName: "(\w+)".* variableLabels: {([^}]*)}`)
	for d := range descs {
		if found := described.FindStringSubmatch(d.String()); found != nil {
			labels[found[1]] = append(strings.Split(found[2], ","), "job", "instance", "le")
		}
	}
	dashboard, err := os.ReadFile("../../adapters/promauth/dashboard/xenaauth.json")
	if err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile(`"expr": .*\W(xenagate_[a-z_]+){.*`).FindAllStringSubmatch(string(dashboard), -1)
	if len(queries) < 7 {
		t.Errorf("%d queries, want at least 7", len(queries))
	}
	for _, q := range queries {
		known, ok := labels[strings.TrimSuffix(q[1], "_bucket")]
		if !ok {
			t.Errorf("there is no metric %s", q[1])
			continue
		}
		for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(q[0], -1) {
			for label := range strings.SplitSeq(by[1], ", ") {
				if !slices.Contains(known, label) {
					t.Errorf("%s has no label %s, only %v", q[1], label, known)
				}
			}
		}
	}
}
