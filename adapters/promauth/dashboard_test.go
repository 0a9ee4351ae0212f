package promauth_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/adapters/promauth"
)

// dashboardQuery is a Prometheus query of a panel on the dashboard. The query contains values in
// place of Grafana's variables, so that Prometheus can run it.
type dashboardQuery struct{ panel, expr, legend string }

// readDashboard returns the Prometheus queries in the dashboard file, and the whole text of the
// file.
func readDashboard(t *testing.T) (queries []dashboardQuery, text string) {
	t.Helper()
	file, err := os.ReadFile("dashboard/xenaauth.json")
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
	var dashboard struct {
		Panels []struct {
			panel
			Panels []panel
		}
	}
	if err := json.Unmarshal(file, &dashboard); err != nil {
		t.Fatal(err)
	}
	values := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	for _, top := range dashboard.Panels {
		for _, p := range append(top.Panels, top.panel) {
			for _, target := range p.Targets {
				queries = append(queries, dashboardQuery{p.Title, values.Replace(target.Expr), target.LegendFormat})
			}
		}
	}
	if len(queries) < 30 {
		t.Fatalf("%d queries, want at least 30", len(queries))
	}
	return queries, string(file)
}

// This test writes the queries of the dashboard as recording rules of Prometheus, because promtool
// parses rules and not single queries. In TestAlerts, promtool parses the queries of the alerts.
func TestDashboardQueriesAreParsed(t *testing.T) {
	queries, _ := readDashboard(t)
	var rules []any
	for i, q := range queries {
		if strings.Contains(q.expr, "$") {
			t.Errorf("%s: an unknown variable: %s", q.panel, q.expr)
		}
		rules = append(rules, map[string]any{"record": fmt.Sprint("query:", i), "expr": q.expr})
	}
	groups := map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}
	text, err := json.Marshal(groups) // promtool needs YAML, and every JSON text is also YAML
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runPromtool(t, dir, nil, "check", "rules", "rules.yml")
	if err != nil || !strings.Contains(out, fmt.Sprintf("%d rules found", len(queries))) {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// Each metric that the dashboard queries must exist, and the dashboard must query all metrics
// except two. For the metrics of the gateway (xenagate), tests of cmd/xenagate require this.
func TestDashboardMetricsExist(t *testing.T) {
	s := startService(t, &promauth.Options{Routes: true}, nil)
	s.sendEverything()
	names := familyNames(s.scrape())
	_, text := readDashboard(t)
	shown := map[string]bool{"xenaauth_issuer_last_call_timestamp_seconds": true, "xenaauth_route_decisions_total": true}
	for _, found := range regexp.MustCompile(`xenaauth_[a-z_]+`).FindAllString(text, -1) {
		name := strings.TrimSuffix(found, "_bucket")
		if shown[name] = true; !slices.Contains(names, name) {
			t.Errorf("there is no metric %s", found)
		}
	}
	for _, name := range names {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// dashboardHasData runs each query of the dashboard that is about metrics of promauth. The query
// must have a result, and the result must have the labels that the legend of the panel shows.
func dashboardHasData(t *testing.T, server prometheusServer) {
	queries, _ := readDashboard(t)
	deadline := time.Now().Add(time.Minute)
	for _, q := range queries {
		if strings.Contains(q.expr, "xenagate_") {
			continue
		}
		var answer struct {
			Data struct {
				Result []struct{ Metric map[string]string }
			}
		}
		// Prometheus can calculate a rate only after it has read the metrics twice, so wait.
		for len(answer.Data.Result) == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%s: no data: %s", q.panel, q.expr)
			}
			server.get(t, "/api/v1/query?query="+url.QueryEscape(q.expr), &answer)
			if len(answer.Data.Result) == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.legend, -1) {
			if answer.Data.Result[0].Metric[label[1]] == "" {
				t.Errorf("%s: the result has no label %s: %s", q.panel, label[1], q.expr)
			}
		}
	}
}
