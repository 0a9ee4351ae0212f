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
	// useTimeouts says how long Use waits for Redis: this number times Config.Timeout. A look-up of
	// a response waits only for Config.Timeout: if it fails, the instance calls the issuer instead.
	// But if Use fails, the client gets 503, so a longer wait is better.
	useTimeouts = 10
	// keepLonger is how much longer than this instance Redis remembers a used value. This is needed
	// because the clock of Redis may be faster.
	keepLonger = time.Second
	// keepLongest is the longest time for which Redis remembers a used value.
	keepLongest = 100 * 365 * 24 * time.Hour
	// maxUse is how many bytes of a stored value are read from Redis, at most.
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
	// An entry in the memory of this instance lasts until it expires, also if Redis then fails. So
	// Use adds no entry while Redis is known to be down. Otherwise clients that try again would
	// fill the memory, and would be refused after the outage.
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
	// Redis could not tell whether this use is the first. The instance forgets the value, so that
	// Redis decides about the next use.
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

// Cache.take tries to be the first that stores a key in Redis. It returns true if the key was not
// there.
//
// The Redis client sends a command again if the connection fails. The first command may have stored
// the key although its reply was lost. So take stores a random value under the key, and reads the
// value to find out whether it is its own.
func (c *Cache) take(ctx context.Context, name string, until time.Time) (first bool, err error) {
	// The time to live is a duration, so it does not depend on the clock of Redis, unlike a date.
	ttl := (min(time.Until(until), keepLongest) + keepLonger).Truncate(time.Millisecond)
	if ttl < keepLonger {
		return false, nil // the used value has expired while this call was waiting
	}
	own := rand.Text()
	pipe := c.client.Pipeline()
	set := pipe.SetArgs(ctx, name, own, redis.SetArgs{Mode: "NX", TTL: ttl})
	get := pipe.GetRange(ctx, name, 0, maxUse)
	// Exec returns only the first error of the commands. The code below looks at each command.
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

// probeUse tests whether Redis can store values. A PING would not show this: Redis also responds to
// it if it is a replica, or if it has no memory left.
func (c *Cache) probeUse(ctx context.Context) error {
	return c.client.Set(ctx, c.prefix+"probe", "", time.Second).Err()
}

// nameOfUse returns the name in Redis that records the use of a value. The value is id, and the
// parameter owner says to whom it belongs, for example which key has signed a proof.
func (k *keys) nameOfUse(prefix, owner, id string) string {
	length := binary.BigEndian.AppendUint64(nil, uint64(len(owner)))
	sum := mac(k.used, string(length), owner, id)
	return prefix + "used:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// inOrder sorts the keys of all secrets. All instances sort them in the same way, even if their
// secrets are configured in different orders.
func inOrder(all []*keys) []*keys {
	ordered := slices.Clone(all)
	slices.SortFunc(ordered, func(a, b *keys) int { return bytes.Compare(a.used, b.used) })
	return ordered
}
