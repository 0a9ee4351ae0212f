package outputs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The variable addresses is a regular expression for a text that may be the address of a server: a
// URL, an IP address, or a host and a port.
var addresses = regexp.MustCompile(`https?://[^\s"]+|\b\d+\.\d+\.\d+\.\d+\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d{2,5}\b`)

// The variable documented is a regular expression for addresses that are public and may occur in
// the files for monitoring.
var documented = regexp.MustCompile(`^https://(?:github\.com/xenaauth|grafana\.com|schemas?\.)`)

// Many people see the rules for alerts and the dashboard. So the files with them must contain no
// secret and no address. An alert shows only the labels and the value of a time series.
// TestOutputsOfAttacks searches the metrics that Prometheus gets, with these labels, for secrets.
func TestAlertsAndDashboard(t *testing.T) {
	s := newService(t, nil)
	f := s.newForbidden(s.issuer.APISecret())
	files, err := filepath.Glob("../../adapters/promauth/[ad]*/*")
	fatal(t, err)
	if len(files) < 2 {
		t.Fatalf("only %q was found", files)
	}
	templates := 0
	for _, file := range files {
		if !strings.HasSuffix(file, ".yml") && !strings.HasSuffix(file, ".json") {
			continue
		}
		data, err := os.ReadFile(file)
		fatal(t, err)
		text := string(data)
		if found := f.find(text); found != "" {
			t.Errorf("%s contains %s", file, found)
		}
		for _, address := range addresses.FindAllString(text, -1) {
			if !documented.MatchString(address) {
				t.Errorf("%s contains the address %q", file, address)
			}
		}
		for _, template := range regexp.MustCompile(`{{[^}]*}}`).FindAllString(text, -1) {
			templates++
			if !regexp.MustCompile(`^{{ ?(?:\$labels\.\w+|\$value(?: \| \w+)?|\w+) ?}}$`).MatchString(template) {
				t.Errorf("%s has the template %s", file, template)
			}
		}
	}
	if templates == 0 {
		t.Error("no alert has a template")
	}
}
