package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Get implements [xenaauth.Cache]. It makes one round trip to Redis, and while it waits for another instance at most
// some thirty more.
func (c *Cache) Get(ctx context.Context, key [32]byte) (value []byte, err error) {
	deadline := time.Now().Add(c.wait)
	for delay := 2 * time.Millisecond; ; delay = min(2*delay, 50*time.Millisecond) {
		found, err := request(ctx, c, func(ctx context.Context) (look, error) { return c.look(ctx, key) })
		if err != nil {
			return nil, err
		}
		if !found.wait {
			return found.value, nil
		}
		// Not all who wait come back at the same moment.
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

// look is what one look at an entry found.
type look struct {
	value []byte // nil: nothing
	wait  bool   // another instance is asking
}

// look takes the lease if nothing is there. An entry is its lease first, so that finding, asking and waiting are about
// one name, on one node of a cluster.
func (c *Cache) look(ctx context.Context, key [32]byte) (look, error) {
	pipe := c.client.Pipeline()
	names := make([]string, len(c.keys))
	var lease *redis.StatusCmd
	found := make([]*redis.StringCmd, len(c.keys))
	for i, k := range c.keys {
		names[i] = k.nameOf(c.prefix, key)
		if i == 0 {
			lease = pipe.SetArgs(ctx, names[0], c.lease, redis.SetArgs{Mode: "NX", TTL: c.wait})
		}
		// A range, since whoever writes to Redis doesn't decide how much is read.
		found[i] = pipe.GetRange(ctx, names[i], 0, maxSealed-1)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	first := ""
	for i, k := range c.keys {
		sealed, err := found[i].Result()
		switch {
		case wrongType(err):
			c.forged("answers")
			sealed = gaveUpMark
		case err != nil:
			return look{}, err
		}
		if i == 0 {
			first = sealed
		}
		if sealed == "" || sealed[0] != sealedMark {
			continue
		}
		value, err := k.openValue(names[i], key, []byte(sealed))
		if err == nil {
			return look{value: value}, nil
		}
		c.forged("answers")
	}
	switch err := lease.Err(); {
	case lease.Val() == "OK":
		return look{}, nil // the lease is ours
	case err != nil && !errors.Is(err, redis.Nil) && !wrongType(err):
		return look{}, err
	}
	return look{wait: first == "" || strings.HasPrefix(first, leaseMark)}, nil
}

// release leaves word, for those who wait, that nothing came of asking. It takes no answer away.
var release = redis.NewScript(`
if redis.call("GET", KEYS[1]) == ARGV[1] then
	redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
end
return 1`)

// Set implements [xenaauth.Cache].
func (c *Cache) Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error {
	name := c.keys[0].nameOf(c.prefix, key)
	if len(value) > 0 {
		sealed, err := c.keys[0].sealValue(name, key, value)
		if err != nil {
			return err
		}
		if ttl = ttl.Truncate(time.Millisecond); len(sealed) <= maxSealed && ttl > 0 {
			_, err = request(ctx, c, func(ctx context.Context) (string, error) {
				return c.client.Set(ctx, name, sealed, ttl).Result()
			})
			return err
		}
	}
	_, err := request(ctx, c, func(ctx context.Context) (any, error) {
		v, err := release.Run(ctx, c.client, []string{name}, c.lease, gaveUpMark, max(1, c.wait.Milliseconds())).Result()
		if wrongType(err) {
			err = nil
		}
		return v, err
	})
	return err
}

// wrongType reports whether somebody has put something else than a text where ours is. That is no sign of an outage.
func wrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(reply.Error(), "WRONGTYPE")
}
