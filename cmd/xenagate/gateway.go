package main

import (
	"crypto/tls"
	"errors"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// The type gateway contains what all listeners of the program share, for example the validator and
// the tables of routes.
type gateway struct {
	cfg       *config.Config
	log       *slog.Logger
	validator *xenaauth.Validator
	auth      *xenaauth.Middleware
	identity  *identity.Identity
	tables    *routeTables
	reloader  *reloader
	activity  *activity
	recorder  *recorder
	metrics   *metrics
	// the TLS configuration of the listener for clients; nil without TLS
	tls *tls.Config
	// the certificate of the listener for clients; nil without TLS
	certificate *listenerCertificate
	redis       redis.UniversalClient // the connection to Redis; nil if Redis is not configured
	// the secret that a request to /revoke must contain; nil if /revoke is not configured
	revokeSecret []byte
	audit        *auditLog // the audit log; nil if it is not configured
}

// newGateway returns the gateway for a configuration. It opens no connection and no listener. The
// error lists all mistakes that newGateway finds in the configuration. newGateway may return a
// gateway together with an error. This gateway uses valid values in place of the wrong ones, so
// that checkProxies can look for more mistakes.
func newGateway(cfg *config.Config, output *logBuffer) (*gateway, error) {
	logger := slog.New(slog.NewJSONHandler(output.promptWriter(), nil))
	g := &gateway{cfg: cfg, log: logger, tables: new(routeTables), activity: new(activity)}
	var errIdentity, errRevoke, errTLS error
	g.identity, errIdentity = newIdentity(cfg)
	g.revokeSecret, errRevoke = cfg.RevokeSecret()
	tokens, errTokens := cfg.Validator()
	shared, errRedis := joinFleet(cfg, &tokens, logger)
	g.redis = shared.redis
	proofs, errProofs := newProofs(cfg, shared)
	var errAudit error
	g.audit, errAudit = newAuditLog(cfg, logger)
	if errTokens != nil {
		// The configuration of the validator has mistakes, and errTokens contains them. A valid
		// configuration takes its place, so that NewValidator succeeds.
		tokens = xenaauth.Config{Audiences: []string{"placeholder"}}
	}
	state := &stateCollector{activity: g.activity, output: output, audit: g.audit}
	g.metrics = newMetrics(state, cfg.Identity.Assertion != nil)
	g.tls, g.certificate, errTLS = newTLSConfig(cfg, logger, g.metrics)
	err := errors.Join(errIdentity, errRevoke, errTokens, errRedis, errProofs, errTLS, errAudit)
	tokens.Logger, tokens.IssuerCall = logger, g.metrics.auth.IssuerCall
	var errValidator error
	if g.validator, errValidator = xenaauth.NewValidator(tokens); errValidator != nil {
		return nil, errors.Join(err, cfg.AddPlace("tokens", errValidator))
	}
	g.metrics.auth.Watch(g.validator)
	g.auth = xenaauth.NewMiddleware(g.validator, &xenaauth.Options{
		Realm: cfg.Challenge.Realm, ResourceMetadata: cfg.Challenge.ResourceMetadata,
		Proofs: proofs, RequireProof: cfg.Possession.RequiresProof() && len(proofs) > 0,
		Event: g.noteEvent, ProblemTypes: cfg.ProblemTypes,
	})
	if cfg.Routes != nil {
		g.tables.current.Store(newRouteTable(g.auth, cfg.Routes))
	}
	g.recorder = &recorder{log: &accessLog{to: output.batchWriter()}, metrics: g.metrics.requests}
	g.reloader = &reloader{
		cfg: cfg, auth: g.auth, identity: g.identity, tables: g.tables, certificate: g.certificate,
		metrics: g.metrics, audit: g.audit, log: logger,
	}
	return g, err
}
