package rediscache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// takeTurn takes the turn to restore, and returns 1, unless another instance has it. It is SET NX
// with one exception: it ignores a turn that has no end or a later end than instances set. Somebody
// else has set it, and all instances would wait for it.
var takeTurn = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[3]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

const (
	// A turn takes one second for each 1000 revocations that are put back.
	perTurn = 1000
	// Others who write to Redis can take every turn. So an instance that was denied the turn more than
	// maxDenied times in a row goes ahead at random: one instance in oneIn, then twice as many each
	// time.
	maxDenied = 3
	oneIn     = 64
)

// restore puts back the revocations that this instance knows and that seen does not have. It also
// publishes them: another instance may have missed them, and they may be deleted again before it
// reads. One instance at a time does this.
func (f *follower) restore(ctx context.Context, seen map[string]bool) error {
	now := time.Now()
	lost := f.lost(seen, now, now)
	if len(lost) == 0 {
		f.denied = 0
		return nil
	}
	f.unsettled = true // until a read finds them in Redis
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
		// Leave out what another instance has published meanwhile.
		lost = f.lost(seen, now, now.Add(-maxDenied*length))
	}
	f.denied = 0
	for some := range slices.Chunk(lost, page) {
		for i := range some {
			text := some[i].Member.(string)
			some[i].Member = f.keys[0].sealRevocation(f.setName(), text)
			seen[text] = true // so that a pass of several reads puts it back once
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

// lost returns the revocations in force that seen does not have, and that were not published after
// since. The Member of each is the JSON of the message.
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
