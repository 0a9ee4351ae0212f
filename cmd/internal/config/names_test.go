package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/internal/envvar"
)

// The operator can set a field of xenaauth.Config by a key of the configuration file or by an
// environment variable. KeyOf finds the key, and envvar.VariableName finds the variable. Both must
// agree with the table tokenSettings in tokens_test.go.
func TestNamesOfFields(t *testing.T) {
	for _, s := range tokenSettings {
		field := s.field
		if strings.HasPrefix(s.key, "introspection.") {
			field = "Introspection." + field
		}
		if key, ok := KeyOf(field); !ok || key != "tokens."+s.key {
			t.Errorf("%s: key %q, want tokens.%s", field, key, s.key)
		}
		if got := envvar.VariableName(field); got != s.variable {
			t.Errorf("%s: variable %s, want %s", field, got, s.variable)
		}
	}
	if _, ok := KeyOf("Logger"); ok {
		t.Error("Logger has a key")
	}
}

// The test makes mistakes in the section tokens. The error reports each mistake with the line of
// its key in the configuration file, or with the line of the section if the file lacks the key. If
// an environment variable has set the wrong value, the error names this variable instead.
func TestMistakesNameKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gate.yaml")
	text := `listen: 127.0.0.1:0
tokens:
  issuer: http://login.example
  clock_skew: 5m
  require_active: true
  introspection:
    client_id: api
    client_secret_file: secret
    stale_if_error: 1m
    cache_ttl: -1s
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: GET /a, access: user}]}
`
	for name, content := range map[string]string{"gate.yaml": text, "secret": "s"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"XENA_AUDIENCE", "XENA_ISSUER", "XENA_INTROSPECTION_CACHE_TTL"} {
		t.Setenv(name, "")
	}
	t.Setenv("XENA_JWKS_URL", "http://keys.example")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Validator()
	want := `gate.yaml:3: tokens.issuer: is not an https URL (http is for loopback, or see tokens.allow_http)
XENA_JWKS_URL is not an https URL (http is for loopback, or see tokens.allow_http)
gate.yaml:2: tokens.audiences: is empty: name this API, or set tokens.allow_any_audience
gate.yaml:4: tokens.clock_skew: is not within 0 and 2 minutes
gate.yaml:9: tokens.introspection.stale_if_error: needs a tokens.introspection.cache_ttl: what isn't kept can't be used`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
