// Package rediscache shares introspection responses, revocations and used values between the
// instances of a service, through Redis.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs, ContextTimeoutEnabled: true})
//	fleet, err := rediscache.New(rediscache.Config{Client: client, Secrets: [][]byte{secret}})
//	…
//	cfg.Introspection.Cache = fleet
//	cfg.RevocationBus = fleet
//	cfg.Replay = fleet
//	v, err := xenaauth.NewValidator(cfg)
//	…
//	go v.FollowRevocations(ctx)
//
// If several instances lack the response for the same token at the same moment, only one instance
// calls the issuer: the first instance takes a lease, and the other instances wait for its
// response. A revocation is published to all instances that follow revocations: they run
// FollowRevocations. Redis also keeps the revocation, for instances that start later or were cut
// off. A value that may be used once, such as a DPoP proof or a logout token, is accepted by one
// instance: see [Cache.Use].
//
// # Redis is not trusted
//
// The names of responses and used values are HMACs. Responses and revocations are sealed with
// AES-256-GCM. The keys are derived from a secret that the instances share; the key of a response
// is also derived from the hash of the token.
//
//   - An attacker who reads Redis learns the number of tokens and revocations, when they are added
//     and removed, when each revocation ends, and the approximate length of the responses.
//   - An attacker who writes to Redis cannot make an instance accept or refuse a token, not even
//     with an old value.
//   - An attacker who deletes entries causes more introspection calls. An instance that starts does
//     not learn of a deleted revocation until another instance has put the revocation back. A used
//     value whose entry is deleted can be used once more at each of the other instances, until it
//     expires.
//   - An attacker who publishes very much makes Redis cut off the instances that follow
//     revocations. If this attacker also deletes revocations, instances do not learn of the deleted
//     revocations as long as the attack lasts. The log shows this attack.
//
// Redis keeps the revocations in a set. If an instance finds something else in this set, it removes
// it. It keeps the revocations of a later release, which it can't read. docs/fleet.md has the
// details, and the permissions in Redis that the instances need.
//
// # When Redis fails
//
// No request is refused because a look-up fails. A look-up takes at most [Config.Timeout]. After
// five failures in a row, requests make no look-ups until Redis answers a PING, which is sent at
// most once a second. Until then every instance works alone, as without this package.
//
// [Cache.Use] is different: if Redis can't tell whether a value was used before, the value is not
// accepted. So while Redis fails, requests with DPoP proofs and logout tokens get the response 503.
package rediscache

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/replay"
)

// Config configures a [Cache]. Client and Secrets are required.
type Config struct {
	// Client connects to one Redis, a sentinel group or a cluster, of version 6 or later. The
	// caller closes it. Set ContextTimeoutEnabled in its options. Otherwise a call that has ended
	// by Timeout keeps its connection busy until the client's own timeout ends.
	Client redis.UniversalClient
	// Secrets seal and open the responses and revocations in Redis. The names of responses and used
	// values are derived from Secrets too. Only the instances of the service have the secrets. Each
	// secret is 32 random bytes or more. The first secret seals new values, and each secret can
	// open values. To replace a secret:
	//  1. Add the new secret in second place on all instances.
	//  2. Put the new secret first on all instances.
	//  3. Wait until the new secret has been first on all instances for the longest CacheTTL, for
	//     the longest time that a logout token is valid, and for at least five minutes. Then remove
	//     the old secret.
	Secrets [][]byte
	// Prefix is the beginning of the names of all keys in Redis, so that several services can use
	// one Redis. "" means "xenaauth:". All instances of the service with the same Prefix must have
	// the same Secrets: an instance deletes revocations that none of its Secrets opens. Instances
	// with the same Prefix may have different issuers.
	Prefix string
	// Timeout bounds how long a look-up in a slow or dead Redis delays a request. 0 means 50
	// milliseconds. An instance of the service that looks up a token may take a lease in Redis:
	// other instances then wait for its response. If Timeout ends the look-up, the instance may
	// have taken the lease nevertheless. Then other instances may wait for its response, but not
	// longer than the time Wait. [Cache.Use] waits for at most ten times Timeout, so for half a
	// second if Timeout is 0.
	Timeout time.Duration
	// Wait is how long an instance of the service waits while another instance introspects the same
	// token. Then it introspects the token itself. 0 means one second. Set Wait to more than the
	// usual time of an introspection call.
	Wait time.Duration
	// MaxUses is how many used values this instance of the service remembers in its own memory, in
	// addition to Redis, at most: see [Cache.Use]. 0 means [replay.DefaultMaxEntries], which is
	// enough for 4 000 DPoP proofs a second. A value takes about 100 bytes of memory.
	MaxUses int
	// Logger gets a record when Redis fails and when Redis is back. It gets one warning for each
	// kind of forged values in Redis, and one for revocations of a later release. If nil, it is
	// [slog.Default].
	Logger *slog.Logger
}

