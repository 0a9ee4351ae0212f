package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The error for a value of the wrong type says what the file must contain. It contains neither the
// value nor a Go type, whatever the value is: the author may have written a secret at this place.
func TestMistakesContainNoValues(t *testing.T) {
	const secret = "s3c"
	const anchors, tags = "anchors and aliases are not supported", "tags and merge keys are not"
	for text, want := range map[string]string{
		`limits: {body_bytes: s3cret}`:                       "want a whole number",
		`limits: {body_bytes: "s3c\nret"}`:                   "want a whole number",
		`limits: {body_bytes: "\ns3c"}`:                      "want a whole number",
		"limits: {body_bytes: \"`s3c\"}":                     "want a whole number",
		"limits: {body_bytes: \"s3c` into\"}":                "want a whole number",
		"limits: {body_bytes: \"` into s3c\"}":               "want a whole number",
		`timeouts: {read: "s3c\r\nret"}`:                     "want a duration, such as 30s",
		`redis: {tls: "s3c\nret"}`:                           "want true or false",
		`trusted_proxies: "s3c\nret"`:                        "want a list",
		`identity: "s3c\nret"`:                               "want a mapping",
		`identity: {claim_headers: "s3c\nret"}`:              "want a mapping",
		`possession: {dpop: {use: [s3cret]}}`:                "want text",
		`possession: {client_certificate: {form: [s3cret]}}`: "want text",
		`redis: {password_file: *s3cret}`:                    anchors,
		`redis: {password_file: &s3cret a}`:                  anchors,
		`redis: {password_file: !!int s3cret}`:               tags,
	} {
		path := filepath.Join(t.TempDir(), "gate.yaml")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
			continue
		}
		for _, never := range []string{secret, "int64", "[]", "time.", "config.", "map[", "!!"} {
			if strings.Contains(err.Error(), never) {
				t.Errorf("%s: the error contains %q: %v", text, never, err)
			}
		}
	}
}
