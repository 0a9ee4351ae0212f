package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tlsFaults contains the faults of TLS between the API and an issuer with an https URL.
func tlsFaults() []fault {
	return []fault{
		{
			name:       "TLS: an untrusted certificate",
			newLab:     newTLSLab,
			beginFault: func(l *lab) { l.certificates.show(l.certificates.strange); l.faultProxy.open() },
			stopFault:  func(l *lab) { l.certificates.show(l.certificates.good); l.faultProxy.open() },
		},
		{
			name:       "TLS: an expired certificate",
			newLab:     newTLSLab,
			beginFault: func(l *lab) { l.certificates.show(l.certificates.expired); l.faultProxy.open() },
			stopFault:  func(l *lab) { l.certificates.show(l.certificates.good); l.faultProxy.open() },
		},
		{
			name:       "TLS: the port speaks plain HTTP",
			newLab:     newTLSLab,
			beginFault: func(l *lab) { l.faultProxy.forwardTo(l.issuer.Addr()) },
			stopFault:  func(l *lab) { l.faultProxy.forwardTo(l.certificates.addr) },
		},
	}
}

// certificateChoice contains the TLS certificates that the test issuer can present, and the one
// that it presents now.
type certificateChoice struct {
	good, strange, expired *tls.Certificate
	shown                  atomic.Pointer[tls.Certificate]
	addr                   string
}

func (s *certificateChoice) show(c *tls.Certificate) { s.shown.Store(c) }

// newTLSLab returns a test environment (type lab) in which the API reaches the issuer over TLS,
// through the TCP proxy that injects faults.
func newTLSLab(t testing.TB, p protocol) *lab {
	t.Helper()
	day := 24 * time.Hour
	s := &certificateChoice{good: newCertificate(t, day), strange: newCertificate(t, day), expired: newCertificate(t, -time.Hour)}
	s.show(s.good)
	g := newFaultProxy(t)
	l := newLabAt(t, g, "https://"+g.addr)
	server := httptest.NewUnstartedServer(l.issuer)
	server.Config.ErrorLog = quiet
	server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return s.shown.Load(), nil
	}}
	server.EnableHTTP2 = p == http2
	server.StartTLS()
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "https://")
	l.certificates = s
	g.forwardTo(s.addr)
	pool := x509.NewCertPool()
	pool.AddCert(s.good.Leaf)
	pool.AddCert(s.expired.Leaf)
	l.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, ServerName: issuerName},
		TLSHandshakeTimeout: 2 * time.Second,
		ForceAttemptHTTP2:   p == http2,
	}}
	t.Cleanup(l.client.CloseIdleConnections)
	return l
}

// newCertificate returns a self-signed certificate for the issuer. The certificate became valid two
// hours ago. It expires when the duration expiresIn has passed; if expiresIn is negative, it has
// already expired.
func newCertificate(t testing.TB, expiresIn time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{issuerName},
		NotBefore:             time.Now().Add(-2 * time.Hour),
		NotAfter:              time.Now().Add(expiresIn),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
