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
	"github.com/xenaauth/xenaauth/forwardauth"
	"github.com/xenaauth/xenaauth/identity"
)

// gateway is everything but the listeners.
type gateway struct {
	cfg       *config.Config
	log       *slog.Logger
	access    *slog.Logger
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

// build makes a gateway. It opens no connection and no listener. The error tells every mistake that it finds.
func build(cfg *config.Config, logger, access *slog.Logger) (*gateway, error) {
	g := &gateway{cfg: cfg, log: logger, access: access}
	var errs []error
	if t, err := readTable(cfg); err != nil {
		errs = append(errs, err)
	} else {
		g.table.Store(t)
	}
	var err error
	if g.identity, err = newIdentity(cfg); err != nil {
		errs = append(errs, err)
	}
	if g.revoke, err = cfg.RevokeSecret(); err != nil {
		errs = append(errs, err)
	}
	v, err := cfg.Validator()
	if err != nil {
		errs = append(errs, err)
	}
	if err := g.joinFleet(&v); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	v.Logger = logger
	if g.validator, err = xenaauth.NewValidator(v); err != nil {
		return nil, cfg.At("tokens", err)
	}
	g.auth = xenaauth.NewMiddleware(g.validator, &xenaauth.Options{
		Realm: cfg.Challenge.Realm, ResourceMetadata: cfg.Challenge.ResourceMetadata, Event: noteEvent,
	})
	g.metrics = newMetrics(g)
	return g, nil
}

func newIdentity(cfg *config.Config) (*identity.Identity, error) {
	from := cfg.Identity
	to := identity.Config{
		UserHeader: from.UserHeader, ClientHeader: from.ClientHeader, ScopesHeader: from.ScopesHeader,
		ClaimHeaders: from.ClaimHeaders, MaxBytes: from.MaxBytes,
	}
	if a := from.Assertion; a != nil {
		keys, err := cfg.AssertionKeys()
		if err != nil {
			return nil, err
		}
		to.Assertion = &identity.AssertionConfig{
			Header: a.Header, Issuer: a.Issuer, Audience: a.Audience, Lifetime: a.Lifetime,
			Keys: keys, Claims: a.Claims, WithHeaders: a.WithHeaders,
		}
	}
	id, err := identity.New(to)
	if err != nil {
		return nil, cfg.At("identity", err)
	}
	return id, nil
}

// joinFleet makes the gateway share through Redis, if it is to.
func (g *gateway) joinFleet(v *xenaauth.Config) error {
	from := g.cfg.Redis
	if from == nil {
		return nil
	}
	secrets, password, err := g.cfg.RedisSecrets()
	if err != nil {
		return err
	}
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
		return g.cfg.At("redis", err)
	}
	v.RevocationBus = fleet
	if v.Introspection != nil {
		v.Introspection.Cache = fleet
	}
	return nil
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
		own[a.KeySetPath] = g.identity.KeySetHandler()
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
