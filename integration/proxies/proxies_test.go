package proxies

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/gateway/forwardauth"
)

// The sample configurations contain these addresses. The tests replace them by the addresses of
// test servers.
const (
	sampleGate    = "127.0.0.1:9090"
	sampleService = "127.0.0.1:8081"
)

// If useShortTimeouts is true, the proxies get a timeout of 1 s or less for the responses of
// xenagate, in place of the timeout in their sample configurations.
var useShortTimeouts bool

// readSampleWithTimeout reads a sample configuration, replaces some parts of its text, and returns
// the text. The parameter replacements contains pairs of an old and a new text. The parameter
// sampleText is the part of the sample that sets the timeout for the responses of xenagate. If
// useShortTimeouts is true, shortText replaces this part, so that the proxy gets a shorter timeout.
func readSampleWithTimeout(t *testing.T, name, sampleText, shortText string, replacements ...string) string {
	t.Helper()
	if !useShortTimeouts {
		shortText = sampleText
	}
	return readSample(t, name, append(replacements, sampleText, shortText)...)
}

// A proxy describes a reverse proxy that the tests run, and the ways in which it differs from other
// proxies.
type proxy struct {
	name    string
	dialect forwardauth.Dialect
	// the value for forwardauth.Config.PathPrefix that this proxy needs
	prefix string
	h2c    bool // h2c means that the sample configuration accepts HTTP/2 without TLS
	// optional means that the proxy may be missing in CI, because CI can't install it
	optional bool
	config   func(t *testing.T, dir string, e *env) (args []string)
	// removesOnlyUsual means that the proxy removes a client's identity fields, such as
	// X-Auth-User, only if their names are written with "-", "_" or ".", and not with other
	// separators
	removesOnlyUsual bool
	// passesTrailers means that the proxy passes trailers (fields after the body) on, so the
	// service must not read the user from a trailer
	passesTrailers bool

	// The fields below describe how a refusal that the client gets differs from the refusal that
	// xenaauth writes.

	// statusForMalformed is the status that the proxy sends in place of 400; 0 means that it sends
	// 400
	statusForMalformed int
	// statusIfUnreachable is the status that the proxy sends if it cannot reach xenagate
	statusIfUnreachable int
	// statusIfSilent is the status that the client gets if xenagate accepts the proxy's request but
	// never responds. The proxy sends this status after a timeout. 0 means that the timeout of the
	// proxy cannot be configured.
	statusIfSilent      int
	replacesBody        bool // replacesBody means that the proxy replaces the body of refusals by its own
	removesRetryAfter   bool // removesRetryAfter means that the proxy removes Retry-After from refusals
	removesCacheControl bool // removesCacheControl means that the proxy removes Cache-Control from refusals
}

var all = []proxy{
	{
		name: "nginx", dialect: forwardauth.Nginx, config: nginxConfig,
		statusForMalformed: 401, statusIfUnreachable: 503, statusIfSilent: 503, replacesBody: true, removesCacheControl: true,
	},
	{
		name: "caddy", dialect: forwardauth.Caddy, config: caddyConfig,
		statusIfUnreachable: 502, statusIfSilent: 504, passesTrailers: true,
	},
	{
		name: "haproxy", dialect: forwardauth.HAProxy, config: haproxyConfig,
		statusIfUnreachable: 503, statusIfSilent: 503, h2c: true, passesTrailers: true,
	},
	// CI does not run Traefik and Envoy, because it can reach no package registry that has them.
	{
		name: "traefik", optional: true, dialect: forwardauth.Traefik, config: traefikConfig,
		statusIfUnreachable: 500, passesTrailers: true,
	},
	{
		name: "envoy", optional: true, dialect: forwardauth.Envoy, prefix: "/verify", config: envoyConfig,
		statusIfUnreachable: 503, statusIfSilent: 503, removesRetryAfter: true, replacesBody: true, removesOnlyUsual: true, h2c: true, passesTrailers: true,
	},
}

// nginxTemp returns lines for the configuration of nginx. With them, nginx writes its temporary
// files into dir.
func nginxTemp(dir string) (lines string) {
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines += "    " + name + "_temp_path " + filepath.Join(dir, name) + ";\n"
	}
	return lines
}

