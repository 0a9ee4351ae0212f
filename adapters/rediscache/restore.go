package rediscache

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// restoreLockScript tries to take the restore lock, which is a key in Redis. An instance of the
// service takes this lock before it puts lost revocations back into Redis, so that only one
// instance does this at a time. The script returns 1 if this instance has taken the lock, and 0 if
// the lock was taken before and has not expired.
//
// The script does the same as SET NX, with one exception. An instance takes the lock for at most
// maxCheckInterval. A lock that never expires, or that expires later than that, is from an
// attacker. The script replaces such a lock. Otherwise no instance would get the lock before the
// attacker's lock expires.
var restoreLockScript = redis.NewScript(`
local left = redis.call("PTTL", KEYS[1])
if left >= 0 and left <= tonumber(ARGV[3]) then
	return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`)

const (
	// An instance of the service holds the restore lock for one second. If it puts back many
	// revocations, it holds the lock longer: one more second for every 1000 of them
	// (restoresPerSecond), up to maxCheckInterval.
	restoresPerSecond = 1000
	// An attacker who can write to Redis may take the restore lock again and again. So an instance
	// of the service does not wait for the lock forever. If more than maxDenials attempts in a row
	// fail, the instance puts revocations back without the lock, but only by chance: the
	// probability is 1/locklessOdds at first. It doubles with each further attempt that fails.
	maxDenials   = 3
	locklessOdds = 64
)

// Redis may have lost revocations that this instance of the service knows. follower.restore finds
// these revocations and puts them back into Redis. The parameter foundRevocations contains the
// revocations that this instance has found in Redis: see the type fullRead. Usually only one
// instance at a time puts revocations back: see restoreLockScript and maxDenials.
//
// restore also publishes the revocations that it puts back. Another instance may not have received
// them, and an attacker may delete them again before that instance reads them.
func (f *follower) restore(ctx context.Context, foundRevocations map[string]bool) error {
	now := time.Now()
	lost := f.findLost(foundRevocations, now, now)
	if len(lost) == 0 {
		f.lockDenials = 0
		return nil
	}
	// While redisLacksSome is true, this instance of the service reads the set of revocations once
	// a second. The field becomes false when Redis has all revocations that this instance knows.
	f.redisLacksSome = true
	lockDuration := min(minCheckInterval*time.Duration(1+len(lost)/restoresPerSecond), maxCheckInterval)
	hasLock, err := callWithTimeout(ctx, busTimeout, func(ctx context.Context) (bool, error) {
		return restoreLockScript.Run(ctx, f.client, []string{f.restoreLockName()},
			f.lease, lockDuration.Milliseconds(), maxCheckInterval.Milliseconds()).Bool()
	})
	if err != nil {
		return err
	}
	if !hasLock {
		f.lockDenials++
		furtherDenials := f.lockDenials - maxDenials - 1
		if furtherDenials < 0 || rand.N(locklessOdds) >= 1<<min(furtherDenials, 6) {
			return nil
		}
		// This instance of the service did not get the restore lock. But many attempts have failed,
		// and perhaps an attacker holds the lock. So this instance puts the lost revocations back
		// without the lock. If another instance really has the lock, it may have just put back and
		// published some of these revocations. So this instance leaves out the revocations that it
		// has received recently.
		lost = f.findLost(foundRevocations, now, now.Add(-maxDenials*lockDuration))
	}
	f.lockDenials = 0
	for some := range slices.Chunk(lost, pageSize) {
		for i := range some {
			text := some[i].Member.(string)
			some[i].Member = f.keys[0].sealRevocation(f.setName(), text)
			// This loop puts the revocation back into Redis, and marks it in the map
			// foundRevocations. restore may run several times while the instance of the service
			// reads the whole set of revocations (see fullRead). A later run must not put the same
			// revocation back again.
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

// follower.findLost returns the revocations that must be put back into Redis. It returns each
// revocation that meets all these conditions:
//   - This instance of the service knows the revocation, and it still applies.
//   - The map foundRevocations does not contain true for the revocation. This means that Redis
//     lacks it, or contains it only in a form that was encrypted with an old secret, or this
//     instance has not read it yet.
//   - This instance did not receive the message about the revocation after latestReceivedTime. If
//     it did, another instance has probably just put the revocation back.
//
// The field Member of each result is the JSON of the message, which is not encrypted yet.
func (f *follower) findLost(
	foundRevocations map[string]bool, now, latestReceivedTime time.Time,
) (lost []redis.Z) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for text, k := range f.knownRevocations {
		if !foundRevocations[text] && now.Before(k.until) && !k.receivedTime.After(latestReceivedTime) {
			lost = append(lost, redis.Z{Score: float64(k.until.UnixMilli()), Member: text})
		}
	}
	return lost
}
