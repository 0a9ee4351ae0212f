package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Get implements [xenaauth.Cache]. Get makes one round trip to Redis, or none while Redis is known
// to be down. If [Config.Secrets] has several secrets and Redis has no response, Get makes two. If
// Get waits for another instance of the service, Get makes more round trips: about 25 in the first
// second, and 20 in each later second.
func (c *Cache) Get(ctx context.Context, key [32]byte) (value []byte, err error) {
	deadline := time.Now().Add(c.wait)
	for delay := 2 * time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		look := func(ctx context.Context) (lookupResult, error) { return c.lookUp(ctx, key) }
		found, err := callRedis(ctx, c.lookupCaller, look)
		if err != nil {
			return nil, err
		}
		if !found.mustWait {
			return found.value, nil
		}
		// This delay before the next look-up is random, so that the waiting requests do not all
		// call Redis at the same moment.
		timer := time.NewTimer(min(delay/2+rand.N(delay), time.Until(deadline)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		if !time.Now().Before(deadline) {
			return nil, nil
		}
	}
}

// lookupResult is what a look-up has found in Redis about a token.
type lookupResult struct {
	value []byte // value is the introspection response; nil if there is none
	// mustWait is true if another instance of the service has the lease: that instance is
	// introspecting the token now.
	mustWait bool
}

// Cache.lookUp looks up the introspection response of a token in Redis. If Redis has no value under
// the name of the response, lookUp takes the lease: this instance of the service then has to
// introspect the token. The lease has the same name as a new response, so both are on the same node
// of a Redis cluster.
//
// If Config.Secrets has several secrets, the response can have one name for each secret. The lease
// has the name for the first secret. In this case lookUp needs two round trips: it looks for a
// response under all names, and takes the lease only if there is none. An instance that finds a
// response must not take the lease. It introspects nothing, so other instances would wait in vain.
func (c *Cache) lookUp(ctx context.Context, key [32]byte) (lookupResult, error) {
	pipe := c.client.Pipeline()
	names := make([]string, len(c.keys))
	takeLease := func(client redis.Cmdable) *redis.StatusCmd {
		return client.SetArgs(ctx, names[0], c.lease, redis.SetArgs{Mode: "NX", TTL: c.wait})
	}
	var lease *redis.StatusCmd
	found := make([]*redis.StringCmd, len(c.keys))
	for i, k := range c.keys {
		names[i] = k.responseName(c.prefix, key)
		if len(c.keys) == 1 {
			lease = takeLease(pipe)
		}
		// GETRANGE limits the length of the reply, because an attacker may have stored a very long
		// value in place of the response.
		found[i] = pipe.GetRange(ctx, names[i], 0, maxSealed-1)
	}
	// Exec returns only the first error of the commands. The code below looks at each command.
	_, _ = pipe.Exec(ctx)
	first := ""
	for i, k := range c.keys {
		sealed, err := found[i].Result()
		switch {
		case isWrongType(err):
			c.logForged("responses")
			sealed = gaveUpMark
		case err != nil:
			return lookupResult{}, err
		}
		if i == 0 {
			first = sealed
		}
		if sealed == "" || sealed[0] != sealedMark {
			continue
		}
		value, err := k.openValue(names[i], key, []byte(sealed))
		if err == nil {
			return lookupResult{value: value}, nil
		}
		c.logForged("responses")
	}
	if lease == nil {
		if first != "" {
			return lookupResult{mustWait: strings.HasPrefix(first, leaseMark)}, nil
		}
		lease = takeLease(c.client)
	}
	switch err := lease.Err(); {
	case lease.Val() == "OK":
		return lookupResult{}, nil // this instance took the lease, so it must ask the issuer
	case err != nil && !errors.Is(err, redis.Nil) && !isWrongType(err):
		return lookupResult{}, err
	}
	return lookupResult{mustWait: first == "" || strings.HasPrefix(first, leaseMark)}, nil
}

// releaseScript runs in Redis if an instance of the service has no response to store. For example,
// the introspection call has failed, or the response is too long. It replaces the lease of this
// instance of the service by a mark, which tells the waiting instances that no response will come.
// If there is already a response in place of the lease, releaseScript does not change it.
var releaseScript = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then
	redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
end
return 1`)

// Set implements [xenaauth.Cache]. It does not store a value that takes more than 64 KiB in Redis
// after the encryption.
func (c *Cache) Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error {
	name := c.keys[0].responseName(c.prefix, key)
	if len(value) > 0 {
		sealed, err := c.keys[0].sealValue(name, key, value)
		if err != nil {
			return err
		}
		if ttl = ttl.Truncate(time.Millisecond); len(sealed) <= maxSealed && ttl > 0 {
			_, err = callRedis(ctx, c.lookupCaller, func(ctx context.Context) (string, error) {
				return c.client.Set(ctx, name, sealed, ttl).Result()
			})
			return err
		}
	}
	ends := max(1, c.wait.Milliseconds())
	_, err := callRedis(ctx, c.lookupCaller, func(ctx context.Context) (any, error) {
		run := releaseScript.Run(ctx, c.client, []string{name}, c.lease, gaveUpMark, ends)
		v, err := run.Result()
		if isWrongType(err) {
			err = nil
		}
		return v, err
	})
	return err
}

// isWrongType reports whether Redis has refused a command because the stored value has another
// type, for example a string instead of a set. Another client must have stored this value. The
// error does not mean that Redis is down.
func isWrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(reply.Error(), "WRONGTYPE")
}