func nginxConfig(t *testing.T, dir string, e *env) []string {
	write(t, dir, "nginx.conf", readSampleWithTimeout(t, "nginx.conf", "proxy_read_timeout 7s", "proxy_read_timeout 1s",
		"listen 8080;", "listen "+e.addr+";",
		sampleGate, e.gate.addr,
		sampleService, e.service.addr,
		"/run/nginx.pid", filepath.Join(dir, "pid"),
		"/var/log/nginx/error.log", "stderr",
		"/var/log/nginx/", dir+"/",
		"http {\n", "http {\n"+nginxTemp(dir),
	))
	return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", "daemon off;"}
}

func caddyConfig(t *testing.T, dir string, e *env) []string {
	_, port, _ := strings.Cut(e.addr, ":")
	write(t, dir, "Caddyfile", readSampleWithTimeout(t, "Caddyfile", "response_header_timeout 7s", "response_header_timeout 1s",
		"{\n\tadmin off\n", "{\n\tadmin off\n\tstorage file_system "+dir+"\n",
		"http://:8080 {", "http://:"+port+" {\n\tbind 127.0.0.1",
		sampleGate, e.gate.addr,
		sampleService, e.service.addr,
	))
	return []string{"run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"}
}

func haproxyConfig(t *testing.T, dir string, e *env) []string {
	write(t, dir, "xenagate.lua", readSampleWithTimeout(t, "xenagate.lua", "timeout = 2000", "timeout = 250", sampleGate, e.gate.addr))
	write(t, dir, "haproxy.cfg", readSample(t, "haproxy.cfg",
		"bind :8080", "bind "+e.addr,
		sampleService, e.service.addr,
		"/etc/haproxy/", dir+"/",
		"log stdout format raw local0", "log stderr format raw local0",
	))
	return []string{"-db", "-f", filepath.Join(dir, "haproxy.cfg")}
}

func traefikConfig(t *testing.T, dir string, e *env) []string {
	write(t, dir, "traefik-dynamic.yaml",
		readSample(t, "traefik-dynamic.yaml", sampleGate, e.gate.addr, sampleService, e.service.addr))
	write(t, dir, "traefik.yaml", readSample(t, "traefik.yaml", ":8080", e.addr, "/etc/traefik/", dir+"/"))
	return []string{"--configFile=" + filepath.Join(dir, "traefik.yaml")}
}

func envoyConfig(t *testing.T, dir string, e *env) []string {
	// the sample configurations of Envoy write an address in this form
	socket := func(addr string) string {
		host, port, _ := strings.Cut(addr, ":")
		return "address: " + host + ", port_value: " + port
	}
	write(t, dir, "envoy.yaml", readSampleWithTimeout(t, "envoy-http.yaml", "timeout: 6s", "timeout: 1s",
		socket("0.0.0.0:8080"), socket(e.addr),
		socket(sampleGate), socket(e.gate.addr),
		sampleGate, e.gate.addr,
		socket(sampleService), socket(e.service.addr),
	))
	return []string{"-c", filepath.Join(dir, "envoy.yaml"), "--use-dynamic-base-id", "-l", "warn"}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// proxy.find returns the path of the proxy's program. If it is missing, the test is skipped; in CI
// the test fails, unless the proxy is optional.
func (p *proxy) find(t *testing.T) string {
	t.Helper()
	name := p.name
	if own := os.Getenv(strings.ToUpper(p.name)); own != "" {
		name = own
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") != "" && !p.optional {
			t.Fatalf("%s must be installed: %v", p.name, err)
		}
		t.Skipf("%s is not installed: %v", p.name, err)
	}
	return path
}

// eachProxy runs a test once with each proxy.
func eachProxy(t *testing.T, test func(t *testing.T, e *env)) {
	for i := range all {
		p := &all[i]
		t.Run(p.name, func(t *testing.T) {
			program := p.find(t)
			e := newEnv(t, p)
			dir := tempDir(t)
			startProcess(t, dir, e.addr, program, p.config(t, dir, e)...)
			test(t, e)
			e.service.failOnViolations(t)
		})
	}
}
