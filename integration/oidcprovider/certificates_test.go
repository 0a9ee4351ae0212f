package oidcprovider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testAuthority returns the certificate authority of the tests. This authority signs the
// certificates of the issuer and of the API.
var testAuthority = sync.OnceValue(func() tls.Certificate { return signCertificate(nil, "authority") })

// signCertificate makes a certificate with a new key. It signs the certificate with the key of
// signingAuthority. If signingAuthority is nil, the certificate is self-signed and may sign other
// certificates.
func signCertificate(signingAuthority *tls.Certificate, name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
		IsCA: signingAuthority == nil, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	signer, issuer := any(key), template
	if signingAuthority == nil {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		signer, issuer = signingAuthority.PrivateKey, signingAuthority.Leaf
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// trustedRoots returns the root certificates that clients trust. The only one is that of the tests'
// certificate authority.
func trustedRoots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(testAuthority().Leaf)
	return roots
}

// certificatePaths contains the paths of the certificate and key files that the Node.js programs
// read.
type certificatePaths struct{ authority, certificate, key string }

// writeCertificates writes the certificates of the authority and of the issuer, and the private key
// of the issuer, into files. It returns the paths of the files.
func writeCertificates(t *testing.T) certificatePaths {
	t.Helper()
	parent := testAuthority()
	issuer := signCertificate(&parent, "issuer")
	key, err := x509.MarshalPKCS8PrivateKey(issuer.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return certificatePaths{
		authority:   write("authority.pem", "CERTIFICATE", parent.Certificate[0]),
		certificate: write("issuer.pem", "CERTIFICATE", issuer.Certificate[0]),
		key:         write("issuer.key", "PRIVATE KEY", key),
	}
}
