package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Load refuses an endless configuration file, such as /dev/zero. Reading it does not fill the
// memory.
func TestEndlessFile(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("this system has no /dev/zero")
	}
	if _, err := Load("/dev/zero"); err == nil || err.Error() != "zero: too long" {
		t.Errorf("got %v", err)
	}
}

// CheckFiles returns the names of the settings whose files it could read, and an error with all
// mistakes. The error contains no secret.
func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"gate.yaml": `listen: 127.0.0.1:0
tokens: {audiences: [a]}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: GET /a, access: user}]}
identity: {assertion: {issuer: i, audience: a, key_files: [secrets/key]}}
redis: {addresses: ["127.0.0.1:6379"], secret_files: [long, secrets/short], password_file: secrets/gone}
admin: {listen: "127.0.0.1:1", revoke_secret_file: long}
`,
		"long": strings.Repeat("s3cret-", 8), "secrets/short": "s3cret-short", "secrets/key": "s3cret-no-key",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(filepath.Join(dir, "gate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := c.CheckFiles()
	if len(read) != 1 || read[0] != "admin.revoke_secret_file" {
		t.Errorf("read %q", read)
	}
	want := `gate.yaml:6: redis.secret_files.1: secrets/short: want at least 32 bytes
gate.yaml:6: redis.password_file: secrets/gone: no such file or directory
gate.yaml:5: identity.assertion.key_files.0: secrets/key: no private key in PEM`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
