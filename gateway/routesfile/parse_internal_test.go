package routesfile

import (
	"errors"
	"testing"
)

// If syntaxError does not recognize an error of package yaml, the error may contain text of the
// file. So syntaxError does not pass the error on.
func TestUnknownSyntaxError(t *testing.T) {
	for text, want := range map[string]string{
		"yaml: unknown s3cret":                  "r.yaml: the YAML is not valid",
		"yaml: line 3: anchor 's3cret' is new":  "r.yaml: the YAML is not valid",
		"yaml: line 3: did not find\ns3cret":    "r.yaml: the YAML is not valid",
		"yaml: line 3: did not find":            "r.yaml: the YAML is not valid",
		"yaml: line 3: did not find expected x": "r.yaml:3: did not find expected x",
		"yaml: did not find expected x":         "r.yaml: did not find expected x",
	} {
		if err := syntaxError("r.yaml", errors.New(text)); err.Error() != want {
			t.Errorf("%q: got %q, want %q", text, err, want)
		}
	}
}
