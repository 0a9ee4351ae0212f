package promauth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A real Prometheus reads the metrics of two replicas of a service, loads our alerts, and answers
// queries about the metrics.
func TestPrometheusReadsTwoReplicas(t *testing.T) {
	server := startPrometheus(t, startService(t, nil, nil), startService(t, nil, nil))
	for query, want := range map[string]string{
		`count(xenaauth_issuer_ready == 1)`:                                    "2",
		`sum(xenaauth_decisions_total{outcome="allowed"})`:                     "8",
		`sum by (job) (xenaauth_decisions_total{reason="insufficient_scope"})`: "2",
		// The result of this query is the number of jobs whose replicas have different key sets.
		// The two replicas of this test belong to one job and have different issuers, so it is 1.
		`count(max by (job) (xenaauth_key_set_hash) != min by (job) (xenaauth_key_set_hash))`:                       "1",
		`count(histogram_quantile(0.99, sum by (le) (xenaauth_check_duration_seconds_bucket)) > 0)`:                 "1",
		`sum(xenaauth_issuer_calls_total{document="jwks",status="200"})`:                                            "2",
		`count(time() - xenaauth_issuer_last_success_timestamp_seconds{document="jwks"} < 600)`:                     "2",
		`count by (reason) (count by (reason, job) (xenaauth_decisions_total{outcome="refused",reason="expired"}))`: "1",
	} {
		if got := server.query(t, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	var loaded struct {
		Data struct {
			Groups []struct{ Rules []struct{ Name string } }
		}
	}
	server.get(t, "/api/v1/rules", &loaded)
	if n := len(alertName.FindAllString(readAlerts(t, "alerts.yml"), -1)); len(loaded.Data.Groups) != 1 ||
		len(loaded.Data.Groups[0].Rules) != n {
		t.Errorf("loaded %+v, want %d rules", loaded, n)
	}
	t.Run("the dashboard has data", func(t *testing.T) { dashboardHasData(t, server) })
}

// prometheusServer is the URL of a running Prometheus.
type prometheusServer string

// startPrometheus starts a Prometheus, and waits until it has read the metrics of all services.
func startPrometheus(t *testing.T, services ...*testService) prometheusServer {
	t.Helper()
	binary, dir := programPath(t, "prometheus"), t.TempDir()
	var targets []string
	for _, s := range services {
		s.sendEverything()
		replica := httptest.NewServer(promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
		t.Cleanup(replica.Close)
		targets = append(targets, replica.Listener.Addr().String())
	}
	rules, err := filepath.Abs("alerts/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	// The configuration of Prometheus must be YAML. Every JSON text is also YAML, so this test
	// writes JSON.
	config, err := json.Marshal(map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{rules},
		"scrape_configs": []any{map[string]any{
			"job_name": "api", "static_configs": []any{map[string]any{"targets": targets}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// At the end of the test, its context ends first, and this kills the Prometheus program. Then
	// Cleanup calls this function, which waits for the end of the program.
	t.Cleanup(func() {
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	server := prometheusServer("http://" + address)
	deadline := time.Now().Add(time.Minute)
	for server.query(t, "sum(up)") != fmt.Sprint(len(services)) {
		if time.Now().After(deadline) {
			t.Fatal("Prometheus does not scrape the replicas")
		}
		time.Sleep(100 * time.Millisecond)
	}
	return server
}

// prometheusServer.query returns the result of a Prometheus query, if it is one number. It returns
// "" if there is no result, or if there are several results.
func (s prometheusServer) query(t *testing.T, query string) string {
	t.Helper()
	var result struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	s.get(t, "/api/v1/query?query="+url.QueryEscape(query), &result)
	if len(result.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(result.Data.Result[0].Value[1])
}

// prometheusServer.get asks Prometheus for a JSON document, and stores the decoded document in
// *result. If Prometheus does not respond yet, get leaves *result unchanged.
func (s prometheusServer) get(t *testing.T, path string, result any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, string(s)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, result); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
