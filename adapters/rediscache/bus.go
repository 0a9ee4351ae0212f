package rediscache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
)

const (
	maxRevocations = 100_000         // kept at a time, as many as a Validator holds
	busTimeout     = 2 * time.Second // of a call that no request waits for
	slack          = time.Minute     // by which clocks may differ before a revocation is thrown away too early
	page           = 500
	maxMember      = 16 << 10        // bytes of a sealed revocation: a page of them is 8 MB at most
	readAnyway     = 5 * time.Minute // at least, and up to twice that, after which everything is read without a reason
)

// The names of what revocations are kept in. The braces have a cluster keep them on one node.
func (c *Cache) setName() string     { return c.prefix + "{revocations}" }
func (c *Cache) countName() string   { return c.prefix + "{revocations}:count" }
func (c *Cache) turnName() string    { return c.prefix + "{revocations}:turn" }
func (c *Cache) channelName() string { return c.prefix + "{revocations}:channel" }

// Publish implements [xenaauth.RevocationBus]. No error means that Redis has r and that r was published; not that every
// instance has heard it. If Redis is slow Publish takes up to two seconds for each of two calls. After an error this
// instance tells Redis later, if it follows: see [Cache.Subscribe]. The error is [xenaauth.ErrRevocationsFull] when this
// instance knows of 100 000 that are in force: then instances that follow are told, and nothing is kept for those that
// start later.
func (c *Cache) Publish(ctx context.Context, r xenaauth.Revocation) error {
	now := time.Now()
	if r.Until.IsZero() {
		return errors.New("rediscache: a Revocation without Until")
	}
	if !now.Before(r.Until) {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("rediscache: %w", err)
	}
	sealed := c.keys[0].sealRevocation(c.setName(), string(text))
	if len(sealed) > maxMember {
		return errors.New("rediscache: a Revocation of more than 16 KiB")
	}
	// Whether it is full goes by what is known to be genuine, and not by what somebody may have put in Redis.
	full := !c.remember(string(text), r.Until, now)
	if !full {
		err = c.keep(ctx, now, redis.Z{Score: float64(r.Until.UnixMilli()), Member: sealed})
	}
	// Those that follow are told whatever has become of that.
	if err = errors.Join(err, c.tell(ctx, redis.Z{Member: sealed})); err != nil {
		err = errors.New("rediscache: Redis fails: " + plain(err))
	}
	if full {
		return errors.Join(xenaauth.ErrRevocationsFull, err)
	}
	return err
}

// keep adds to what is kept, throws away what has ended, and counts. What somebody has put in the place of the set or
// the counter goes: it would stop both for good.
func (c *Cache) keep(ctx context.Context, now time.Time, some ...redis.Z) error {
	ended := "(" + strconv.FormatInt(now.Add(-slack).UnixMilli(), 10)
	_, err := bounded(ctx, busTimeout, func(ctx context.Context) (struct{}, error) {
		for again := false; ; again = true {
			pipe := c.client.TxPipeline()
			pipe.ZRemRangeByScore(ctx, c.setName(), "-inf", ended)
			added := pipe.ZAdd(ctx, c.setName(), some...)
			counted := pipe.IncrBy(ctx, c.countName(), int64(len(some))) // as many as there are messages: see tell
			_, err := pipe.Exec(ctx)
			var reply redis.Error
			switch {
			case wrongType(added.Err()) && !again:
				c.forged("revocations")
				if err := c.clearWrongType(ctx, c.setName()); err != nil {
					return struct{}{}, err
				}
				continue
			case added.Err() == nil && errors.As(counted.Err(), &reply):
				// It begins anew where no instance can be, so that all read again.
				c.forged("revocations")
				err = c.client.Set(ctx, c.countName(), 1+rand.Int64N(1<<53), 0).Err()
			}
			return struct{}{}, err
		}
	})
	return err
}

// tell publishes sealed revocations.
func (c *Cache) tell(ctx context.Context, some ...redis.Z) error {
	_, err := bounded(ctx, busTimeout, func(ctx context.Context) ([]redis.Cmder, error) {
		pipe := c.client.Pipeline()
		for _, z := range some {
			pipe.Publish(ctx, c.channelName(), z.Member)
		}
		return pipe.Exec(ctx)
	})
	return err
}

// open returns the revocation that was sealed, and whether the first secret did it.
func (c *Cache) open(sealed string) (text string, r xenaauth.Revocation, first, ok bool) {
	if len(sealed) > maxMember { // which could not be put back
		return "", r, false, false
	}
	for i, k := range c.keys {
		text, err := k.openRevocation(c.setName(), sealed)
		if err != nil {
			continue
		}
		return text, r, i == 0, json.Unmarshal([]byte(text), &r) == nil && !r.Until.IsZero()
	}
	return "", r, false, false
}

// knownRevocation is one that this instance knows, to put it back should Redis lose it.
type knownRevocation struct {
	until time.Time
	heard time.Time // when it was last published
}

// remember keeps what is in force, and reports whether there was room.
func (c *Cache) remember(text string, until, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[text]; ok {
		return true
	}
	if len(c.known) >= maxRevocations || now.Sub(c.swept) >= time.Minute {
		c.swept = now
		for have, k := range c.known {
			if !now.Before(k.until) {
				delete(c.known, have)
			}
		}
	}
	if len(c.known) >= maxRevocations {
		return false
	}
	c.known[text] = knownRevocation{until: until}
	return true
}

// noteHeard notes that all instances that follow were told of a revocation just now.
func (c *Cache) noteHeard(text string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.known[text]; ok {
		k.heard = now
		c.known[text] = k
	}
}
