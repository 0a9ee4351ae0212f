package rediscache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// takeTurn is SET NX. A turn without an end, or with a later one than an instance gives, doesn't count: an instance would
// wait for it for ever.
var takeTurn = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[3]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

const (
	perTurn = 1000 // revocations that are put back in a turn of one second; more make it longer
	// An instance that is denied the turn several times in a row goes ahead without, sooner or later: who writes to Redis
	// can take all turns.
	maxDenied = 3
	oneIn     = 64 // instances that go ahead first; then twice as many each time
)

// restore puts back what is known and was not seen, and publishes it: others may have missed it, and may read only after
// somebody has deleted it once more. One instance does so at a time.
func (f *follower) restore(ctx context.Context, seen map[string]bool) error {
	now := time.Now()
	lost := f.lost(seen, now, now)
	if len(lost) == 0 {
		f.denied = 0
		return nil
	}
	f.unsettled = true // until a read finds them there
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
		// What another instance publishes meanwhile is in good hands.
		lost = f.lost(seen, now, now.Add(-maxDenied*length))
	}
	f.denied = 0
	for some := range slices.Chunk(lost, page) {
		for i := range some {
			text := some[i].Member.(string)
			some[i].Member = f.keys[0].sealRevocation(f.setName(), text)
			seen[text] = true // a pass of several reads puts it back once
		}
		kept := f.keep(ctx, now, some...)
		if err := f.tell(ctx, some...); err != nil {
			return err
		}
		if kept != nil {
			return kept
		}
	}
	return nil
}

// lost returns the revocations in force that were not seen, and not heard since.
func (f *follower) lost(seen map[string]bool, now, since time.Time) (lost []redis.Z) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for text, k := range f.known {
		if !seen[text] && now.Before(k.until) && !k.heard.After(since) {
			lost = append(lost, redis.Z{Score: float64(k.until.UnixMilli()), Member: text})
		}
	}
	return lost
}
