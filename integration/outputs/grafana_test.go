package outputs

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// The test reads the Grafana dashboard of package promauth into Grafana's own Go types. It is
// strict: each member of the JSON must be a member that Grafana knows, and its value must have the
// right type.
func TestDashboardIsGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("../../adapters/promauth/dashboard/xenaauth.json")
	fatal(t, err)
	read := func(text []byte) string {
		var d dashboard.Dashboard //lint:ignore SA1019 the dashboard has the schema that Grafana calls classic
		// If a part of the dashboard has no mistake, Grafana's code returns an error with an empty
		// text.
		if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
			return err.Error()
		}
		if err := d.Validate(); err != nil {
			return err.Error()
		}
		return ""
	}
	if mistakes := read(text); mistakes != "" {
		t.Error(mistakes)
	}
	// The strict check of the dashboard must find each of these mistakes.
	for name, spoil := range map[string]func(map[string]any){
		"an unknown member": func(d map[string]any) { d["panel"] = []any{} },
		"a wrong type":      func(d map[string]any) { d["tags"] = "xenaauth" },
		"a missing member":  func(d map[string]any) { delete(d, "annotations") },
		"an unknown option": func(d map[string]any) {
			panel := d["panels"].([]any)[1].(map[string]any)
			panel["options"].(map[string]any)["legends"] = true
		},
	} {
		var d map[string]any
		fatal(t, json.Unmarshal(text, &d))
		spoil(d)
		spoiled, err := json.Marshal(d)
		fatal(t, err)
		if read(spoiled) == "" {
			t.Errorf("%s is accepted", name)
		}
	}
}
