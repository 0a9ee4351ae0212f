package rediscache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// takeTurn tries to take the turn: a key in Redis that allows one instance at a time to restore.
// takeTurn returns 1 if this instance has the turn now, and 0 if another instance has the turn.
// takeTurn does the same as SET NX with one exception: takeTurn replaces a turn that never expires,
// or that expires later than instances set. Only an attacker writes such a turn, and without the
// exception all instances would wait for its end.
var takeTurn = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[3]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

const (
	// An instance that has the turn keeps it for one second per 1000 revocations that it puts back.
	perTurn = 1000
	// An attacker who can write to Redis may take every turn. So an instance that did not get the
	// turn more than maxDenied times in a row restores without the turn, with a probability of one
	// in oneIn. The probability doubles each further time that the instance does not get the turn.
	maxDenied = 3
	oneIn     = 64
)

// follower.restore puts the revocations that this instance knows back into Redis, except the
// revocations in seen: the reads of this pass have found these in Redis. restore also publishes the
// revocations that it puts back, because another instance may not have received them, and an
// attacker may delete them again before that instance reads. Only one instance at a time restores.
func (f *follower) restore(ctx context.Context, seen map[string]bool) error {
	now := time.Now()
	lost := f.lost(seen, now, now)
	if len(lost) == 0 {
		f.denied = 0
		return nil
	}
	// The field unsettled stays true until a later read finds these revocations in Redis.
	f.unsettled = true
	length := min(firstCheck*time.Duration(1+len(lost)/perTurn), lastCheck)
	turn, err := bounded(ctx, busTimeout, func(ctx context.Context) (bool, error) {
		return takeTurn.Run(ctx, f.client, []string{f.turnName()},
			f.lease, length.Milliseconds(), lastCheck.Milliseconds()).Bool()
	})
	if err != nil {
		return err
	}
	if !turn {
		if f.denied++; f.denied <= maxDenied || rand.N(oneIn) >= 1<<min(f.denied-maxDenied-1, 6) {
			return nil
		}
		// This instance did not get the turn, and restores without it. Another instance may have
		// published some of these revocations in the meantime, so leave those out.
		lost = f.lost(seen, now, now.Add(-maxDenied*length))
	}
	f.denied = 0
	for some := range slices.Chunk(lost, page) {
		for i := range some {
			text := some[i].Member.(string)
			some[i].Member = f.keys[0].sealRevocation(f.setName(), text)
			// Mark the revocation as seen, so that the next reads of this pass do not restore it
			// again.
			seen[text] = true
		}
		errKeep := f.keep(ctx, now, some...)
		if err := f.broadcast(ctx, some...); err != nil {
			return err
		}
		if errKeep != nil {
			return errKeep
		}
	}
	return nil
}

// follower.lost returns the revocations that this instance knows, that still apply, and that were
// not found in Redis (they are not in seen). It leaves out those that were published after the time
// since. The field Member of each result is the JSON of the message, which is not encrypted yet.
func (f *follower) lost(seen map[string]bool, now, since time.Time) (lost []redis.Z) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for text, k := range f.known {
		if !seen[text] && now.Before(k.until) && !k.published.After(since) {
			lost = append(lost, redis.Z{Score: float64(k.until.UnixMilli()), Member: text})
		}
	}
	return lost
}
