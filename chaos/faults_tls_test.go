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
			name:  "TLS: an untrusted certificate",
			lab:   newTLSLab,
			begin: func(l *lab) { l.tls.show(l.tls.strange); l.gate.open() },
			end:   func(l *lab) { l.tls.show(l.tls.good); l.gate.open() },
		},
		{
			name:  "TLS: an expired certificate",
			lab:   newTLSLab,
			begin: func(l *lab) { l.tls.show(l.tls.expired); l.gate.open() },
			end:   func(l *lab) { l.tls.show(l.tls.good); l.gate.open() },
		},
		{
			name:  "TLS: the port speaks plain HTTP",
			lab:   newTLSLab,
			begin: func(l *lab) { l.gate.lead(l.issuer.Addr()) },
			end:   func(l *lab) { l.gate.lead(l.tls.addr) },
		},
	}
}

// The type trust contains the TLS certificates that the test issuer can present, and the one that
// it presents now.
type trust struct {
	good, strange, expired *tls.Certificate
	shown                  atomic.Pointer[tls.Certificate]
	addr                   string
}

func (s *trust) show(c *tls.Certificate) { s.shown.Store(c) }

// newTLSLab returns a test environment (type lab) in which the API reaches the issuer over TLS,
// through the TCP proxy that injects faults.
func newTLSLab(t testing.TB, p protocol) *lab {
	t.Helper()
	day := 24 * time.Hour
	s := &trust{good: certificate(t, day), strange: certificate(t, day), expired: certificate(t, -time.Hour)}
	s.show(s.good)
	g := newGate(t)
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
	l.tls = s
	g.lead(s.addr)
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

// The function certificate returns a self-signed certificate for the issuer. The certificate became
// valid two hours ago, and the parameter end says after how much time it expires.
func certificate(t testing.TB, end time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{issuerName},
		NotBefore:             time.Now().Add(-2 * time.Hour),
		NotAfter:              time.Now().Add(end),
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
