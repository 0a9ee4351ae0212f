package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
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

	count     int64     // how many revocations Redis has counted, as far as heard
	unsettled bool      // Redis lacks some that are known, and another instance is putting them back
	again     time.Time // when everything is read whatever the counter says: others can write to it
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
// fewer than are known: then it has lost some, or somebody has deleted them. And now and then without a reason.
func (f *follower) check(ctx context.Context) error {
	count, kept, err := f.counted(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	if count == f.count && kept >= f.inForce(now) && !f.unsettled && now.Before(f.again) {
		return nil
	}
	return f.read(ctx)
}

// counted is how many revocations were ever published, and how many are kept.
func (f *follower) counted(ctx context.Context) (count, kept int64, err error) {
	type counts struct{ count, kept int64 }
	got, err := bounded(ctx, busTimeout, func(ctx context.Context) (counts, error) {
		pipe := f.client.Pipeline()
		// A range, since whoever writes to Redis doesn't decide how much is read. No number is longer than 20.
		text, n := pipe.GetRange(ctx, f.countName(), 0, 20), pipe.ZCard(ctx, f.setName())
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, err := range []error{text.Err(), n.Err()} {
			if err != nil && !wrongType(err) {
				return counts{}, err
			}
		}
		// What nobody has counted, or what is no number, is 0; who counts next sees to it that it is another one.
		count, _ := strconv.ParseInt(text.Val(), 10, 64)
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

// scan is ZSCAN without scores. It removes what is longer than any revocation and gives "" in its place: whoever writes
// to Redis doesn't decide how much is read.
var scan = redis.NewScript(`
local got = redis.call("ZSCAN", KEYS[1], ARGV[1], "COUNT", ARGV[2])
local page = {got[1]}
for i = 1, #got[2], 2 do
	local member = got[2][i]
	if #member > tonumber(ARGV[3]) then
		redis.call("ZREM", KEYS[1], member)
		member = ""
	end
	page[#page + 1] = member
end
return page`)

// read takes over what is kept, throws away what isn't ours, and puts back what isn't kept and should be.
func (f *follower) read(ctx context.Context) error {
	f.again = time.Now().Add(f.readAnyway + rand.N(f.readAnyway))
	count, _, err := f.counted(ctx)
	if err != nil {
		return err
	}
	f.count, f.unsettled = count, false
	seen := make(map[string]bool)
	for cursor := "0"; ; {
		found, err := bounded(ctx, busTimeout, func(ctx context.Context) ([]string, error) {
			found, err := scan.Run(ctx, f.client, []string{f.setName()}, cursor, page, maxMember).StringSlice()
			if wrongType(err) { // somebody has put something else there, and nothing would be kept any more
				f.forged("revocations")
				found, err = []string{"0"}, f.client.Del(ctx, f.setName(), f.countName()).Err()
			}
			if err == nil && len(found) == 0 {
				err = errUnsealed // what the script never gives
			}
			return found, err
		})
		if err != nil {
			return err
		}
		now := time.Now()
		var junk []any
		for _, sealed := range found[1:] {
			text, r, first, ok := f.open(sealed)
			if !ok {
				f.forged("revocations")
			}
			if !ok || now.After(r.Until.Add(slack)) { // or one that has ended, put back to last
				junk = append(junk, sealed)
				continue
			}
			// What an old secret sealed is put back under the new one, so that the old can go.
			seen[text] = seen[text] || first
			f.take(text, r, now)
		}
		if len(junk) > 0 { // else it would be read by all, again and again
			if _, err := bounded(ctx, busTimeout, func(ctx context.Context) (int64, error) {
				return f.client.ZRem(ctx, f.setName(), junk...).Result()
			}); err != nil {
				return err
			}
		}
		if cursor = found[0]; cursor == "0" {
			return f.restore(ctx, seen)
		}
	}
}

// takeTurn is SET NX, but a turn without an end, or with a later one than an instance gives, isn't held: somebody else
// has put it there, and nobody would ever get it.
var takeTurn = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

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
		return takeTurn.Run(ctx, f.client, []string{f.turnName()}, f.lease, firstCheck.Milliseconds()).Bool()
	})
	if err != nil || !turn {
		return err
	}
	for some := range slices.Chunk(lost, page) {
		for i := range some {
			some[i].Member = f.keys[0].sealRevocation(f.setName(), some[i].Member.(string))
		}
		if err := f.keep(ctx, now, some...); err != nil { // which counts, so that others look again
			return err
		}
	}
	return nil
}
