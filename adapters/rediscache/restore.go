package rediscache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Before an instance puts lost revocations back into Redis, it takes the turn: a key in Redis that
// only one instance can have at a time. takeTurn is the script that tries to take the turn. It
// returns 1 if this instance has the turn now, and 0 if another instance has it. takeTurn does the
// same as SET NX with one exception: it replaces a turn that never expires, or that expires later
// than instances set. Only an attacker writes such a turn, and without the exception all instances
// would wait for its end.
var takeTurn = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[3]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

const (
	// An instance takes the turn before it puts revocations back into Redis. It keeps the turn for
	// one second per restoresPerSecond revocations.
	restoresPerSecond = 1000
	// An attacker who can write to Redis may take the turn again and again. So an instance does not
	// wait for the turn forever. If it was denied the turn more than maxDenied times in a row, it
	// puts revocations back without the turn, with a probability of one in turnlessOdds. This
	// probability doubles with each further denial.
	maxDenied    = 3
	turnlessOdds = 64
)

// follower.restore puts revocations back into Redis that this instance knows and that Redis has
// lost. foundRevocations contains the revocations that were found in Redis: see pass. restore also
// publishes the revocations that it puts back, because another instance may not have received them,
// and an attacker may delete them again before that instance reads them. Only one instance at a
// time restores: see takeTurn.
func (f *follower) restore(ctx context.Context, foundRevocations map[string]bool) error {
	now := time.Now()
	lost := f.findLost(foundRevocations, now, now)
	if len(lost) == 0 {
		f.deniedTurns = 0
		return nil
	}
	// While redisLacksSome is true, this instance reads the set of revocations once a second. It
	// becomes false when Redis has all revocations that this instance knows.
	f.redisLacksSome = true
	length := min(firstCheck*time.Duration(1+len(lost)/restoresPerSecond), lastCheck)
	turn, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) (bool, error) {
		return takeTurn.Run(ctx, f.client, []string{f.turnName()},
			f.lease, length.Milliseconds(), lastCheck.Milliseconds()).Bool()
	})
	if err != nil {
		return err
	}
	if !turn {
		f.deniedTurns++
		further := f.deniedTurns - maxDenied - 1
		if further < 0 || rand.N(turnlessOdds) >= 1<<min(further, 6) {
			return nil
		}
		// This instance puts the lost revocations back, although another client has the turn. That
		// client may be an instance that has just published some of these revocations. So do not
		// put back those that were published recently.
		lost = f.findLost(foundRevocations, now, now.Add(-maxDenied*length))
	}
	f.deniedTurns = 0
	for some := range slices.Chunk(lost, pageSize) {
		for i := range some {
			text := some[i].Member.(string)
			some[i].Member = f.keys[0].sealRevocation(f.setName(), text)
			// Redis has this revocation now. So the next reads of this pass must not put it back
			// again.
			foundRevocations[text] = true
		}
		errKeep := f.storeRevocations(ctx, now, some...)
		if err := f.broadcast(ctx, some...); err != nil {
			return err
		}
		if errKeep != nil {
			return errKeep
		}
	}
	return nil
}

// follower.findLost returns the revocations that this instance knows, that still apply, and that
// must be put back: foundRevocations is not true for them. It leaves out a revocation if this
// instance last received the message about it after the time notAfter. The field Member of each
// result is the JSON of the message, which is not encrypted yet.
func (f *follower) findLost(
	foundRevocations map[string]bool, now, notAfter time.Time,
) (lost []redis.Z) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for text, k := range f.knownRevocations {
		if !foundRevocations[text] && now.Before(k.until) && !k.published.After(notAfter) {
			lost = append(lost, redis.Z{Score: float64(k.until.UnixMilli()), Member: text})
		}
	}
	return lost
}
