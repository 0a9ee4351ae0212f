package promauth_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/adapters/promauth"
)

var alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)

func readAlerts(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("alerts", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// This test runs promtool, which is part of Prometheus, to check the alerts. In the test data, each
// alert fires for the bad series and not for the good series.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_promtool.yml"}} {
		if out, err := promtool(t, "alerts", nil, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// Each alert has a test. Each metric that the rules and the tests name exists.
func TestAlertsAreComplete(t *testing.T) {
	rules, tests := readAlerts(t, "alerts.yml"), readAlerts(t, "alerts_promtool.yml")
	alerts := alertName.FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Errorf("%d alerts, want at least 10", len(alerts))
	}
	for _, alert := range alerts {
		_, test, found := strings.Cut(tests, "  - name: "+alert[1]+"\n")
		test, _, _ = strings.Cut(test, "  - name: ")
		if !found || !strings.Contains(test, `"bad"`) || !strings.Contains(test, `"good"`) {
			t.Errorf("%s: want a test with series of bad, which fire the alert, and of good, which don't", alert[1])
		}
	}
	s := start(t, &promauth.Options{Routes: true}, nil)
	s.everything()
	names := familyNames(s.scrape())
	for _, found := range regexp.MustCompile(`xenaauth_[a-z_]+`).FindAllString(rules+tests, -1) {
		if !slices.Contains(names, found) {
			t.Errorf("there is no metric %s", found)
		}
	}
}

// docs/operations.md says what each alert means.
func TestAlertsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range alertName.FindAllStringSubmatch(readAlerts(t, "alerts.yml"), -1) {
		if !strings.Contains(string(page), "| `"+alert[1]+"` |") {
			t.Errorf("docs/operations.md does not list %s", alert[1])
		}
	}
}
