package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// An instance of the service checks again and again whether it must read the revocations in
	// Redis. The first interval after a subscription is minCheckInterval. Each later interval is
	// twice as long as the one before, up to maxCheckInterval. If a read has failed or is not
	// complete, or if Redis lacked revocations, the next interval is minCheckInterval again.
	minCheckInterval = time.Second
	maxCheckInterval = 30 * time.Second
	// From time to time, an instance of the service reads all revocations in Redis again, although
	// nothing indicates a change. The time between two such reads is random: at least
	// fullReadInterval, and at most twice as long.
	fullReadInterval = 5 * time.Minute
	// pageSize is the approximate number of revocations that Redis returns in one reply.
	pageSize = 500

	// One call of readRevocations reads at most about maxRead members of the set of revocations,
	// and at most about maxReadBytes bytes: it stops after the page that reaches a limit. The
	// instance of the service reads the rest a second later. So an attacker who fills Redis with
	// junk can't keep an instance busy. The set contains each revocation twice while the operator
	// replaces a secret. So maxRead is twice maxRevocations.
	maxRead      = 2 * maxRevocations
	maxReadBytes = 64 << 20
	// A full read of the set of revocations consists of at most maxCallsPerFullRead calls of
	// readRevocations. Then a new full read begins. Without this limit, an attacker could add junk
	// faster than the instance of the service reads and removes it. The full read would never end.
	maxCallsPerFullRead = 16
)

// A fullRead is the state while an instance of the service reads the whole set of revocations in
// Redis once. If the set is large, this takes several calls of readRevocations, and each call
// continues where the last one stopped.
type fullRead struct {
	cursor string
	calls  int
	// The map foundRevocations contains the revocations that this full read has found in Redis.
	// Each key is the JSON of the message about a revocation. The value is true if the message was
	// encrypted with the first secret of Config.Secrets, with which this instance of the service
	// encrypts.
	foundRevocations map[string]bool
}

// keepReading reads the revocations that Redis keeps, until ctx ends. It reads after each
// subscription, because revocations may have been published before the subscription. It also reads
// when readIfNeeded finds a reason, for example that Redis has lost revocations.
func (f *follower) keepReading(ctx context.Context) {
	// Each subscription starts a call of readIfNeeded. If the instance of the service can't
	// subscribe, it must still read the revocations. So this timer starts the first call without a
	// subscription.
	timer := time.NewTimer(busTimeout)
	defer timer.Stop()
	interval, mustRead, lastRead := minCheckInterval, true, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.subscriptions:
			interval, mustRead = minCheckInterval, true
			// An instance of the service reads the revocations after each new subscription. An
			// attacker may close the connection of the subscription often, and each time the
			// instance subscribes again. So the instance waits at least minCheckInterval between
			// two reads.
			if wait := time.Until(lastRead.Add(minCheckInterval)); !lastRead.IsZero() && wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		lastRead = time.Now()
		mustContinue, err := f.readIfNeeded(ctx, mustRead)
		if ctx.Err() != nil {
			return
		}
		f.logChange("kept revocations", err)
		mustRead = err != nil || mustContinue
		if mustRead || f.redisLacksSome {
			interval = minCheckInterval
		}
		timer.Reset(interval)
		interval = min(2*interval, maxCheckInterval)
	}
}

// follower.readIfNeeded reads the set of revocations in Redis if one of these holds:
//   - mustRead is true, which means that the caller has a reason to read,
//   - Redis seems to have counted a message that this instance of the service has not received,
//   - Redis keeps fewer revocations than this instance knows: it lost some, or some were deleted,
//   - the last read found that Redis lacked revocations,
//   - the last read was too long ago.
//
// If mustContinue is true, the set has members that were not read yet, and the caller must call
// readIfNeeded again.
func (f *follower) readIfNeeded(ctx context.Context, mustRead bool) (mustContinue bool, err error) {
	now, received := time.Now(), f.receivedMessages.Load()
	count, kept, err := f.readCounts(ctx)
	if err != nil {
		return false, err
	}
	missed, lost := count-received != f.countOffset, kept < f.countInForce(now)
	if !mustRead && !missed && !lost && !f.redisLacksSome && now.Before(f.nextFullRead) {
		return false, nil
	}
	f.nextFullRead = now.Add(f.fullReadInterval + rand.N(f.fullReadInterval))
	f.countOffset = count - received
	return f.readRevocations(ctx)
}

// follower.readCounts returns two numbers from Redis: the counter of published messages, and how
// many members the set of revocations has.
func (f *follower) readCounts(ctx context.Context) (count, kept int64, err error) {
	type counts struct{ count, kept int64 }
	got, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) (counts, error) {
		pipe := f.client.Pipeline()
		// The counter is a 64-bit number, so it has at most 20 characters. An attacker may have
		// stored a very long text in place of the counter. GETRANGE reads only the beginning of it.
		text, n := pipe.GetRange(ctx, f.countName(), 0, 20), pipe.ZCard(ctx, f.setName())
		// Exec returns only the first error of the commands. The code below looks at each command.
		_, _ = pipe.Exec(ctx)
		for _, err := range []error{text.Err(), n.Err()} {
			if err != nil && !isWrongType(err) {
				return counts{}, err
			}
		}
		// If the counter of published revocations is missing or not a number, it counts as 0 here.
		// The method storeRevocations replaces it when it next adds revocations.
		count, _ := strconv.ParseInt(text.Val(), 10, 64)
		return counts{count, n.Val()}, nil
	})
	return got.count, got.kept, err
}

