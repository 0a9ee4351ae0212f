package rediscache

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// useTimeouts is how many times longer the timeout of Use is than the timeout of a look-up. If
	// a look-up fails, the instance calls the issuer. If Use fails, the request gets 503, so a
	// longer wait is better.
	useTimeouts = 10
	// keepLonger is the additional time for which Redis keeps a value after this instance has
	// forgotten it. It is needed because the clock of Redis may be faster.
	keepLonger = time.Second
	// keepLongest is the longest time for which Redis keeps a value.
	keepLongest = 100 * 365 * 24 * time.Hour
	// maxUse is the largest number of bytes of a value that are read from Redis.
	maxUse = 64
)

// Use implements [replay.Store]. It makes one round trip to Redis, or one for each secret if there
// are several. It waits for Redis for at most ten times [Config.Timeout]. With the default Timeout,
// this is half a second. After five failures in a row, Use returns an error immediately, until
// Redis stores values again.
//
// Each instance also records in its own memory which values were used at this instance: see
// [replay.Local]. The bounds of replay.Local apply to each instance. So a client can't fill Redis,
// and a value that was used at this instance is refused here even if Redis has lost it.
func (c *Cache) Use(
	ctx context.Context, owner, id string, until time.Time,
) (first bool, err error) {
	// An entry in memory counts until it expires, also if Redis then fails. So there is no new entry
	// while Redis is known to be down. Otherwise clients that try again would fill the memory, and
	// would be refused after the outage.
	if err := c.uses.ready(); err != nil {
		return false, err
	}
	first, err = c.used.Use(ctx, owner, id, until)
	if !first || err != nil {
		return false, err
	}
	first, err = request(ctx, c.uses, func(ctx context.Context) (bool, error) {
		return c.takeAll(ctx, owner, id, until)
	})
	if err == nil {
		return first, nil
	}
	// The instance forgets the value, so that Redis decides whether the next use is the first.
	c.used.Forget(owner, id)
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errOpen):
		return false, err
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return false, errors.New("rediscache: Redis fails: " + publicCause(err))
}

// takeAll records a value in Redis under one name for each secret. It returns true if none of these
// names was in Redis before.
//
// While a secret is replaced, an instance may lack one secret of another instance. Two such
// instances compete for the names of the secrets that both have. All instances take the names in
// the same order and stop at the first name that is there already. So one of the instances gets all
// its names.
func (c *Cache) takeAll(
	ctx context.Context, owner, id string, until time.Time,
) (first bool, err error) {
	for _, k := range c.ordered {
		if first, err = c.take(ctx, k.nameOfUse(c.prefix, owner, id), until); !first || err != nil {
			return false, err
		}
	}
	return true, nil
}

// The method take sets a key in Redis, and returns true if the key was not there.
//
// The client of Redis sends a command again if the connection fails. The first command may have set
// the key although its reply was lost. So the value of the key is random, and take reads it.
func (c *Cache) take(ctx context.Context, name string, until time.Time) (first bool, err error) {
	// A time to live does not depend on the clock of Redis. A time of expiry would depend on it.
	ttl := (min(time.Until(until), keepLongest) + keepLonger).Truncate(time.Millisecond)
	if ttl < keepLonger {
		return false, nil // the value has expired while this call was waiting
	}
	own := rand.Text()
	pipe := c.client.Pipeline()
	set := pipe.SetArgs(ctx, name, own, redis.SetArgs{Mode: "NX", TTL: ttl})
	get := pipe.GetRange(ctx, name, 0, maxUse)
	// Exec returns only the first error. The result of each command is checked below.
	_, _ = pipe.Exec(ctx)
	switch err := set.Err(); {
	case err == nil && set.Val() == "OK":
		return true, nil
	case err != nil && !errors.Is(err, redis.Nil):
		return false, err
	}
	found, err := get.Result()
	if wrongType(err) {
		c.logForged("uses")
		return false, nil
	}
	return err == nil && found == own, err
}

// probeUse tests whether Redis stores values. A PING would not show this: it also succeeds at a
// replica, and at a Redis that has no memory left.
func (c *Cache) probeUse(ctx context.Context) error {
	return c.client.Set(ctx, c.prefix+"probe", "", time.Second).Err()
}

// nameOfUse returns the name in Redis for a value of owner.
func (k *keys) nameOfUse(prefix, owner, id string) string {
	length := binary.BigEndian.AppendUint64(nil, uint64(len(owner)))
	sum := mac(k.used, string(length), owner, id)
	return prefix + "used:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// inOrder returns the keys in an order that does not depend on the order of the secrets.
func inOrder(all []*keys) []*keys {
	ordered := slices.Clone(all)
	slices.SortFunc(ordered, func(a, b *keys) int { return bytes.Compare(a.used, b.used) })
	return ordered
}
