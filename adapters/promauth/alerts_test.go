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

// TestAlerts runs promtool, which is part of Prometheus. It checks the rules for alerts, and tests
// them with made-up metrics: each alert must fire for the bad values and not for the good ones.
func TestAlerts(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_promtool.yml"}} {
		if out, err := runPromtool(t, "alerts", nil, args...); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestAlertsAreComplete requires that each alert has a test for promtool. It also requires that the
// alerts and these tests use only metrics that exist.
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
	s := startService(t, &promauth.Options{Routes: true}, nil)
	s.sendEverything()
	names := familyNames(s.scrape())
	for _, found := range regexp.MustCompile(`xenaauth_[a-z_]+`).FindAllString(rules+tests, -1) {
		if !slices.Contains(names, found) {
			t.Errorf("there is no metric %s", found)
		}
	}
}

// For each alert, docs/operations.md must say what the alert means.
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
