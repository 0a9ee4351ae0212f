package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// readmeBlock returns the code block in README.md whose text begins with firstWords.
func readmeBlock(t *testing.T, firstWords string) string {
	t.Helper()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n"+firstWords)
	block, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatalf("README.md has no block that begins with %q", firstWords)
	}
	return firstWords + block
}

// The test runs a gateway with the configuration of the tour in README.md. In the tour, a comment
// after each curl command says which status the response has. The response must have this status.
func TestReadmeTour(t *testing.T) {
	tour := readmeBlock(t, "mkdir /tmp/site")
	_, rest, _ := strings.Cut(tour, "<<'END'\n")
	written, commands, found := strings.Cut(rest, "END\n")
	if !found {
		t.Fatal("the tour writes no configuration")
	}
	if status, out := runCheck(t, written, nil, "-strict"); status != 0 || out != "" {
		t.Errorf("%d: %s", status, out)
	}

	issuer, service := newIssuer(t), newService(t)
	config := written
	for _, replace := range [][2]string{
		{"https://logintest.xena.biz", issuer.URL()}, {"http://127.0.0.1:8081", service.URL},
		{"127.0.0.1:8080", "127.0.0.1:0"}, {"127.0.0.1:9091", "127.0.0.1:0"},
	} {
		if !strings.Contains(config, replace[0]) {
			t.Fatalf("the configuration has no %s", replace[0])
		}
		config = strings.ReplaceAll(config, replace[0], replace[1])
	}
	p := startGateway(t, config, nil)
	curl := regexp.MustCompile(`(?m)^curl -i (.*)http://127\.0\.0\.1:8080(\S+) +# (\d+)`).FindAllStringSubmatch(commands, -1)
	if len(curl) != 4 {
		t.Fatalf("%q", curl)
	}
	for _, c := range curl {
		want, _ := strconv.Atoi(c[3])
		field := ""
		if strings.Contains(c[1], "$TOKEN") {
			field = "Authorization: Bearer " + p.neverShow(issuer.JWT(xenaauthtest.Token{})) + "\r\n"
		}
		a, err := sendBytes(t, p.addr("proxy"), "GET "+c[2]+" HTTP/1.1\r\nHost: a\r\n"+field+"Connection: close\r\n\r\n")
		if err != nil || a.status != want {
			t.Errorf("%s: %d, %v, want %d", c[0], a.status, err, want)
		}
	}
	if metrics := sendRequest(t, "GET", p.url("admin", "/metrics"), "").body; !strings.Contains(metrics, "\nxenagate_requests") {
		t.Error("there are no metrics of the name that the tour looks for")
	}
}

// The program xenagate has all flags that README.md lists.
func TestReadmeFlags(t *testing.T) {
	out, _ := exec.Command(binaryPath, "-help").CombinedOutput()
	for _, name := range regexp.MustCompile(` (-[a-z]+)`).FindAllString(readmeBlock(t, "xenagate -config FILE "), -1) {
		if !strings.Contains(string(out), "\n "+name) {
			t.Errorf("%s isn't a flag: %s", name, out)
		}
	}
}

// The gateway accepts the JSON of the request for a revocation that README.md shows. Then it
// refuses the token of the revoked user.
func TestReadmeRevocation(t *testing.T) {
	block := readmeBlock(t, `curl -H "Authorization: Bearer $(cat secrets/revoke)"`)
	body := regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(block)
	if body == nil || !strings.Contains(block, "/revoke") {
		t.Fatal(block)
	}
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, strings.Replace(commonConfig(issuer, service), "admin: {listen: 127.0.0.1:0}",
		"admin: {listen: 127.0.0.1:0, revoke_secret_file: revoke.secret}", 1), map[string]string{"revoke.secret": revokeSecret})
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "104711"}))
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.status != 200 {
		t.Fatal(a)
	}
	if a := revoke(t, p, p.neverShow(revokeSecret), body[1]); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := sendRequest(t, "GET", p.url("proxy", "/me"), token); a.status != 401 {
		t.Errorf("the token is good still: %d", a.status)
	}
}

// The gateway can use the files that openssl makes with the commands in README.md.
func TestReadmeFiles(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	sh := exec.Command("sh", "-e", "-c", readmeBlock(t, "mkdir -m 700 secrets"))
	sh.Dir = dir
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := make(map[string]string)
	for _, name := range []string{"secrets/server.crt", "secrets/server.key", "secrets/assertion.key", "secrets/fleet"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(data)
	}
	status, out := runCheck(t, `listen: 127.0.0.1:0
tokens: {audiences: [a]}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: GET /a, access: public}]}
tls: {cert_file: secrets/server.crt, key_file: secrets/server.key}
identity: {assertion: {issuer: "https://gate.example", audience: a, key_files: [secrets/assertion.key]}}
admin: {listen: "127.0.0.1:0", revoke_secret_file: secrets/fleet}
`, files)
	if status != 0 || out != "" {
		t.Errorf("%d: %s", status, out)
	}
}
