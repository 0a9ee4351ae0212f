// Package rediscache lets the instances of a service share what one of them learned, through Redis: answers of the
// issuer about tokens, and revocations.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: addrs, ContextTimeoutEnabled: true})
//	fleet, err := rediscache.New(rediscache.Config{Client: client, Secrets: [][]byte{secret}})
//	…
//	cfg.Introspection.Cache = fleet
//	cfg.RevocationBus = fleet
//	v, err := xenaauth.NewValidator(cfg)
//	…
//	go v.FollowRevocations(ctx)
//
// Instances that miss the same token at once make one question to the issuer: the first gets a lease, the others wait
// for its answer. A revocation is published to all instances that follow, and kept for those that start later or were
// cut off.
//
// # Redis is not trusted
//
// The names of entries are HMACs, and what is stored is sealed with AES-256-GCM, under keys made of a secret that the
// instances share; the key of a response is made of the token's hash as well. A reader of Redis learns how many tokens
// and revocations there are, when they come and go, when each revocation ends, and about how long the responses are. A
// writer can't make an instance accept a token, or refuse one, not even by putting back what was there. A writer can
// delete: then the issuer is asked more often, and an instance that starts doesn't learn of a revocation until another
// one has put it back and published it again. A writer can publish so much at once that Redis cuts off the instances that
// follow: with deleting, that keeps revocations from the others for as long as it goes on, and the log tells. Instances
// remove what is no revocation of theirs. docs/fleet.md says more, and which permissions of Redis the instances need.
//
// # When Redis fails
//
// No request is refused because of Redis. A look takes no longer than [Config.Timeout]; after five failures in a row
// Redis is left alone, and costs nothing, until a PING made once a second is answered. Meanwhile every instance is on
// its own, as without this package.
package rediscache

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"github.com/xenaauth/xenaauth"
)

// Config says which Redis is used and how. Client and Secrets are required.
type Config struct {
	// Client is a connection to one Redis, a sentinel group or a cluster, of version 6 or later. It remains the caller's
	// to close. Set ContextTimeoutEnabled in its options: without, a call that was given up holds its connection for as
	// long as the client's own timeouts say.
	Client redis.UniversalClient
	// Secrets are what the instances share and Redis doesn't know, each of 32 random bytes or more. The first seals, all
	// open. To rotate: add the new one in second place everywhere, then put it first everywhere, then, once the last
	// instance has done so for a minute or the longest CacheTTL, remove the old one.
	Secrets [][]byte
	// Prefix begins the names of everything in Redis, so that several services can use one. "" is "xenaauth:". Only
	// instances with the same Secrets and the same issuer may have the same Prefix: an instance removes what none of its
	// Secrets opens, and a revocation doesn't name the issuer.
	Prefix string
	// Timeout is how long a request is held up by Redis when that is slow or down. 0 is 50 milliseconds. A look that was
	// given up may have left its lease: then others wait, for Wait at most, as for one who asks.
	Timeout time.Duration
	// Wait is how long an instance waits for another one that is asking the issuer about the same token, before it asks
	// itself. 0 is one second. More than the issuer usually takes is enough.
	Wait time.Duration
	// Logger is told when Redis fails and when it is back. nil is [slog.Default].
	Logger *slog.Logger
}

// String names the prefix and not the secrets.
func (c Config) String() string {
	return fmt.Sprintf("a fleet with %d secrets under %q", len(c.Secrets), c.Prefix)
}

// GoString is String.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String, as JSON: a configuration that is dumped shows no secret.
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
				wrong("Secrets[%d] and Secrets[%d] are the same", j, i)
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
	return errors.Join(errs...)
}

// Cache is the Redis that a fleet shares: a [xenaauth.Cache] and a [xenaauth.RevocationBus]. It is safe for concurrent
// use, holds no goroutine beyond the calls that are under way, and needs no closing.
type Cache struct {
	client  redis.UniversalClient
	keys    []*keys // of Secrets, in that order
	prefix  string
	timeout time.Duration
	wait    time.Duration
	logger  *slog.Logger // nil: the default one, as it is at the time
	lease   string       // what this instance marks with that it is asking

	// The constants, but where a test is about them.
	readAnyway time.Duration
	maxRead    int

	breaker *gobreaker.CircuitBreaker[struct{}]
	calls   chan struct{} // taken by calls under way, those that were given up included
	probing atomic.Bool

	failed atomic.Pointer[error] // the latest failure

	mu      sync.Mutex
	failing map[string]bool            // see change and forged
	known   map[string]knownRevocation // by their JSON
	swept   time.Time                  // when those that have ended were last removed
}

var (
	_ xenaauth.Cache         = (*Cache)(nil)
	_ xenaauth.RevocationBus = (*Cache)(nil)
)

// New returns a Cache. It does no I/O: Redis may be down. The error tells every mistake in cfg.
func New(cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Cache{
		client:  cfg.Client,
		prefix:  cfg.Prefix,
		timeout: cfg.Timeout,
		wait:    cfg.Wait,
		logger:  cfg.Logger,
		lease:   leaseMark + rand.Text(),
		calls:   make(chan struct{}, maxCalls),
		failing: make(map[string]bool),
		known:   make(map[string]knownRevocation),

		readAnyway: readAnyway,
		maxRead:    maxRead,
	}
	if c.prefix == "" {
		c.prefix = "xenaauth:"
	}
	if c.timeout == 0 {
		c.timeout = 50 * time.Millisecond
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
	c.breaker = c.newBreaker()
	return c, nil
}
