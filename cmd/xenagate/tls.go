package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// newTLSConfig returns the TLS configuration of the listener for clients, and its certificate. If
// tls is not configured, newTLSConfig returns nil twice.
//
// The server asks each client for a certificate if tokens may be bound to certificates, or if the
// configuration names authorities for client certificates. The server verifies client certificates
// only if the configuration names authorities. Without authorities this is safe, because the issuer
// has bound the token to the certificate (RFC 8705, section 6.2). In both cases, a client may
// connect without a certificate.
func newTLSConfig(cfg *config.Config, log *slog.Logger, m *metrics) (*tls.Config, *certificate, error) {
	if cfg.TLS == nil {
		return nil, nil, nil
	}
	c := &certificate{cfg: cfg, log: log, metrics: m}
	first, errCertificate := cfg.Certificate()
	authorities, errAuthorities := cfg.ClientCAs()
	if err := errors.Join(errCertificate, errAuthorities); err != nil {
		return nil, nil, err
	}
	c.current.Store(first)
	m.watchCertificate(c)
	t := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		ClientCAs:      authorities,
	}
	switch {
	case authorities != nil:
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case cfg.Possession.UsesCertificates():
		t.ClientAuth = tls.RequestClientCert
	}
	return t, c, nil
}

// useTLS makes the server terminate TLS. If t is nil, useTLS does nothing. With TLS the server uses
// only HTTP/1.1, because each timeout of the gateway applies to a whole connection, and an HTTP/2
// connection carries several requests at the same time.
func (h *httpServer) useTLS(t *tls.Config) {
	if t == nil {
		return
	}
	h.TLSConfig = t
	h.Protocols = new(http.Protocols)
	h.Protocols.SetHTTP1(true)
}

// serveConnections accepts connections of clients until the server is closed.
func (h *httpServer) serveConnections() error {
	if h.TLSConfig != nil {
		return h.ServeTLS(h.accepting(), "", "")
	}
	return h.Serve(h.accepting())
}

// The type certificate is the TLS certificate of the listener for clients. Its files may change
// while the gateway runs. New connections then use the new certificate, and existing connections
// stay open.
type certificate struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *metrics
	current atomic.Pointer[tls.Certificate]

	// the field mu is locked while the files of the certificate are read and compared
	mu sync.Mutex
	// the field seen is the last result of reading the files; refused is the last result with a
	// mistake
	seen, refused snapshot
}

// certificate.read reads the files of the certificate. The content of the snapshot is the
// certificate with its chain in DER.
func (c *certificate) read() (*tls.Certificate, snapshot) {
	now, err := c.cfg.Certificate()
	if err != nil {
		return nil, snapshot{err: err.Error()}
	}
	return now, snapshot{content: chain(now)}
}

func chain(c *tls.Certificate) string { return string(bytes.Join(c.Certificate, nil)) }

// certificate.reload reads the files of the certificate and puts the certificate in use. If the
// files change within the time settle, a program is still writing them. In this case reload does
// nothing, and the method watch puts the certificate in use later.
func (c *certificate) reload() {
	_, before := c.read()
	time.Sleep(settle)
	c.mu.Lock()
	defer c.mu.Unlock()
	now, state := c.read()
	switch {
	case state != before:
		c.log.Warn("certificate not taken yet: its files are being written")
	case state.content != chain(c.current.Load()):
		c.take(now, state)
	}
}

// certificate.watch puts the certificate of the listener in use whenever its files have changed,
// until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	tick := time.NewTicker(c.cfg.RoutesInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.look()
		}
	}
}

// certificate.look reads the files of the certificate once. It puts a certificate in use only if
// two reads in a row have returned it, because a program may be writing the files. It logs each
// mistake only once.
func (c *certificate) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, state := c.read()
	before := c.seen
	c.seen = state
	switch {
	case state.content == chain(c.current.Load()):
		c.refused = snapshot{}
	case state == c.refused || state != before:
	case !c.take(now, state):
		c.refused = state
	}
}

// certificate.take puts a certificate in use, and reports whether it did. If the files of the
// certificate have a mistake, the earlier certificate stays in use. The caller holds the lock c.mu.
func (c *certificate) take(now *tls.Certificate, state snapshot) (ok bool) {
	c.metrics.reloaded("certificate", now != nil)
	if now == nil {
		c.log.Error("certificate not taken, the one before stays in use", slog.String("error", state.err))
		return false
	}
	c.current.Store(now)
	c.log.Info("certificate is in use")
	return true
}

// watchCertificate adds metrics about the certificate of the listener, for example when it expires.
func (m *metrics) watchCertificate(c *certificate) {
	m.reloadAt.WithLabelValues("certificate").Set(1)
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "xenagate_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the listener for clients expires.",
	}, func() float64 {
		leaf := c.current.Load().Leaf
		if leaf == nil {
			return 0
		}
		return float64(leaf.NotAfter.Unix())
	}))
}