// countInForce counts the known revocations of this instance of the service that have not ended.
func (c *Cache) countInForce(now time.Time) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.knownRevocations {
		if now.Before(k.until) {
			n++
		}
	}
	return n
}

// scanScript runs in Redis. It returns members of the set of revocations, like ZSCAN, but without
// scores. It removes members that do not look like an encrypted revocation and does not return
// them. It also returns how many members it removed.
var scanScript = redis.NewScript(`
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

// deleteIfWrongType is a script that runs in Redis. Its first key must be a sorted set, because
// Redis stores the revocations in a sorted set. If the key has another type, the script deletes all
// its keys. The test and the deletion are one step, because another instance of the service may
// store a revocation at the same time.
var deleteIfWrongType = redis.NewScript(`
local got = redis.pcall("ZCARD", KEYS[1])
if type(got) == "table" and got.err and string.find(got.err, "WRONGTYPE", 1, true) then
	redis.call("DEL", unpack(KEYS))
end
return 1`)

func (c *Cache) deleteWrongType(ctx context.Context, names ...string) error {
	return deleteIfWrongType.Run(ctx, c.client, names).Err()
}

// follower.readPage reads a page of the set of revocations in Redis: the part that begins at the
// given cursor. It returns the members in this part, and the cursor of the next part. After the
// last part, this cursor is "0". Redis removes members that do not look like an encrypted
// revocation. The result removedCount is the number of these members.
func (f *follower) readPage(
	ctx context.Context, cursor string,
) (members []string, nextCursor string, removedCount int, err error) {
	found, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) ([]string, error) {
		found, err := scanScript.Run(ctx, f.client, []string{f.setName()},
			cursor, pageSize, maxMember, sealedMark, overhead, blockSize).StringSlice()
		// The set of revocations is a sorted set in Redis. Another client of Redis may have
		// replaced it by a value of another type. Then no instance of the service could read the
		// revocations, so readPage deletes this value and the counter of published messages.
		if isWrongType(err) {
			f.logForged("revocations")
			found, err = []string{"0", "0"}, f.deleteWrongType(ctx, f.setName(), f.countName())
		}
		if err == nil && len(found) < 2 {
			// Redis has sent no proper reply. A list from scanScript always begins with a cursor,
			// and with the number of members that the script has removed.
			err = errUnsealed
		}
		return found, err
	})
	if err != nil {
		return nil, "", 0, err
	}
	removedCount, err = strconv.Atoi(found[1])
	return found[2:], found[0], removedCount, err
}

// follower.readRevocations reads the revocations that Redis keeps and applies them. It stops at the
// limits maxRead and maxReadBytes. It removes revocations from Redis that are forged or have ended.
// If this instance of the service knows a revocation that was not found in Redis, readRevocations
// puts it back. If the result mustContinue is true, Redis has further revocations or an error has
// occurred. The next call of readRevocations then continues where this call has stopped.
func (f *follower) readRevocations(ctx context.Context) (mustContinue bool, err error) {
	if f.currentRead.foundRevocations == nil || f.currentRead.calls >= maxCallsPerFullRead {
		f.currentRead, f.redisLacksSome = fullRead{cursor: "0", foundRevocations: make(map[string]bool)}, false
	}
	f.currentRead.calls++
	for members, bytes := 0, 0; members < f.maxRead && bytes < maxReadBytes; {
		found, nextCursor, removedCount, err := f.readPage(ctx, f.currentRead.cursor)
		if err != nil {
			return true, err
		}
		if removedCount > 0 {
			f.logForged("revocations")
		}
		for _, sealed := range found {
			bytes += len(sealed)
		}
		members += len(found) + removedCount
		if err := f.takePage(ctx, found); err != nil {
			return true, err
		}
		if f.currentRead.cursor = nextCursor; nextCursor == "0" {
			foundRevocations := f.currentRead.foundRevocations
			f.currentRead = fullRead{}
			return false, f.restore(ctx, foundRevocations)
		}
	}
	return true, f.restore(ctx, f.currentRead.foundRevocations)
}

// takePage applies the revocations in one page of the set of revocations. The parameter members
// contains the members of this page, as Redis has sent them. takePage decrypts each member. If none
// of Config.Secrets decrypts a member, the member is forged. Then takePage removes it from the set,
// so that no instance of the service reads it again. takePage keeps a member that a later version
// of this package has written.
func (f *follower) takePage(ctx context.Context, members []string) error {
	now := time.Now()
	var junk []any
	for _, sealed := range members {
		o, err := f.decryptRevocation(sealed)
		switch {
		case errors.Is(err, errNewerVersion):
			f.logNewer()
		case err != nil:
			f.logForged("revocations")
			junk = append(junk, sealed)
		// Redis stores a score with each revocation: the time at which it ends. The method
		// storeRevocations removes revocations by their scores. An attacker may have changed the
		// score, so an ended revocation may still be in Redis.
		case now.After(o.revocation.Until.Add(clockTolerance)):
			junk = append(junk, sealed)
		default:
			// If the revocation was encrypted only with an old secret, foundRevocations has the
			// value false for it. Then follower.restore encrypts the revocation again, with the
			// first secret of Config.Secrets. After that, the operator can remove the old secret.
			f.currentRead.foundRevocations[o.text] = f.currentRead.foundRevocations[o.text] || o.firstSecret
			f.applyRevocation(o, now)
		}
	}
	if len(junk) == 0 {
		return nil
	}
	_, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) (int64, error) {
		return f.client.ZRem(ctx, f.setName(), junk...).Result()
	})
	return err
}