// String returns the number of secrets in c and the Prefix. It shows no secret.
func (c Config) String() string {
	return fmt.Sprintf("a fleet with %d secrets under %q", len(c.Secrets), c.Prefix)
}

// GoString returns the same text as String, which shows no secret.
func (c Config) GoString() string { return c.String() }

// LogValue returns the same text as String, which shows no secret.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON returns the text of String as JSON, so that nobody finds a secret in a printed
// configuration.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

const minSecret = 32

func (c Config) validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("rediscache: Config."+format, args...))
	}
	if c.Client == nil {
		wrong("Client is nil")
	}
	if len(c.Secrets) == 0 {
		wrong("Secrets is empty")
	}
	for i, s := range c.Secrets {
		if len(s) < minSecret || bytes.Count(s, s[:1]) == len(s) {
			wrong("Secrets[%d] is not %d random bytes or more", i, minSecret)
		}
		for j := range i {
			if bytes.Equal(s, c.Secrets[j]) {
				wrong("Secrets[%d] and Secrets[%d] are equal", j, i)
			}
		}
	}
	if len(c.Prefix) > 256 || strings.ContainsAny(c.Prefix, "{}") {
		wrong("Prefix has a brace, or more than 256 bytes")
	}
	if c.Timeout < 0 {
		wrong("Timeout is negative")
	}
	if c.Wait < 0 {
		wrong("Wait is negative")
	}
	if c.MaxUses < 0 {
		wrong("MaxUses is negative")
	}
	return errors.Join(errs...)
}

// Cache is a [xenaauth.Cache], a [xenaauth.RevocationBus] and a [replay.Store] over Redis. Cache is
// safe for concurrent use. Cache needs no Close: each of its goroutines ends when its call to Redis
// ends.
type Cache struct {
	client     redis.UniversalClient
	keys       []*keys // keys are the cryptographic keys derived from Config.Secrets
	sortedKeys []*keys // sortedKeys has the same keys as the field keys, sorted by sortKeys
	prefix     string
	wait       time.Duration
	logger     *slog.Logger // if logger is nil, each record goes to slog.Default()
	lease      string       // lease is a random value that marks this instance's leases

	// The fields fullReadInterval and maxRead have the values of the constants with these names.
	// Only tests change them.
	fullReadInterval time.Duration
	maxRead          int

	lookupCaller *redisCaller // lookupCaller makes the calls to Redis for introspection responses
	useCaller    *redisCaller // useCaller makes the calls to Redis for the method Use
	// localStore remembers the values that were passed to the method Use of this Cache, such as the
	// ids of DPoP proofs. Redis remembers the values of all instances of the service.
	localStore *replay.Local

	mu     sync.Mutex
	logged map[string]bool // logged says which problems are in the log already
	// knownRevocations contains the revocations that this instance of the service knows. Each key
	// is the JSON of the message about a revocation.
	knownRevocations map[string]knownRevocation
	// lastSweep is the last time at which this instance of the service deleted revocations from
	// knownRevocations because they no longer applied.
	lastSweep time.Time
}

var (
	_ xenaauth.Cache         = (*Cache)(nil)
	_ xenaauth.RevocationBus = (*Cache)(nil)
	_ replay.Store           = (*Cache)(nil)
)

// New returns a Cache. New does not call Redis, so Redis may be down. The error names every mistake
// in cfg.
func New(cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Cache{
		client:           cfg.Client,
		prefix:           cfg.Prefix,
		wait:             cfg.Wait,
		logger:           cfg.Logger,
		lease:            leaseMark + rand.Text(),
		logged:           make(map[string]bool),
		knownRevocations: make(map[string]knownRevocation),
		localStore:       replay.NewLocal(replay.Options{MaxEntries: cfg.MaxUses}),

		fullReadInterval: fullReadInterval,
		maxRead:          maxRead,
	}
	if c.prefix == "" {
		c.prefix = "xenaauth:"
	}
	if c.wait == 0 {
		c.wait = time.Second
	}
	for _, s := range cfg.Secrets {
		k, err := newKeys(s)
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, k)
	}
	c.sortedKeys = sortKeys(c.keys)
	timeout := cmp.Or(cfg.Timeout, 50*time.Millisecond)
	ping := func(ctx context.Context) error { return c.client.Ping(ctx).Err() }
	c.lookupCaller = newRedisCaller(timeout, ping, func(err error) { c.logChange("responses", err) })
	c.useCaller = newRedisCaller(useTimeouts*timeout, c.probeUse, func(err error) {
		c.logChange("uses", err)
	})
	return c, nil
}
