package outputs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// serverAddress is a regular expression for a text that may be the address of a server: a URL, an
// IP address, or a host and a port.
var serverAddress = regexp.MustCompile(`https?://[^\s"]+|\b\d+\.\d+\.\d+\.\d+\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+:\d{2,5}\b`)

// publicAddress is a regular expression for the addresses that may occur in the files for
// monitoring, because they are public.
var publicAddress = regexp.MustCompile(`^https://(?:github\.com/xenaauth|grafana\.com|schemas?\.)`)

// Many people see the rules for alerts and the dashboard. So their files must contain no secret and
// no address. A template in these files may insert only the labels and the value of a time series.
// Labels are safe, because TestOutputsOfAttacks searches the metrics for secrets.
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
		for _, address := range serverAddress.FindAllString(text, -1) {
			if !publicAddress.MatchString(address) {
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
