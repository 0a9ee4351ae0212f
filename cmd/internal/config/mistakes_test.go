package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Load lists the mistakes of a configuration file in the order of their lines, and those of another
// file after them.
func TestMistakesAreInTheOrderOfTheirLines(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"gate.yaml": `timeouts: {read: -1s}
trusted_proxies: [0.0.0.0/0]
listen: a
admin: {listen: b, unknown: c}
authorization: maybe
routes_file: table.yaml
upstreams: [{name: A, url: "ftp://b"}]
`,
		"table.yaml": "rules: [{route: GET /a}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(filepath.Join(dir, "gate.yaml"))
	want := `gate.yaml:1: timeouts.read: is negative
gate.yaml:2: trusted_proxies.0: want a network such as 10.0.0.0/8, and not all addresses
gate.yaml:3: listen: want host:port
gate.yaml:4: unknown key "unknown"
gate.yaml:5: authorization: is neither strip nor forward
gate.yaml:7: upstreams.0.name: want lower-case letters, digits and "-", at most 32
gate.yaml:7: upstreams.0.url: want http:// or https:// and a host
table.yaml:1: rule 1 (GET /a): want scopes, any_scope or access`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// JoinMistakes sorts errors by their line numbers. The number 9 comes before 10, although the text
// "10" comes before "9". Errors without a line number keep their order and come last.
func TestJoinMistakes(t *testing.T) {
	c := &Config{source: newSource("/etc/gate.yaml", nil)}
	err := c.JoinMistakes(
		errors.New("first without a line"), errors.New("gate.yaml: second without a line"), nil,
		errors.Join(errors.New("gate.yaml:10: a"), errors.New("gate.yaml:9: b")), errors.New("gate.yaml:9: c"),
	)
	want := "gate.yaml:9: b\ngate.yaml:9: c\ngate.yaml:10: a\nfirst without a line\ngate.yaml: second without a line"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := c.JoinMistakes(nil, errors.Join()); err != nil {
		t.Errorf("got %v without mistakes", err)
	}
}
