package xenaauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"time"
)

// NewMTLSClient returns a client that proves possession of its key by its certificate (RFC 8705).
// The client sends its token as Bearer. If certificate is nil, the client makes a self-signed
// certificate. NewMTLSClient panics if certificate is empty or can't be parsed.
//
// A server that asks for the certificate needs a [tls.Config] with [tls.RequestClientCert] or a
// stricter value. If the client calls Handler directly, the URL of a request must begin with
// https://, and Handler finds the certificate in the TLS field of the request.
func NewMTLSClient(certificate *tls.Certificate) *Client {
	if certificate == nil {
		certificate = newCertificate()
	}
	c := &Client{certificate: *certificate}
	if c.certificate.Leaf == nil {
		if len(c.certificate.Certificate) == 0 {
			panic("xenaauthtest: the certificate is empty")
		}
		leaf, err := x509.ParseCertificate(c.certificate.Certificate[0])
		if err != nil {
			panic("xenaauthtest: " + err.Error())
		}
		c.certificate.Leaf = leaf
	}
	digest := sha256.Sum256(c.certificate.Leaf.Raw)
	c.thumbprint = base64.RawURLEncoding.EncodeToString(digest[:])
	return c
}

// Certificate returns the certificate of the client, with its Leaf. For a client of
// [NewDPoPClient], it returns the zero value.
func (c *Client) Certificate() tls.Certificate { return c.certificate }

// newCertificate returns a self-signed client certificate.
func newCertificate() *tls.Certificate {
	key := generate("ES256")
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(randomBytes(16)),
		Subject:      pkix.Name{CommonName: "xenaauthtest client"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic("xenaauthtest: " + err.Error())
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
