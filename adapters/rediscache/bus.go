package rediscache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
)

const (
	maxRevocations = 100_000         // kept at a time, as many as a Validator holds
	busTimeout     = 2 * time.Second // of a call that no request waits for
	slack          = time.Minute     // by which clocks may differ before a revocation is thrown away too early
	page           = 1000
)

// The names of what revocations are kept in. The braces have a cluster keep them on one node.
func (c *Cache) setName() string     { return c.prefix + "{revocations}" }
func (c *Cache) countName() string   { return c.prefix + "{revocations}:count" }
func (c *Cache) turnName() string    { return c.prefix + "{revocations}:turn" }
func (c *Cache) channelName() string { return c.prefix + "{revocations}:channel" }

// Publish implements [xenaauth.RevocationBus]. If Redis is slow it takes up to two seconds for each of three calls.
// After an error Redis is told later if this instance follows: see [Cache.Subscribe]. The error is
// [xenaauth.ErrRevocationsFull] when 100 000 are kept, all of them in force.
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
	c.remember(string(text), r.Until, now)
	err = c.publish(ctx, string(text), r.Until, now)
	if err != nil && !errors.Is(err, xenaauth.ErrRevocationsFull) {
		return errors.New("rediscache: Redis fails: " + plain(err))
	}
	return err
}

func (c *Cache) publish(ctx context.Context, text string, until, now time.Time) error {
	kept, err := bounded(ctx, busTimeout, func(ctx context.Context) (int64, error) {
		pipe := c.client.Pipeline()
		pipe.ZRemRangeByScore(ctx, c.setName(), "-inf", "("+strconv.FormatInt(now.Add(-slack).UnixMilli(), 10))
		n := pipe.ZCard(ctx, c.setName())
		_, err := pipe.Exec(ctx)
		return n.Val(), err
	})
	if err != nil {
		return err
	}
	if kept >= maxRevocations {
		return xenaauth.ErrRevocationsFull
	}
	sealed := c.keys[0].sealRevocation(c.setName(), text)
	if _, err := bounded(ctx, busTimeout, func(ctx context.Context) ([]redis.Cmder, error) {
		pipe := c.client.TxPipeline()
		pipe.ZAdd(ctx, c.setName(), redis.Z{Score: float64(until.UnixMilli()), Member: sealed})
		pipe.Incr(ctx, c.countName())
		return pipe.Exec(ctx)
	}); err != nil {
		return err
	}
	_, err = bounded(ctx, busTimeout, func(ctx context.Context) (int64, error) {
		return c.client.Publish(ctx, c.channelName(), sealed).Result()
	})
	return err
}

// open returns the revocation that was sealed, and whether the first secret did it.
func (c *Cache) open(sealed string) (text string, r xenaauth.Revocation, first, ok bool) {
	for i, k := range c.keys {
		text, err := k.openRevocation(c.setName(), sealed)
		if err != nil {
			continue
		}
		return text, r, i == 0, json.Unmarshal([]byte(text), &r) == nil && !r.Until.IsZero()
	}
	return "", r, false, false
}

// remember keeps what is in force, to put it back should Redis lose it.
func (c *Cache) remember(text string, until, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.known[text]; ok {
		return
	}
	if len(c.known) >= maxRevocations || now.Sub(c.swept) >= time.Minute {
		c.swept = now
		for have, until := range c.known {
			if !now.Before(until) {
				delete(c.known, have)
			}
		}
	}
	if len(c.known) < maxRevocations {
		c.known[text] = until
	}
}
