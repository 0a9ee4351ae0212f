package main_test

import (
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
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// An authority is a certificate authority for tests.
type authority struct {
	t    testing.TB
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, next: 1}
	template := a.template("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.key = newECKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) template(name string) *x509.Certificate {
	a.next++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"api.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	c.Subject.CommonName = name
	return c
}

// authority.issue returns a new certificate, which servers and clients can use. The parameter
// commonName is its subject. The authority signs it. issue also returns the certificate and its
// private key in PEM.
func (a *authority) issue(commonName string) (pair *tls.Certificate, cert, key string) {
	a.t.Helper()
	own := newECKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, a.template(commonName), a.root, own.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, key = inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", secret)
	loaded, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		a.t.Fatal(err)
	}
	return &loaded, cert, key
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// authority.files returns the content of two files: server.crt is a new certificate with the
// subject commonName, and server.key is its private key.
func (a *authority) files(commonName string) map[string]string {
	_, cert, key := a.issue(commonName)
	return map[string]string{"server.crt": cert, "server.key": key}
}

// authority.newTransport returns an HTTP transport that trusts the certificates of the authority.
func (a *authority) newTransport() *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	a.t.Cleanup(t.CloseIdleConnections)
	return t
}

const withTLS = "tls: {cert_file: server.crt, key_file: server.key}\n"

// roundTrip sends a GET request through a transport. Each header field has the form "Name: value".
func roundTrip(t testing.TB, rt http.RoundTripper, url, token string, fields ...string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	res, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// authority.newMTLSClient returns a client that uses certificate for mTLS, and trusts servers with
// a certificate of the authority. The caller sets the client's token.
func (a *authority) newMTLSClient(certificate *tls.Certificate) *xenaauthtest.Client {
	c := xenaauthtest.NewMTLSClient(certificate)
	c.Transport = a.newTransport()
	return c
}

// process.tlsURL returns the URL of a path on the gateway's listener with TLS.
func (p *process) tlsURL(path string) string { return "https://" + p.addr("proxy") + path }
