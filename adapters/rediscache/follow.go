package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
)

// Subscribe implements [xenaauth.RevocationBus]. It returns when ctx ends and not before: while Redis is down it tries
// again, at least every two seconds, and then reads what it missed. What this instance knows and Redis has lost, by a
// restart or because somebody has deleted it, it puts back.
func (c *Cache) Subscribe(ctx context.Context, apply func(xenaauth.Revocation)) error {
	const longest = 2 * time.Second
	delay := 50 * time.Millisecond
	for {
		began := time.Now()
		err := c.follow(ctx, apply)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.change("revocations", err)
		if time.Since(began) > time.Minute {
			delay = 50 * time.Millisecond
		}
		timer := time.NewTimer(delay/2 + rand.N(delay/2)) // not all instances at the same moment
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		delay = min(2*delay, longest)
	}
}

// follower is one connection's worth of following.
type follower struct {
	*Cache
	sub   *redis.PubSub
	apply func(xenaauth.Revocation)

	count     int64 // how many revocations Redis has counted, as far as heard
	unsettled bool  // Redis lacks some that are known, and another instance is putting them back
}

// follow takes revocations over until the connection fails. It listens before it reads, so that nothing falls between.
func (c *Cache) follow(ctx context.Context, apply func(xenaauth.Revocation)) error {
	setup, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	f := &follower{Cache: c, apply: apply, sub: c.client.Subscribe(setup, c.channelName())}
	stop := context.AfterFunc(ctx, func() { _ = f.sub.Close() }) // a read ends by that alone
	defer func() {
		stop()
		_ = f.sub.Close()
	}()
	if _, err := f.sub.ReceiveTimeout(setup, busTimeout); err != nil {
		return err
	}
	if err := f.read(ctx); err != nil {
		return err
	}
	c.change("revocations", nil)
	return f.listen(ctx)
}

const (
	firstCheck = time.Second // then each time twice as long
	lastCheck  = 30 * time.Second
	silence    = 5 * time.Second // after which a PING asks whether the connection lives, and twice of which is its end
)

func (f *follower) listen(ctx context.Context) error {
	interval := firstCheck
	heard, next := time.Now(), time.Now().Add(interval)
	for {
		message, err := f.sub.ReceiveTimeout(ctx, time.Second)
		now := time.Now()
		if err == nil {
			heard = now
			if m, ok := message.(*redis.Message); ok {
				f.hear(m.Payload, now)
			}
		} else if network, ok := errors.AsType[net.Error](err); !ok || !network.Timeout() || now.Sub(heard) > 2*silence {
			return err
		} else if now.Sub(heard) > silence {
			if err := f.sub.Ping(ctx); err != nil {
				return err
			}
		}
		if now.Before(next) {
			continue
		}
		if err := f.check(ctx); err != nil {
			return err
		}
		if interval = min(2*interval, lastCheck); f.unsettled {
			interval = firstCheck
		}
		next = time.Now().Add(interval)
	}
}

// hear takes a published revocation over.
func (f *follower) hear(sealed string, now time.Time) {
	text, r, _, ok := f.open(sealed)
	if !ok {
		f.forged("revocations")
		return
	}
	f.count++
	f.take(text, r, now)
}

func (f *follower) take(text string, r xenaauth.Revocation, now time.Time) {
	if now.Before(r.Until) {
		f.remember(text, r.Until, now)
		f.apply(r)
	}
}

// check reads everything again if a message was lost: then Redis has counted one that wasn't heard. And if Redis keeps
// fewer than are known: then it has lost some, or somebody has deleted them.
func (f *follower) check(ctx context.Context) error {
	count, kept, err := f.counted(ctx)
	if err != nil {
		return err
	}
	if count == f.count && kept >= f.inForce(time.Now()) && !f.unsettled {
		return nil
	}
	return f.read(ctx)
}

// counted is how many revocations were ever published, and how many are kept.
func (f *follower) counted(ctx context.Context) (count, kept int64, err error) {
	type counts struct{ count, kept int64 }
	got, err := bounded(ctx, busTimeout, func(ctx context.Context) (counts, error) {
		pipe := f.client.Pipeline()
		text, n := pipe.Get(ctx, f.countName()), pipe.ZCard(ctx, f.setName())
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, err := range []error{text.Err(), n.Err()} {
			if err != nil && !errors.Is(err, redis.Nil) && !wrongType(err) {
				return counts{}, err
			}
		}
		count, _ := strconv.ParseInt(text.Val(), 10, 64) // what nobody has counted, or what is no number, is 0
		return counts{count, n.Val()}, nil
	})
	return got.count, got.kept, err
}

func (c *Cache) inForce(now time.Time) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, until := range c.known {
		if now.Before(until) {
			n++
		}
	}
	return n
}

// read takes over what is kept, and puts back what isn't and should be.
func (f *follower) read(ctx context.Context) error {
	count, _, err := f.counted(ctx)
	if err != nil {
		return err
	}
	f.count, f.unsettled = count, false
	seen := make(map[string]bool)
	var cursor uint64
	for n := 0; n < 2*maxRevocations; {
		type scanned struct {
			members []string
			cursor  uint64
		}
		got, err := bounded(ctx, busTimeout, func(ctx context.Context) (scanned, error) {
			members, next, err := f.client.ZScan(ctx, f.setName(), cursor, "", page).Result()
			if wrongType(err) { // somebody has put something else there, and nothing would be kept any more
				f.forged("revocations")
				next, err = 0, f.client.Del(ctx, f.setName(), f.countName()).Err()
			}
			return scanned{members, next}, err
		})
		if err != nil {
			return err
		}
		now := time.Now()
		for i := 0; i < len(got.members); i += 2 { // members and scores in turn
			n++
			text, r, first, ok := f.open(got.members[i])
			if !ok {
				f.forged("revocations")
				continue
			}
			// What an old secret sealed is put back under the new one, so that the old can go.
			seen[text] = seen[text] || first
			f.take(text, r, now)
		}
		if cursor = got.cursor; cursor == 0 {
			break
		}
	}
	return f.restore(ctx, seen)
}

// restore puts back what is known and not kept. One instance does so at a time.
func (f *follower) restore(ctx context.Context, seen map[string]bool) error {
	now := time.Now()
	var lost []redis.Z
	f.mu.Lock()
	for text, until := range f.known {
		if !seen[text] && now.Before(until) {
			lost = append(lost, redis.Z{Score: float64(until.UnixMilli()), Member: text})
		}
	}
	f.mu.Unlock()
	if len(lost) == 0 {
		return nil
	}
	f.unsettled = true // until a look finds them there
	turn, err := bounded(ctx, busTimeout, func(ctx context.Context) (bool, error) {
		err := f.client.SetArgs(ctx, f.turnName(), f.lease, redis.SetArgs{Mode: "NX", TTL: firstCheck}).Err()
		if errors.Is(err, redis.Nil) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil || !turn {
		return err
	}
	for len(lost) > 0 {
		some := lost[:min(page, len(lost))]
		lost = lost[len(some):]
		for i := range some {
			some[i].Member = f.keys[0].sealRevocation(f.setName(), some[i].Member.(string))
		}
		if _, err := bounded(ctx, busTimeout, func(ctx context.Context) ([]redis.Cmder, error) {
			pipe := f.client.TxPipeline()
			pipe.ZAdd(ctx, f.setName(), some...)
			pipe.Incr(ctx, f.countName()) // others will look again
			return pipe.Exec(ctx)
		}); err != nil {
			return err
		}
	}
	return nil
}
