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
	// a response waits only for Config.Timeout: if it fails, the instance of the service calls the
	// issuer instead. But if Use fails, the client gets 503, so a longer wait is better.
	useTimeouts = 10
	// extraKeepTime is how long Redis remembers a used value after the value has expired. It is
	// needed because the clock of Redis may run faster than the clock of the instance of the
	// service.
	extraKeepTime = time.Second
	// maxKeepTime is the longest time for which Redis remembers a used value.
	maxKeepTime = 100 * 365 * 24 * time.Hour
	// maxUseLength is the index of the last byte that is read from the record of a used value in
	// Redis.
	maxUseLength = 64
)

// Use implements [replay.Store]. It makes at most one round trip to Redis for each secret. It waits
// for Redis for at most ten times [Config.Timeout]. With the default Timeout, this is half a
// second. After five failures in a row, Use returns an error immediately, until Redis stores values
// again. Use also returns an error if too many calls to Redis are running.
//
// Each instance of the service also records in its own memory which values were used at this
// instance: see [replay.Local]. The bounds of replay.Local apply to each instance: beyond them, Use
// returns [replay.ErrFull]. So a client can't fill Redis, and a value that was used at this
// instance is refused here even if Redis has lost it.
func (c *Cache) Use(
	ctx context.Context, owner, id string, until time.Time,
) (first bool, err error) {
	// While Redis is known to be down, Use adds no entry to the memory of this instance of the
	// service. An entry stays in this memory until it expires, and the number of entries of a
	// client is limited. So a client that tries again would reach the limit during the outage.
	// After the outage, its requests would be refused because of the limit.
	if err := c.useCaller.checkBreaker(); err != nil {
		return false, err
	}
	first, err = c.localStore.Use(ctx, owner, id, until)
	if !first || err != nil {
		return false, err
	}
	first, err = callRedis(ctx, c.useCaller, func(ctx context.Context) (bool, error) {
		return c.claimNames(ctx, owner, id, until)
	})
	if err == nil {
		return first, nil
	}
	// It is not known whether this use is the first: Redis has failed, or the call was not made
	// (errBusy, errOpen). So this instance of the service forgets the value, and Redis decides
	// about the next use.
	c.localStore.Forget(owner, id)
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errOpen):
		return false, err
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	return false, errors.New("rediscache: Redis fails: " + publicCause(err))
}

// claimNames records a used value in Redis, under one name for each secret. It returns true if none
// of these names was in Redis before.
//
// While the operator replaces a secret, two instances of the service may have different secrets,
// but at least one secret in common. Two instances may record the same value at the same time. Both
// try to store the name that belongs to their common secret, and only one of them succeeds. The
// other finds that the name is already in Redis, so the value was used. If the instances have
// several secrets in common, they store the names in the same order, and stop at the first name
// that is already in Redis. Without this order, each instance could store a different name first,
// and then both would report a used value.
func (c *Cache) claimNames(
	ctx context.Context, owner, id string, until time.Time,
) (first bool, err error) {
	for _, k := range c.sortedKeys {
		first, err = c.claimName(ctx, k.useName(c.prefix, owner, id), until)
		if !first || err != nil {
			return false, err
		}
	}
	return true, nil
}

// Cache.claimName tries to be the first that stores a key in Redis. It returns true if the key was
// not there.
//
// The Redis client sends a command again if the connection fails. The first command may have stored
// the key although its reply was lost. So claimName stores a random value under the key, and then
// reads the value. If Redis has the same random value, this call of claimName has stored the key.
func (c *Cache) claimName(
	ctx context.Context, name string, until time.Time,
) (first bool, err error) {
	// Redis gets the time to live as a duration, not as a date. So it does not matter which time
	// the clock of Redis shows.
	ttl := (min(time.Until(until), maxKeepTime) + extraKeepTime).Truncate(time.Millisecond)
	if ttl < extraKeepTime {
		return false, nil // the used value has expired while this call was waiting
	}
	own := rand.Text()
	pipe := c.client.Pipeline()
	set := pipe.SetArgs(ctx, name, own, redis.SetArgs{Mode: "NX", TTL: ttl})
	get := pipe.GetRange(ctx, name, 0, maxUseLength)
	// Exec returns only the first error of the commands. The code below looks at each command.
	_, _ = pipe.Exec(ctx)
	switch err := set.Err(); {
	case err == nil && set.Val() == "OK":
		return true, nil
	case err != nil && !errors.Is(err, redis.Nil):
		return false, err
	}
	found, err := get.Result()
	if isWrongType(err) {
		c.logForged("uses")
		return false, nil
	}
	return err == nil && found == own, err
}

// probeUse stores a value to find out whether Redis can store values. The command PING would not
// show this: a Redis that is a replica, or has no memory left, responds to PING but stores nothing.
func (c *Cache) probeUse(ctx context.Context) error {
	return c.client.Set(ctx, c.prefix+"probe", "", time.Second).Err()
}

// useName returns the name of the key in Redis that records the use of a value. The parameter id is
// the value. The parameter owner says who uses it, for example the thumbprint of the key that has
// signed a DPoP proof.
func (k *keys) useName(prefix, owner, id string) string {
	length := binary.BigEndian.AppendUint64(nil, uint64(len(owner)))
	sum := mac(k.useNameKey, string(length), owner, id)
	return prefix + "used:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// sortKeys sorts the cryptographic keys that were derived from the secrets. claimNames needs the
// same order on all instances of the service, even if their secrets are configured in different
// orders.
func sortKeys(all []*keys) []*keys {
	ordered := slices.Clone(all)
	slices.SortFunc(ordered, func(a, b *keys) int {
		return bytes.Compare(a.useNameKey, b.useNameKey)
	})
	return ordered
}
