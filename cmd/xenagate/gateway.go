package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// gateway is everything but the listeners.
type gateway struct {
	cfg       *config.Config
	log       *slog.Logger
	access    *accessLog
	lines     *logWriter // where both logs go
	validator *xenaauth.Validator
	auth      *xenaauth.Middleware
	identity  *identity.Identity
	redis     redis.UniversalClient // nil without
	metrics   *metrics
	revoke    []byte // what operators show to revoke

	reloading sync.Mutex
	table     atomic.Pointer[table]
	active    atomic.Int64 // requests, and upgraded connections
	draining  atomic.Bool
}

// build makes a gateway. It opens no connection and no listener. The error tells every mistake that it finds. In place of
// what is wrong, the gateway beside an error has something that is right, so that what is built of it can be checked too.
func build(cfg *config.Config, lines *logWriter) (*gateway, error) {
	logger := slog.New(slog.NewJSONHandler(lines.prompt(), nil))
	g := &gateway{cfg: cfg, log: logger, lines: lines, access: &accessLog{to: lines.batched()}}
	t, errTable := readTable(cfg)
	if t != nil {
		g.table.Store(t)
	}
	id, errIdentity := newIdentity(cfg)
	g.identity = id
	revoke, errRevoke := cfg.RevokeSecret()
	g.revoke = revoke
	v, errTokens := cfg.Validator()
	errFleet := g.joinFleet(&v)
	err := errors.Join(errTable, errIdentity, errRevoke, errTokens, errFleet)
	if errTokens != nil {
		v = xenaauth.Config{Audiences: []string{"told"}} // as a mistake
	}
	v.Logger = logger
	var errValidator error
	if g.validator, errValidator = xenaauth.NewValidator(v); errValidator != nil {
		return nil, errors.Join(err, cfg.At("tokens", errValidator))
	}
	g.auth = xenaauth.NewMiddleware(g.validator, &xenaauth.Options{
		Realm: cfg.Challenge.Realm, ResourceMetadata: cfg.Challenge.ResourceMetadata, Event: noteEvent,
	})
	g.metrics = newMetrics(g)
	return g, err
}

// newIdentity beside an error is an identity with the default fields.
func newIdentity(cfg *config.Config) (*identity.Identity, error) {
	to := cfg.Identity.Config
	var errKeys error
	if a := cfg.Identity.Assertion; a != nil {
		assertion := a.Config
		assertion.Keys, errKeys = cfg.AssertionKeys()
		to.Assertion = &assertion
	}
	id, err := identity.New(to)
	if err != nil {
		id, _ = identity.New(identity.Config{})
		err = cfg.At("identity", err)
	}
	return id, errors.Join(errKeys, err)
}

// joinFleet makes the gateway share through Redis, if it is to.
func (g *gateway) joinFleet(v *xenaauth.Config) error {
	from := g.cfg.Redis
	if from == nil {
		return nil
	}
	secrets, password, errSecrets := g.cfg.RedisSecrets()
	logging.Disable() // it names addresses; what matters is told by rediscache
	opts := &redis.UniversalOptions{
		Addrs: from.Addresses, MasterName: from.MasterName, Username: from.Username, Password: password,
		ContextTimeoutEnabled: true,
	}
	if from.TLS {
		opts.TLSConfig = redisTLS()
	}
	g.redis = redis.NewUniversalClient(opts)
	fleet, err := rediscache.New(rediscache.Config{
		Client: g.redis, Secrets: secrets, Prefix: from.Prefix, Timeout: from.Timeout, Logger: g.log,
	})
	if err != nil {
		return errors.Join(errSecrets, g.cfg.At("redis", err))
	}
	v.RevocationBus = fleet
	if v.Introspection != nil {
		v.Introspection.Cache = fleet
	}
	return errSecrets
}

// reload takes over what may change while the gateway runs: routes, and keys for assertions.
func (g *gateway) reload() {
	g.reloadRoutes()
	if g.cfg.Identity.Assertion == nil {
		return
	}
	keys, err := g.cfg.AssertionKeys()
	if err == nil {
		err = g.identity.SetKeys(keys)
	}
	g.metrics.reloaded("keys", err)
	if err != nil {
		g.log.Error("keys not taken, the ones before stay in use", slog.String("error", err.Error()))
		return
	}
	g.log.Info("keys are in use")
}

// own are the endpoints of the gateway's own on the listeners that others reach.
func (g *gateway) own() map[string]http.Handler {
	own := make(map[string]http.Handler)
	if a := g.cfg.Identity.Assertion; a != nil {
		own[a.JWKSPath] = g.identity.JWKSHandler()
	}
	if l := g.cfg.Logout; l != nil {
		own[l.Path] = noteRefusal(g.validator.LogoutHandler(l.ClientIDs...))
	}
	return own
}

// noteRefusal makes an answer that is none the client wanted one in the record too.
func noteRefusal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if rec := recordOf(r.Context()); rec.status >= 400 {
			rec.reason = reasonLogout
		}
	})
}

// forwardAuth is the handler that proxies ask.
func (g *gateway) forwardAuth(own map[string]http.Handler) (http.Handler, error) {
	f := &asked{own: own}
	var errs []error
	for i, e := range g.cfg.ForwardAuth.Endpoints {
		cfg := forwardauth.Config{
			Middleware: g.auth, Find: g.find, Dialect: forwardauth.Dialect(e.Dialect),
			TrustedPeers: config.Prefixes(e.TrustedPeers), Identity: g.identity,
		}
		envoy := cfg.Dialect == forwardauth.Envoy
		if envoy {
			cfg.PathPrefix = e.Path
		}
		h, err := forwardauth.New(cfg)
		if err != nil {
			errs = append(errs, g.cfg.At("forward_auth.endpoints."+strconv.Itoa(i), err))
			continue
		}
		f.endpoints = append(f.endpoints, endpoint{path: e.Path, whole: envoy, Handler: h})
	}
	return f, errors.Join(errs...)
}

// checkAsked tells the mistakes about what proxies ask.
func (g *gateway) checkAsked() error {
	var errs []error
	if g.cfg.ForwardAuth != nil {
		_, err := g.forwardAuth(nil)
		errs = append(errs, err)
	}
	if g.cfg.ExtAuthz != nil {
		_, err := newExtAuthz(g)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// followRevocations takes over what other gateways publish, until ctx ends.
func (g *gateway) followRevocations(ctx context.Context) {
	const longest = 30 * time.Second
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, longest) {
		started := time.Now()
		err := g.validator.FollowRevocations(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > longest {
			wait = 100 * time.Millisecond
		}
		g.log.Error("revocations of others are not followed", slog.String("kind", causeOf(err)))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
