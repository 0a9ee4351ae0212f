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

// newTLSConfig returns the TLS configuration of the listener for clients, and its certificate. Both
// are nil if the configuration file has no section "tls".
//
// The server asks each client for a certificate if tokens may be bound to certificates, or if the
// configuration names authorities for client certificates. A client may also connect without a
// certificate. If the configuration names authorities, the server refuses a client certificate that
// none of them has issued. Without authorities, the server accepts any client certificate. This is
// safe, because a bound token is accepted only with the certificate to which the issuer has bound
// it (RFC 8705, section 6.2).
func newTLSConfig(cfg *config.Config, log *slog.Logger, m *metrics) (*tls.Config, *listenerCertificate, error) {
	if cfg.TLS == nil {
		return nil, nil, nil
	}
	c := &listenerCertificate{cfg: cfg, log: log, metrics: m}
	first, errCertificate := cfg.Certificate()
	authorities, errAuthorities := cfg.ClientCAs()
	if err := errors.Join(errCertificate, errAuthorities); err != nil {
		return nil, nil, err
	}
	c.current.Store(first)
	m.addCertificate(c)
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

// httpServer.useTLS makes the server terminate TLS. If t is nil, useTLS does nothing. With TLS the
// server uses only HTTP/1.1, because each timeout of the gateway applies to a whole connection, and
// an HTTP/2 connection carries several requests at the same time.
func (h *httpServer) useTLS(t *tls.Config) {
	if t == nil {
		return
	}
	h.TLSConfig = t
	h.Protocols = new(http.Protocols)
	h.Protocols.SetHTTP1(true)
}

// httpServer.serveConnections accepts connections of clients until the server is closed.
func (h *httpServer) serveConnections() error {
	if h.TLSConfig != nil {
		return h.ServeTLS(h.timedListener(), "", "")
	}
	return h.Serve(h.timedListener())
}

// A listenerCertificate is the TLS certificate of the listener for clients. Its files may change
// while the gateway runs. New connections then use the new certificate, and existing connections
// stay open.
type listenerCertificate struct {
	cfg     *config.Config
	log     *slog.Logger
	metrics *metrics
	current atomic.Pointer[tls.Certificate]

	// mu is locked while the files of the certificate are read and compared
	mu sync.Mutex
	// lastRead is the last result of reading the files; lastRefused is the last result with a
	// mistake
	lastRead, lastRefused snapshot
}

// listenerCertificate.readFiles reads the files of the certificate. It returns the certificate, and
// a snapshot that can be compared with those of other reads. The content of the snapshot is the
// certificate with its chain in DER.
func (c *listenerCertificate) readFiles() (*tls.Certificate, snapshot) {
	now, err := c.cfg.Certificate()
	if err != nil {
		return nil, snapshot{err: err.Error()}
	}
	return now, snapshot{content: chain(now)}
}

func chain(c *tls.Certificate) string { return string(bytes.Join(c.Certificate, nil)) }

// listenerCertificate.reload reads the files of the certificate two times and puts the certificate
// in use. If the files change between the two reads, a program is still writing them. In this case
// reload only logs a warning, and watchFiles puts the certificate in use later.
func (c *listenerCertificate) reload() {
	_, before := c.readFiles()
	time.Sleep(settleTime)
	c.mu.Lock()
	defer c.mu.Unlock()
	now, state := c.readFiles()
	switch {
	case state != before:
		c.log.Warn("certificate not taken yet: its files are being written")
	case state.content != chain(c.current.Load()):
		c.useCertificate(now, state)
	}
}

// listenerCertificate.watchFiles reads the files of the certificate again and again, until ctx
// ends. If the files have changed, it puts the new certificate in use.
func (c *listenerCertificate) watchFiles(ctx context.Context) {
	tick := time.NewTicker(c.cfg.RoutesInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.checkFiles()
		}
	}
}

// listenerCertificate.checkFiles reads the files of the certificate once. It puts a certificate in
// use only if two reads in a row have returned it, because a program may be writing the files. It
// logs each mistake in the files only once.
func (c *listenerCertificate) checkFiles() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, state := c.readFiles()
	before := c.lastRead
	c.lastRead = state
	switch {
	case state.content == chain(c.current.Load()):
		c.lastRefused = snapshot{}
	case state == c.lastRefused || state != before:
	case !c.useCertificate(now, state):
		c.lastRefused = state
	}
}

// listenerCertificate.useCertificate puts a certificate in use, and reports whether it did. If the
// files of the certificate have a mistake, the earlier certificate stays in use. The caller holds
// the lock c.mu.
func (c *listenerCertificate) useCertificate(now *tls.Certificate, state snapshot) (ok bool) {
	c.metrics.reloaded("certificate", now != nil)
	if now == nil {
		c.log.Error("certificate not taken, the one before stays in use", slog.String("error", state.err))
		return false
	}
	c.current.Store(now)
	c.log.Info("certificate is in use")
	return true
}

// metrics.addCertificate adds metrics about the certificate of the listener, for example when it
// expires.
func (m *metrics) addCertificate(c *listenerCertificate) {
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
