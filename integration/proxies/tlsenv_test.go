package proxies

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A tlsProxy is a proxy that terminates TLS in front of xenagate. Its sample configuration is in
// cmd/xenagate/deploy/tls.
type tlsProxy struct {
	*proxy
	// the format in which the proxy sends client certificates: the value of
	// possession.client_certificate.form in the configuration of xenagate
	form   string
	config func(t *testing.T, dir, addr, gate string) (args []string)
}

var tlsProxies = []tlsProxy{
	{&all[0], "nginx", tlsNginxConfig},
	{&all[1], "rfc9440", tlsCaddyConfig},
	{&all[2], "haproxy", tlsHAProxyConfig},
}

// The sample configurations contain these addresses. The tests replace them by the addresses of
// test servers.
const (
	sampleTLS   = ":8443"
	sampleProxy = "127.0.0.1:8080"
)

func tlsNginxConfig(t *testing.T, dir, addr, gate string) []string {
	write(t, dir, "nginx.conf", readSample(t, "tls/nginx.conf",
		"listen 8443 ssl", "listen "+addr+" ssl", sampleProxy, gate, "/etc/nginx/", dir+"/",
		"/run/nginx.pid", filepath.Join(dir, "pid"), "/var/log/nginx/error.log", "stderr", "/var/log/nginx/", dir+"/",
		"http {\n", "http {\n"+nginxTemp(dir),
	))
	return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr", "-g", "daemon off;"}
}

func tlsCaddyConfig(t *testing.T, dir, addr, gate string) []string {
	_, port, _ := strings.Cut(addr, ":")
	write(t, dir, "Caddyfile", readSample(t, "tls/Caddyfile",
		"{\n\tadmin off\n", "{\n\tadmin off\n\tstorage file_system "+dir+"\n",
		"https://:8443 {", "https://:"+port+" {\n\tbind 127.0.0.1", sampleProxy, gate, "/etc/caddy/", dir+"/",
	))
	return []string{"run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile"}
}

func tlsHAProxyConfig(t *testing.T, dir, addr, gate string) []string {
	write(t, dir, "haproxy.cfg", readSample(t, "tls/haproxy.cfg",
		"bind :8443", "bind "+addr, sampleProxy, gate, "/etc/haproxy/", dir+"/",
		"log stdout format raw local0", "log stderr format raw local0",
	))
	return []string{"-db", "-f", filepath.Join(dir, "haproxy.cfg")}
}

// tlsEnv is the environment of a test: an issuer, and xenagate behind a proxy that terminates TLS.
type tlsEnv struct {
	issuer *xenaauthtest.Issuer
	addr   string // the address of the proxy
	form   string
	roots  *x509.CertPool
	// lastHeader is the header of the last request that arrived at the service
	lastHeader *atomic.Pointer[http.Header]
}

// eachTLS runs a test once with each proxy that can terminate TLS.
func eachTLS(t *testing.T, test func(t *testing.T, e *tlsEnv)) {
	binary := buildGate(t)
	issuer := xenaauthtest.StartIssuer(nil)
	t.Cleanup(issuer.Close)
	for _, p := range tlsProxies {
		t.Run(p.name, func(t *testing.T) {
			program := p.find(t)
			e := &tlsEnv{issuer: issuer, form: p.form, lastHeader: new(atomic.Pointer[http.Header])}
			service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				header := r.Header.Clone()
				e.lastHeader.Store(&header)
			}))
			t.Cleanup(service.Close)
			dir, addr, gate := tempDir(t), freeAddr(t), freeAddr(t)
			e.addr = addr
			e.roots = writeServerCertificate(t, dir)
			write(t, dir, "xenagate.yaml", readSample(t, "tls/xenagate.yaml",
				"audiences: [testapi]", "audiences: [testapi]\n  issuer: "+issuer.URL(),
				"form: nginx", "form: "+p.form,
				sampleProxy, gate, "http://"+sampleService, service.URL, "127.0.0.1:9092", freeAddr(t),
			))
			startProcess(t, dir, gate, binary, "-config", filepath.Join(dir, "xenagate.yaml"))
			startProcess(t, dir, addr, program, p.config(t, dir, addr, gate)...)
			test(t, e)
		})
	}
}

// writeServerCertificate writes a new server certificate and its key into dir, in the formats that
// the proxies need. It returns a certificate pool. A client that uses this pool trusts the
// certificate.
func writeServerCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames:              []string{"api.example"},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	write(t, dir, "server.crt", cert)
	write(t, dir, "server.key", private)
	write(t, dir, "server.pem", cert+private)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	return roots
}

// publicOrigin is the origin of the URLs that clients use. The tests send requests with this origin
// to the proxy.
const publicOrigin = "https://api.example"

// tlsEnv.transport returns an HTTP transport that connects to the proxy, whatever the host in the
// URL is.
func (e *tlsEnv) transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, e.addr)
		},
	}
}

// tlsEnv.get sends a request with the token to the proxy. Unless client is nil, it also presents
// the certificate of client. Each string in lines is a header field in the form "Name: value".
func (e *tlsEnv) get(t *testing.T, client *xenaauthtest.Client, path, token string, lines ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, publicOrigin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	var rt http.RoundTripper = e.transport()
	if client != nil {
		client.Transport = e.transport()
		rt = client
	}
	res, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}
