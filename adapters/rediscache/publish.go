package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
)

const (
	// maxRevocations is how many revocations an instance of the service knows and stores in Redis,
	// at most.
	maxRevocations = 100_000
	// busTimeout is the time limit of a call to Redis about revocations. The check of a token does
	// not wait for such a call, but a caller of Publish does.
	busTimeout = 2 * time.Second
	// clockTolerance is how long Redis keeps a revocation after it has ended, at least. It is
	// needed because the clocks of the instances of the service differ.
	clockTolerance = time.Minute
	// maxMember is the largest length of one encrypted revocation in Redis, in bytes. An instance
	// of the service reads about 500 revocations in one reply of Redis, so a reply has at most
	// about 8 MB.
	maxMember = 16 << 10
)

// These methods return the names of the keys under which Redis stores and publishes revocations. In
// a Redis cluster, keys whose names have the same text in braces are on the same node.
func (c *Cache) setName() string         { return c.prefix + "{revocations}" }
func (c *Cache) countName() string       { return c.prefix + "{revocations}:count" }
func (c *Cache) restoreLockName() string { return c.prefix + "{revocations}:turn" }
func (c *Cache) channelName() string     { return c.prefix + "{revocations}:channel" }

// Publish implements [xenaauth.RevocationBus]. r must have Issuer and Until. If Until is over,
// Publish does nothing and returns nil. Otherwise a nil error means that Redis keeps r and that r
// was published. It does not mean that every instance of the service has received r. If Redis is
// slow, Publish takes up to two seconds for each of two calls.
//
// If Redis fails, Publish returns an error. If this instance runs [Cache.Subscribe], the other
// instances learn of r when Redis is back.
//
// If this instance already knows 100 000 revocations in force, the error is
// [xenaauth.ErrRevocationsFull]. Then r is published to the instances that run Subscribe, but Redis
// does not keep r for instances that start later.
func (c *Cache) Publish(ctx context.Context, r xenaauth.Revocation) error {
	now := time.Now()
	switch {
	case r.Until.IsZero():
		return errors.New("rediscache: Revocation.Until is missing")
	case r.Issuer == "":
		return errors.New("rediscache: Revocation.Issuer is missing")
	case !now.Before(r.Until):
		return nil
	}
	text, err := encodeMessage(r)
	if err != nil {
		return err
	}
	sealed := c.keys[0].sealRevocation(c.setName(), text)
	if len(sealed) > maxMember {
		return errors.New("rediscache: the Revocation is longer than 16 KiB")
	}
	// The limit maxRevocations applies to the revocations that this instance of the service knows.
	// It does not apply to the revocations in Redis, because an attacker could add any number of
	// them.
	full := !c.remember(text, r.Until, now)
	if !full {
		score := float64(r.Until.UnixMilli())
		err = c.storeRevocations(ctx, now, redis.Z{Score: score, Member: sealed})
	}
	// The other instances of the service must receive the revocation r, even if Redis could not
	// store it.
	if err = errors.Join(err, c.broadcast(ctx, redis.Z{Member: sealed})); err != nil {
		err = errors.New("rediscache: Redis fails: " + publicCause(err))
	}
	if full {
		return errors.Join(xenaauth.ErrRevocationsFull, err)
	}
	return err
}

// Cache.storeRevocations adds encrypted revocations to the set of revocations in Redis. It also
// removes revocations that ended more than clockTolerance ago, and increases the counter of
// published messages. Another client may have stored a value of another type in place of the set or
// the counter. With this value every later call would fail, so storeRevocations replaces it.
func (c *Cache) storeRevocations(ctx context.Context, now time.Time, some ...redis.Z) error {
	ended := "(" + strconv.FormatInt(now.Add(-clockTolerance).UnixMilli(), 10)
	_, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) (struct{}, error) {
		for again := false; ; again = true {
			pipe := c.client.TxPipeline()
			pipe.ZRemRangeByScore(ctx, c.setName(), "-inf", ended)
			added := pipe.ZAdd(ctx, c.setName(), some...)
			// This counter in Redis says how many revocations Cache.broadcast has published.
			counted := pipe.IncrBy(ctx, c.countName(), int64(len(some)))
			_, err := pipe.Exec(ctx)
			var reply redis.Error
			switch {
			case isWrongType(added.Err()) && !again:
				c.logForged("revocations")
				if err := c.deleteWrongType(ctx, c.setName()); err != nil {
					return struct{}{}, err
				}
				continue
			case added.Err() == nil && errors.As(counted.Err(), &reply):
				// The counter of published messages in Redis can't be increased: it is not a
				// number, or it is the largest number. So it gets a new value. Each instance of the
				// service expects a certain value of the counter. The new value is random, so it
				// differs from this value. Then all instances read the set of revocations again,
				// and none misses a revocation.
				c.logForged("revocations")
				err = c.client.Set(ctx, c.countName(), 1+rand.Int64N(1<<53), 0).Err()
			}
			return struct{}{}, err
		}
	})
	return err
}

// Cache.broadcast publishes encrypted revocations to all instances of the service that have
// subscribed.
func (c *Cache) broadcast(ctx context.Context, some ...redis.Z) error {
	_, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) ([]redis.Cmder, error) {
		pipe := c.client.Pipeline()
		for _, z := range some {
			pipe.Publish(ctx, c.channelName(), z.Member)
		}
		return pipe.Exec(ctx)
	})
	return err
}

// decryptedRevocation is a revocation from Redis, after an instance of the service has decrypted
// it.
type decryptedRevocation struct {
	text       string // text is the JSON of the message about the revocation
	revocation xenaauth.Revocation
	// firstSecret is true if the message was encrypted with the first of the Config.Secrets.
	firstSecret bool
}

// Cache.decryptRevocation decrypts a revocation from Redis. Its error is errNewerVersion or
// errUnsealed.
func (c *Cache) decryptRevocation(sealed string) (decryptedRevocation, error) {
	// Publish refuses a revocation that is longer than maxMember. So no instance of the service has
	// written this text, which is longer.
	if len(sealed) > maxMember {
		return decryptedRevocation{}, errUnsealed
	}
	for i, k := range c.keys {
		text, err := k.openRevocation(c.setName(), sealed)
		if err != nil {
			continue
		}
		r, err := decodeMessage(text)
		return decryptedRevocation{text, r, i == 0}, err
	}
	return decryptedRevocation{}, errUnsealed
}

// knownRevocation is a revocation that this instance of the service has received, read or
// published. If Redis loses the revocation, this instance puts it back into Redis.
type knownRevocation struct {
	until time.Time
	// receivedTime is when this instance of the service last received the message that publishes
	// the revocation.
	receivedTime time.Time
}

// Cache.remember records that this instance of the service knows a revocation. It returns false if
// this instance already knows as many revocations as it can (maxRevocations).
func (c *Cache) remember(text string, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.knownRevocations[text]; ok {
		return true
	}
	if len(c.knownRevocations) >= maxRevocations || now.Sub(c.lastSweep) >= time.Minute {
		c.lastSweep = now
		for have, k := range c.knownRevocations {
			if !now.Before(k.until) {
				delete(c.knownRevocations, have)
			}
		}
	}
	if len(c.knownRevocations) >= maxRevocations {
		return false
	}
	c.knownRevocations[text] = knownRevocation{until: until}
	return true
}

// noteReceived records the time at which this instance of the service received a published
// revocation. The method follower.restore uses this time: if a revocation was received a short time
// ago, another instance has probably just put it back into Redis.
func (c *Cache) noteReceived(text string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.knownRevocations[text]; ok {
		k.receivedTime = now
		c.knownRevocations[text] = k
	}
}
