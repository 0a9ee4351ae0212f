package rediscache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/xenaauth/xenaauth"
)

// Subscribe implements [xenaauth.RevocationBus]. Subscribe returns when ctx ends, and not before.
// While Redis is down, Subscribe tries to connect again and again. It waits at most two seconds
// after an attempt has failed. If Redis does not respond, the attempt itself takes two seconds, so
// the attempts begin up to four seconds apart. When Redis is back, Subscribe reads the revocations
// that this instance of the service has missed. If Redis has lost revocations that this instance
// knows, by a restart or by a deletion, Subscribe puts these revocations back and publishes them
// again. Subscribe passes each revocation that has not ended to the function apply. It may pass the
// same revocation several times. It makes these calls one after the other, never two at the same
// time.
func (c *Cache) Subscribe(ctx context.Context, apply func(xenaauth.Revocation)) error {
	f := &follower{Cache: c, apply: apply, subscriptions: make(chan struct{}, 1)}
	// One goroutine reads the revocations that Redis stores, and another goroutine receives the
	// revocations that are published. They use different connections to Redis. A read may take
	// long, because an attacker can store very many values in Redis. During the read, this instance
	// of the service must still receive published revocations.
	var reading sync.WaitGroup
	reading.Go(func() { f.keepReading(ctx) })
	f.keepReceiving(ctx)
	reading.Wait()
	return ctx.Err()
}

// follower is the state of one call of Subscribe, which receives and reads revocations for this
// instance of the service.
type follower struct {
	*Cache
	subscriptions chan struct{} // subscriptions gets a value after each subscription to Redis
	// receivedMessages is how many published messages this instance has received. It includes a
	// message only if an instance of the service has encrypted the message.
	receivedMessages atomic.Int64

	applyLock sync.Mutex
	apply     func(xenaauth.Revocation)

	// Only the goroutine of keepReading uses the following fields.

	// countOffset is the counter of published messages in Redis minus receivedMessages, at the
	// start of the last read. If this difference changes, the instance of the service has probably
	// missed a message.
	countOffset int64
	currentRead fullRead
	// redisLacksSome is true if the last read of the stored revocations has found that Redis lacks
	// revocations that this instance of the service knows.
	redisLacksSome bool
	// lockDenials is how often in a row this instance of the service did not get the restore lock,
	// which it needs to put lost revocations back into Redis.
	lockDenials int
	// nextFullRead is the time at which the instance of the service reads all stored revocations
	// again, even if the counters in Redis indicate no change. This is needed because an attacker
	// can change the counters.
	nextFullRead time.Time
}

const (
	// minRetry and maxRetry are the shortest and the longest delay between two attempts to
	// subscribe to the revocations. The instance of the service does not wait for exactly this
	// delay, but for a random part of it: at least half the delay, and less than the delay.
	minRetry = 50 * time.Millisecond
	maxRetry = 2 * time.Second
	// maxSilence is how long Redis may send nothing. After this time, a PING tests the connection
	// to Redis. After twice this time, the instance of the service closes the connection.
	maxSilence = 5 * time.Second
	// After a connection to Redis has lasted for minLifetime, the log says that Redis works again.
	minLifetime = 3 * time.Second
)

// keepReceiving subscribes to the revocations, and subscribes again whenever a subscription ends.
// If Redis had confirmed the subscription that ended, keepReceiving waits at most minRetry, so that
// few messages are missed. Otherwise it waits longer after each attempt, up to maxRetry.
func (f *follower) keepReceiving(ctx context.Context) {
	delay := minRetry
	for {
		confirmed, err := f.receiveAll(ctx)
		if ctx.Err() != nil {
			return
		}
		f.logChange("revocations", err)
		if confirmed {
			delay = minRetry
		}
		// The delay before the next attempt is random, so that the instances of the service do not
		// all subscribe at the same moment.
		if !waitUnlessDone(ctx, delay/2+rand.N(delay/2)) {
			return
		}
		delay = min(2*delay, maxRetry)
	}
}

// waitUnlessDone waits for the time d. It returns false if ctx ends first.
func waitUnlessDone(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// receiveAll subscribes to the revocations, and applies those that are published until the
// connection fails. The result confirmed says whether Redis accepted the subscription.
func (f *follower) receiveAll(ctx context.Context) (confirmed bool, err error) {
	setup, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	sub := f.client.Subscribe(setup, f.channelName())
	// When ctx ends, ReceiveTimeout still waits for a message of Redis, until its timeout. Only
	// Close ends this wait earlier.
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		stop()
		_ = sub.Close()
	}()
	if _, err := sub.ReceiveTimeout(setup, busTimeout); err != nil {
		return false, err
	}
	select {
	case f.subscriptions <- struct{}{}:
	default:
	}
	began := time.Now()
	lastMessage := began // lastMessage is when the latest message of Redis arrived
	for {
		message, err := sub.ReceiveTimeout(ctx, time.Second)
		now := time.Now()
		if err == nil {
			lastMessage = now
			if m, ok := message.(*redis.Message); ok {
				f.receive(m.Payload, now)
			}
		} else if !isTimeout(err) || now.Sub(lastMessage) > 2*maxSilence {
			return true, err
		} else if now.Sub(lastMessage) > maxSilence {
			if err := sub.Ping(ctx); err != nil {
				return true, err
			}
		}
		if now.Sub(began) > minLifetime {
			f.logChange("revocations", nil)
		}
	}
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}

// follower.receive decrypts a revocation that was published in Redis, and applies it.
func (f *follower) receive(sealed string, now time.Time) {
	o, err := f.decryptRevocation(sealed)
	if errors.Is(err, errUnsealed) {
		f.logForged("revocations")
		return
	}
	// An instance of the service has published this message, so the counter of published messages
	// in Redis includes it. receivedMessages must include it too, because the two numbers are
	// compared.
	f.receivedMessages.Add(1)
	if err != nil {
		f.logNewer()
		return
	}
	f.applyRevocation(o, now)
	f.noteReceived(o.text, now)
}

// follower.applyRevocation applies a revocation, and remembers that this instance of the service
// knows it. It ignores the revocation if the time until which it applies is over.
func (f *follower) applyRevocation(o decryptedRevocation, now time.Time) {
	if !now.Before(o.revocation.Until) {
		return
	}
	f.remember(o.text, o.revocation.Until, now)
	f.applyLock.Lock()
	defer f.applyLock.Unlock()
	f.apply(o.revocation)
}
