package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The type protocol is the HTTP version that the API and the issuer of a test environment use
// between them.
type protocol bool

const (
	// http1 stands for HTTP/1.1. The tests use HTTP/1.1 without TLS, except for the faults of TLS.
	http1 protocol = false
	http2 protocol = true // http2 stands for HTTP/2 with TLS, which most issuers use
)

func (p protocol) String() string {
	if p == http2 {
		return "HTTP2"
	}
	return "HTTP1"
}

// authority is a certificate authority for the tests. On Linux, the whole test process trusts the
// certificates that the authority has signed. So the HTTP client of the library trusts these
// certificates too.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	der  []byte
}

var trusted authority

// authority.makeTrusted makes the process trust this certificate authority. The caller must call
// makeTrusted before the process reads the certificates of the system for the first time.
func (a *authority) makeTrusted(dir string) error {
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	if a.der, err = x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key); err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(a.der); err != nil {
		return err
	}
	file := filepath.Join(dir, "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der}), 0o600); err != nil {
		return err
	}
	return os.Setenv("SSL_CERT_FILE", file)
}

// authority.certificate returns a server certificate for the given IP address and for the host name
// of the issuer.
func (a *authority) certificate(t testing.TB, ip string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.ParseIP(ip)}, DNSNames: []string{issuerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// lab.setTrustingClient gives the test environment (type lab) an HTTP client that trusts the
// certificate authority of the tests. On Linux this method does nothing, because the whole process
// already trusts this authority: see authority.makeTrusted.
func (l *lab) setTrustingClient() {
	if runtime.GOOS != "linux" && l.client == nil {
		pool := x509.NewCertPool()
		pool.AddCert(trusted.cert)
		l.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	}
}

// lab.serve starts the HTTP server of the test issuer and returns the address of the server.
func (l *lab) serve() string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.ProtoMajor == 2) != (l.protocol == http2) {
			l.t.Errorf("the issuer is asked by %s", r.Proto)
		}
		l.issuer.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = quiet
	if l.protocol == http2 {
		host, _, err := net.SplitHostPort(l.faultProxy.addr)
		if err != nil {
			l.t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{trusted.certificate(l.t, host)}}
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	l.t.Cleanup(server.Close)
	_, addr, _ := strings.Cut(server.URL, "://")
	return addr
}

// newLabOf returns a test environment (type lab) whose API and issuer use the protocol p between
// them.
func newLabOf(t testing.TB, p protocol) *lab {
	t.Helper()
	if p == http1 {
		return newLab(t)
	}
	g := newFaultProxy(t)
	l := newLabAt(t, g, "https://"+g.addr)
	l.protocol = p
	g.forwardTo(l.serve())
	l.setTrustingClient()
	return l
}
