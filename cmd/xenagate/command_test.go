package main_test

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// runXenagate runs the program xenagate, waits until it ends, and returns its exit status and its
// output.
func runXenagate(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binaryPath, args...)
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, help := range []string{"-h", "-help", "--help"} {
		status, stdout, stderr := runXenagate(t, help)
		if status != 0 || stderr != "" || !strings.Contains(stdout, "-config file") ||
			!strings.Contains(stdout, "-version") {
			t.Errorf("%s: %d, %q, %q", help, status, stdout, stderr)
		}
	}
	for _, args := range [][]string{nil, {"-nonsense"}, {"-config", "a", "b"}} {
		status, stdout, stderr := runXenagate(t, args...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, "usage: xenagate") {
			t.Errorf("%v: %d, %q, %q", args, status, stdout, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := runXenagate(t, "-version")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "xenagate ") || !strings.Contains(stdout, "go1.") {
		t.Errorf("%d, %q, %q", status, stdout, stderr)
	}
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service), nil)
	fields := strings.Fields(stdout)
	want := `,version="` + fields[1] + `"} 1`
	for line := range strings.Lines(sendRequest(t, "GET", p.url("admin", "/metrics"), "").body) {
		if strings.HasPrefix(line, "xenagate_build_info{") && strings.Contains(line, want) {
			return
		}
	}
	t.Errorf("the metrics don't tell the build %s", fields[1])
}

// With the flag -check, xenagate reports each mistake in the configuration once: mistakes in the
// structure of the file, in values, in routes, in the files that the configuration names, and
// mistakes that other packages find. All of them are reported together.
func TestMistakesOfAllKindsAreToldTogether(t *testing.T) {
	status, written := runCheck(t, `listen: 127.0.0.1:0
foo: 1
tokens:
  audiences: [a]
  clock_skew: soon
  profile: mine
  max_key_age: -1s
  introspection:
    client_id: api
    client_secret_file: nowhere
    auth: bearer
upstreams: [{name: a, url: "ftp://127.0.0.1", weight: 3}]
routes:
  rules:
    - {route: GET /a, scope: [x]}
    - {route: GET /b}
listen: 127.0.0.1:1
bar: 2
authorization: maybe
redis:
admin: &a {listen: 127.0.0.1:0}
identity:
  user_header: Host
  assertion: {issuer: i, audience: a, key_files: [gone], lifetime: 1h}
forward_auth:
  listen: 127.0.0.1:0
  endpoints:
    - {path: /verify, dialect: apache, trusted_peers: [10.0.0.0/8]}
    - {path: /two, dialect: nginx, trusted_peers: [nonsense]}
`, nil)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{
		`gate.yaml:2: unknown key "foo"`, "gate.yaml:5: want a duration", "gate.yaml:6: tokens.profile:",
		"gate.yaml:7: tokens.max_key_age: is negative", "nowhere: no such file", "gate.yaml:11: tokens.introspection.auth:",
		`gate.yaml:12: unknown key "weight"`, `gate.yaml:15: rule 1 (GET /a): unknown key "scope"`,
		"gate.yaml:16: rule 2 (GET /b): want", `gate.yaml:17: key "listen" is repeated, first in line 1`,
		`gate.yaml:18: unknown key "bar"`, "gate.yaml:19: authorization:", "gate.yaml:20: redis has no value",
		"gate.yaml:21: anchors", "gate.yaml:22: identity: ", "Lifetime", "gone: no such file",
		"gate.yaml:28: forward_auth.endpoints.0:", "gate.yaml:29: forward_auth.endpoints.1.trusted_peers.0:",
	} {
		if !strings.Contains(written, want) {
			t.Errorf("lacks %q", want)
		}
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(written) {
		if seen[line] {
			t.Errorf("is told twice: %s", line)
		}
		seen[line] = true
		if strings.Contains(line, "client_secret") && !strings.Contains(line, "nowhere") || strings.Contains(line, "panic") {
			t.Errorf("isn't true: %s", line)
		}
	}
	if t.Failed() {
		t.Log(written)
	}
}

// With the flag -check, xenagate reports its findings about routes even if another part of the
// configuration has a mistake. A finding is a warning: the routes are valid, but probably not meant
// so.
func TestFindingsBesideMistakes(t *testing.T) {
	status, written := runCheck(t, `listen: 127.0.0.1:0
tokens: {audiences: [a]}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
authorization: maybe
routes:
  rules:
    - {route: /a/, scopes: [x]}
    - {route: /a/b, access: public}
`, nil)
	for _, want := range []string{"gate.yaml:4: authorization:", "gate.yaml:8: rule 2 (/a/b) requires less"} {
		if status != 1 || !strings.Contains(written, want) {
			t.Errorf("%d, lacks %q: %s", status, want, written)
		}
	}
}
