package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/rediscache"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/replay"
)

// A fleetConnection is the connection to Redis, and what several gateways (a fleet) share through
// Redis. All fields are nil if Redis is not configured.
type fleetConnection struct {
	redis redis.UniversalClient
	// replay is a store in Redis of the DPoP proofs and logout tokens that any gateway of the fleet
	// has accepted
	replay  replay.Store
	secrets [][]byte
}

// joinFleet changes the configuration v so that the gateways of a fleet share introspection
// responses, revocations and used logout tokens through Redis. If Redis is not configured,
// joinFleet changes nothing.
func joinFleet(cfg *config.Config, v *xenaauth.Config, logger *slog.Logger) (fleetConnection, error) {
	from := cfg.Redis
	if from == nil {
		return fleetConnection{}, nil
	}
	secrets, password, errSecrets := cfg.RedisSecrets()
	// the log of go-redis is off, because it contains addresses; rediscache logs what operators
	// need
	logging.Disable()
	opts := &redis.UniversalOptions{
		Addrs: from.Addresses, MasterName: from.MasterName, Username: from.Username, Password: password,
		ContextTimeoutEnabled: true,
	}
	if from.TLS {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	client := redis.NewUniversalClient(opts)
	shared, err := rediscache.New(rediscache.Config{
		Client: client, Secrets: secrets, Prefix: from.Prefix, Timeout: from.Timeout, Logger: logger,
	})
	if err != nil {
		return fleetConnection{redis: client}, errors.Join(errSecrets, cfg.AddPlace("redis", err))
	}
	v.RevocationBus, v.Replay = shared, shared
	if v.Introspection != nil {
		v.Introspection.Cache = shared
	}
	return fleetConnection{client, shared, secrets}, errSecrets
}

// followRevocations receives the revocations of other gateways and puts them in force in this
// gateway. If the connection to Redis fails, followRevocations tries again. It returns when ctx
// ends.
func followRevocations(ctx context.Context, v *xenaauth.Validator, logger *slog.Logger) {
	const shortest, longest = 100 * time.Millisecond, 30 * time.Second
	for wait := shortest; ctx.Err() == nil; wait = min(2*wait, longest) {
		started := time.Now()
		err := v.FollowRevocations(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > longest {
			wait = shortest
		}
		logger.Error("revocations of others are not followed", slog.String("kind", errorKind(err)))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
