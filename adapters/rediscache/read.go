package rediscache

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	firstCheck = time.Second // then each time twice as long
	lastCheck  = 30 * time.Second

	// The bounds of one read. What is left is read after firstCheck, so that junk in Redis keeps no instance busy.
	maxRead      = 2 * maxRevocations // members: all that can be genuine, twice while the secret is being changed
	maxReadBytes = 64 << 20
	maxParts     = 16 // reads for one pass, after which it begins anew: then junk comes in faster than it is removed
)

// pass is one walk over everything that is kept. It takes several reads if there is too much for one.
type pass struct {
	cursor string
	parts  int
	seen   map[string]bool // revocations, as JSON, and whether the first secret has sealed them
}

// keepReading reads what is kept: after each subscription, because something may have been published before it, and
// whenever a check says so.
func (f *follower) keepReading(ctx context.Context) {
	timer := time.NewTimer(busTimeout) // should no subscription be possible
	defer timer.Stop()
	interval, due, last := firstCheck, true, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.subscribed:
			interval, due = firstCheck, true
			// Whoever cuts connections doesn't decide how often everything is read.
			if wait := time.Until(last.Add(firstCheck)); !last.IsZero() && wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		last = time.Now()
		more, err := f.check(ctx, due)
		if ctx.Err() != nil {
			return
		}
		f.change("kept revocations", err)
		due = err != nil || more
		if interval = min(2*interval, lastCheck); due || f.unsettled {
			interval = firstCheck
		}
		timer.Reset(interval)
	}
}

// check reads if due, or if a message was lost: then Redis has counted one that wasn't heard. And if Redis keeps fewer
// than are known: then it has lost some, or somebody has deleted them. And now and then without a reason. more is
// whether there is something left to read.
func (f *follower) check(ctx context.Context, due bool) (more bool, err error) {
	now, heard := time.Now(), f.heard.Load()
	count, kept, err := f.counted(ctx)
	if err != nil {
		return false, err
	}
	if !due && count-heard == f.base && kept >= f.inForce(now) && !f.unsettled && now.Before(f.again) {
		return false, nil
	}
	f.again = now.Add(f.readAnyway + rand.N(f.readAnyway))
	f.base = count - heard
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
		// A missing counter and one that is no number count as 0. The next publisher replaces the latter.
		count, _ := strconv.ParseInt(text.Val(), 10, 64)
		return counts{count, n.Val()}, nil
	})
	return got.count, got.kept, err
}

func (c *Cache) inForce(now time.Time) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.known {
		if now.Before(k.until) {
			n++
		}
	}
	return n
}

// scan is ZSCAN without scores. It removes members that have not the form of a sealed revocation, and tells how many
// they were, so that they are neither sent nor read again.
var scan = redis.NewScript(`
local got = redis.call("ZSCAN", KEYS[1], ARGV[1], "COUNT", ARGV[2])
local page, removed = {got[1], "0"}, 0
local most, mark, overhead, block = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
for i = 1, #got[2], 2 do
	local member = got[2][i]
	local size = #member
	if size > most or size < overhead + block or (size - overhead) % block ~= 0 or string.byte(member) ~= mark then
		redis.call("ZREM", KEYS[1], member)
		removed = removed + 1
	else
		page[#page + 1] = member
	end
end
page[2] = tostring(removed)
return page`)

// clearForeign deletes its keys if the first of them has a value that is no sorted set. It looks and deletes in one step:
// another instance may have stored a revocation there since the caller looked.
var clearForeign = redis.NewScript(`
local got = redis.pcall("ZCARD", KEYS[1])
if type(got) == "table" and got.err and string.find(got.err, "WRONGTYPE", 1, true) then
	redis.call("DEL", unpack(KEYS))
end
return 1`)

func (c *Cache) clearWrongType(ctx context.Context, names ...string) error {
	return clearForeign.Run(ctx, c.client, names).Err()
}

// page reads some of what is kept. It returns the members, and the cursor of the next page: "0" after the last one.
func (f *follower) page(ctx context.Context, cursor string) (members []string, next string, removed int, err error) {
	found, err := bounded(ctx, busTimeout, func(ctx context.Context) ([]string, error) {
		found, err := scan.Run(ctx, f.client, []string{f.setName()},
			cursor, page, maxMember, sealedMark, overhead, block).StringSlice()
		if wrongType(err) { // somebody has put something else there, and nothing would be kept any more
			f.forged("revocations")
			found, err = []string{"0", "0"}, f.clearWrongType(ctx, f.setName(), f.countName())
		}
		if err == nil && len(found) < 2 {
			err = errUnsealed // what the script never gives
		}
		return found, err
	})
	if err != nil {
		return nil, "", 0, err
	}
	removed, err = strconv.Atoi(found[1])
	return found[2:], found[0], removed, err
}

// read takes over what is kept, within bounds, removes what isn't ours, and puts back what isn't kept and should be.
// more is whether the walk goes on with the next read.
func (f *follower) read(ctx context.Context) (more bool, err error) {
	if f.pass.seen == nil || f.pass.parts >= maxParts {
		f.pass, f.unsettled = pass{cursor: "0", seen: make(map[string]bool)}, false
	}
	f.pass.parts++
	for members, bytes := 0, 0; members < f.maxRead && bytes < maxReadBytes; {
		found, next, removed, err := f.page(ctx, f.pass.cursor)
		if err != nil {
			return true, err
		}
		if removed > 0 {
			f.forged("revocations")
		}
		for _, sealed := range found {
			bytes += len(sealed)
		}
		members += len(found) + removed
		if err := f.sift(ctx, found); err != nil {
			return true, err
		}
		if f.pass.cursor = next; next == "0" {
			seen := f.pass.seen
			f.pass = pass{}
			return false, f.restore(ctx, seen)
		}
	}
	return true, f.restore(ctx, f.pass.seen)
}

// sift takes the genuine ones over, and removes the others: else all instances would read them again and again.
func (f *follower) sift(ctx context.Context, found []string) error {
	now := time.Now()
	var junk []any
	for _, sealed := range found {
		text, r, first, ok := f.open(sealed)
		if !ok {
			f.forged("revocations")
		}
		if !ok || now.After(r.Until.Add(slack)) { // or one that has ended, with a score that keeps it for ever
			junk = append(junk, sealed)
			continue
		}
		// A revocation that an old secret sealed is sealed anew with the first secret, so that the operator can remove
		// the old secret.
		f.pass.seen[text] = f.pass.seen[text] || first
		f.take(text, r, now)
	}
	if len(junk) == 0 {
		return nil
	}
	_, err := bounded(ctx, busTimeout, func(ctx context.Context) (int64, error) {
		return f.client.ZRem(ctx, f.setName(), junk...).Result()
	})
	return err
}
