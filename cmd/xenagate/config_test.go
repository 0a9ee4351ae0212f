package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// runCheck runs the program xenagate with the flag -check. It returns the exit status and the
// output.
func runCheck(t *testing.T, content string, files map[string]string, args ...string) (status int, written string) {
	t.Helper()
	dir := t.TempDir()
	if files == nil {
		files = make(map[string]string)
	}
	files["gate.yaml"] = content
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binaryPath, append([]string{"-config", filepath.Join(dir, "gate.yaml"), "-check"}, args...)...)
	out, err := cmd.CombinedOutput()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestExampleIsClean(t *testing.T) {
	example, err := os.ReadFile("xenagate.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	server := newAuthority(t).files("api.example")
	status, written := runCheck(t, string(example), map[string]string{
		"secrets/server.crt": server["server.crt"], "secrets/server.key": server["server.key"],
		"secrets/introspection": "secret", "secrets/assertion.pem": newKey(t),
		"secrets/fleet": fleetSecret, "secrets/revoke": revokeSecret, "secrets/audit": auditKey,
	}, "-strict")
	if status != 0 || written != "" {
		t.Errorf("%d: %s", status, written)
	}
}

// README.md of xenagate has a row in a table for every key of the configuration file.
func TestReadmeHasEveryKey(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		if !strings.Contains(string(readme), "\n| `"+key+"` |") {
			t.Errorf("README.md lacks %s", key)
		}
	}
}

func TestMistakesAreToldAtOnce(t *testing.T) {
	const routes = "routes: {rules: [{route: GET /a, access: public}]}\n"
	const asks = "forward_auth: {listen: \"127.0.0.1:7\", " +
		"endpoints: [{path: /a, dialect: nginx, trusted_peers: [10.0.0.0/8]}]}\n"
	const good = "listen: 127.0.0.1:0\ntokens: {audiences: [a]}\nupstreams: [{name: a, url: \"http://127.0.0.1:1\"}]\n"
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"shape": {"listen: [a]\nlisten: 3\nfoo: 1\ntokens: {clock_skew: soon, audiences: a, issuer: x}\n",
			[]string{`gate.yaml:2: key "listen" is repeated, first in line 1`}},
		"types": {"listen: [a]\nfoo: 1\ntokens:\n  clock_skew: soon\n  audiences: a\nadmin: {listens: a}\n",
			[]string{"gate.yaml:1: want text", `gate.yaml:2: unknown key "foo"`, "gate.yaml:4: want a duration",
				"gate.yaml:5: want a list",
				`gate.yaml:6: unknown key "listens"`}},
		"null":   {good + routes + "redis:\n", []string{"gate.yaml:5: redis has no value"}},
		"anchor": {good + routes + "admin: &a {listen: 127.0.0.1:0}\n", []string{"gate.yaml:5: anchors"}},
		"second": {good + routes + "---\nlisten: x\n", []string{"gate.yaml: more than one document"}},
		"CR":     {good + "# a\rroutes: {}\n" + routes, []string{"gate.yaml:4: a line break other than"}},
		"last":   {good + routes + "\r", []string{"gate.yaml:5: a line break other than"}},
		"NEL":    {good + "# a\u0085\n" + routes, []string{"gate.yaml:4: a line break other than"}},
		"LS":     {"# \u2028\r\n" + good + routes, []string{"gate.yaml:1: a line break other than"}},
		"PS":     {good + routes + "#\u2029", []string{"gate.yaml:5: a line break other than"}},
		"empty":  {"", []string{"gate.yaml: empty"}},
		"values": {`listen: nowhere
tokens: {clock_skew: 5h, profile: mine}
upstreams:
  - {name: API, url: "http://user:secret-in-a-url@127.0.0.1/path"}
  - {name: b, url: "ftp://x", path: a/../b, host: "A:1"}
authorization: maybe
trusted_proxies: [0.0.0.0/0, nonsense]
limits: {header_bytes: 10, body_bytes: -1}
timeouts: {read: -1s}
identity: {user_header: Host}
forward_auth:
  listen: 127.0.0.1:0
  endpoints:
    - {path: /envoy, dialect: envoy, trusted_peers: [10.0.0.0/8]}
    - {path: /envoy/nginx, dialect: nginx, trusted_peers: [10.0.0.0/8]}
logout: {path: /envoy/logout}
admin: {listen: 127.0.0.1:0, revoke_secret_file: nowhere}
routes:
  rules:
    - {route: GET /a, scope: [x]}
    - {route: GET /b}
`, []string{"gate.yaml:1: listen:", "gate.yaml:2: tokens.profile:", "gate.yaml:4: upstreams.0.name:",
			"gate.yaml:4: upstreams.0.url:",
			"gate.yaml:5: upstreams.1.url:", "gate.yaml:5: upstreams.1.path:", "gate.yaml:5: upstreams.1.host:",
			"gate.yaml:6: authorization:", "gate.yaml:7: trusted_proxies.0:", "gate.yaml:7: trusted_proxies.1:",
			"gate.yaml:8: limits.header_bytes:", "gate.yaml:8: limits.body_bytes:", "gate.yaml:9: timeouts.read:",
			"gate.yaml:10: identity:", "gate.yaml:15: forward_auth.endpoints.1.path: overlaps",
			"gate.yaml:16: logout.path: overlaps",
			"gate.yaml:16: logout.client_ids:", "gate.yaml:17: admin.revoke_secret_file: nowhere:",
			`gate.yaml:20: rule 1 (GET /a): unknown key "scope"`, "gate.yaml:21: rule 2 (GET /b): want"}},
		"short secret": {good + routes + "admin: {listen: 127.0.0.1:0, revoke_secret_file: short}\n",
			[]string{"gate.yaml:5: admin.revoke_secret_file: short: want at least 32 bytes"}},
		"no key": {good + routes + "identity: {assertion: {issuer: a, audience: b, key_files: [short]}}\n",
			[]string{"gate.yaml:5: identity.assertion.key_files.0: short: no private key"}},
		"no dialect": {routes + "tokens: {audiences: [a]}\n" + strings.Replace(asks, "nginx", "x", 1),
			[]string{"gate.yaml:3: forward_auth.endpoints.0:", "Dialect"}},
		"no audience": {strings.Replace(good, "tokens: {audiences: [a]}\n", "", 1) + routes,
			[]string{"gate.yaml:1: tokens.audiences:"}},
		"no routes":  {good, []string{"gate.yaml: there are neither routes nor a routes_file"}},
		"two tables": {good + routes + "routes_file: a\n", []string{"gate.yaml:5: routes_file: excludes routes"}},
		"no secret": {good[:20] + "tokens: {audiences: [a], introspection: {client_id: a}}\n" + routes,
			[]string{"gate.yaml:2: tokens.introspection.client_id: needs a client_secret_file"}},
		"nothing to do": {"tokens: {audiences: [a]}\n" + routes, []string{"listen: is missing"}},
		"challenge": {good + routes + "challenge: {realm: 'a\"b'}\nidentity: {user_header: Host}\n",
			[]string{"gate.yaml:5: challenge: may hold", "gate.yaml:6: identity:"}},
		"same listener": {good + routes + "admin: {listen: \"127.0.0.1:7\"}\n" + asks,
			[]string{"admin.listen: is the same as forward_auth.listen"}},
		"everybody trust": {good + routes + "ext_authz: {listen: \"127.0.0.1:0\", trusted_peers: [\"::/0\"]}\n",
			[]string{"ext_authz.trusted_peers.0:"}},
	} {
		status, written := runCheck(t, c.content, map[string]string{"short": "short-secret-text"})
		if status != 1 {
			t.Errorf("%s: exit status %d", name, status)
		}
		for _, want := range c.want {
			if !strings.Contains(written, want) {
				t.Errorf("%s: lacks %q:\n%s", name, want, written)
			}
		}
		for _, never := range []string{"secret-in-a-url", "short-secret-text", os.TempDir()} {
			if strings.Contains(written, never) {
				t.Errorf("%s: shows %q:\n%s", name, never, written)
			}
		}
	}
}

