package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// certificateFiles returns, in PEM, the contents of three files: a certificate alone, the same
// certificate with a copy of itself as its chain, and the private key.
func certificateFiles(t *testing.T) (leaf, chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano())}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	leaf = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return leaf, append(leaf[:len(leaf):len(leaf)], leaf...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// While a program writes the file of a certificate, the gateway may read an incomplete file. This
// file may contain a valid certificate without its chain, which clients would refuse. So the
// gateway uses a certificate only if two reads in a row return it. If the file has a mistake, the
// gateway logs the mistake once.
func TestHalfWrittenCertificate(t *testing.T) {
	dir, out := t.TempDir(), new(logSink)
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, chain, key := certificateFiles(t)
	write("server.crt", chain)
	write("server.key", key)
	write("xenagate.yaml", []byte(`listen: 127.0.0.1:0
tls: {cert_file: server.crt, key_file: server.key}
tokens: {audiences: [testapi]}
upstreams: [{name: api, url: "http://127.0.0.1:1"}]
routes: {rules: [{route: /, access: public}]}
routes_interval: 1s
`))
	synctest.Test(t, func(t *testing.T) {
		cfg, err := config.Load(filepath.Join(dir, "xenagate.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		output := newLogBuffer(out)
		defer output.close(time.Hour)
		g, err := newGateway(cfg, output)
		if err != nil {
			t.Fatal(err)
		}
		r := &reloadTest{t: t, out: out}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); g.certificate.watchFiles(ctx) }()
		defer func() { cancel(); <-ended }()
		before := g.certificate.current.Load()

		leaf, chain, key := certificateFiles(t)
		write("server.key", key)
		write("server.crt", leaf)
		r.letPass(time.Second)
		write("server.crt", chain)
		r.letPass(time.Second)
		if g.certificate.current.Load() != before {
			t.Error("a certificate is used after one read")
		}
		r.letPass(time.Second)
		if now := g.certificate.current.Load(); now == before || len(now.Certificate) != 2 {
			t.Errorf("the certificate has a chain of %d", len(now.Certificate))
		}
		for i, content := range []string{"nonsense", "other nonsense", "x"} {
			write("server.crt", []byte(content))
			r.letPass(10 * time.Second)
			if n := r.logged("certificate not taken"); n != 1 {
				t.Errorf("mistake %d: it is told %d times", i, n)
			}
		}
		write("server.crt", leaf)
		r.letPass(3 * time.Second)
		if now := g.certificate.current.Load(); len(now.Certificate) != 1 {
			t.Errorf("the certificate has a chain of %d", len(now.Certificate))
		}
	})
}