// The gateway lists the mistakes in a configuration in the order of their lines. It checks the
// sections of this configuration in a different order: admin, routes, tokens, forward_auth. So it
// must sort the mistakes.
func TestMistakesAreInTheOrderOfTheirLines(t *testing.T) {
	const content = `listen: 127.0.0.1:0
forward_auth:
  listen: 127.0.0.1:0
  endpoints:
    - {path: /a, dialect: x, trusted_peers: [10.0.0.0/8]}
tokens: {audiences: [a], clock_skew: 5h}
routes: {rules: [{route: GET /a}]}
admin: {listen: nowhere}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
`
	status, written := runCheck(t, content, nil)
	lines := strings.Split(strings.TrimSpace(written), "\n")
	want := []string{
		"gate.yaml:5: forward_auth.endpoints.0:", "gate.yaml:6: tokens.clock_skew:",
		"gate.yaml:7: rule 1", "gate.yaml:8: admin.listen:",
	}
	if status != 1 || !slices.EqualFunc(lines, want, strings.HasPrefix) {
		t.Errorf("%d: got\n%s\nwant lines that begin with\n%s", status, written, strings.Join(want, "\n"))
	}
}

func TestFindings(t *testing.T) {
	const content = `listen: 127.0.0.1:0
tokens: {audiences: [a]}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes:
  rules:
    - {route: /a/, scopes: [x]}
    - {route: /a/b, access: public}
`
	for strict, want := range map[string]int{"-strict=false": 0, "-strict": 1} {
		status, written := runCheck(t, content, nil, strict)
		if status != want || !strings.Contains(written, "gate.yaml:7: rule 2 (/a/b) requires less") {
			t.Errorf("%s: %d: %s", strict, status, written)
		}
	}
}

// If the configuration file lacks a key, an environment variable can set the value. If the file
// contains the key, the variable is ignored.
func TestEnvironment(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	t.Setenv("XENA_ISSUER", "https://elsewhere.example")
	t.Setenv("XENA_AUDIENCE", "testapi")
	t.Setenv("XENA_INTROSPECTION_CLIENT_ID", issuer.API())
	t.Setenv("XENA_INTROSPECTION_CLIENT_SECRET", issuer.APISecret())
	p := startGateway(t, strings.Replace(commonConfig(issuer, service), ", audiences: [testapi]", "", 1), nil)
	p.secrets = append(p.secrets, issuer.APISecret())
	for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
		if a := sendRequest(t, "GET", p.url("proxy", "/Api/Read"), p.neverShow(token)); a.status != 200 {
			t.Errorf("%d: %s", a.status, a.body)
		}
	}
}
