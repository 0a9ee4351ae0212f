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

// Subscribe implements [xenaauth.RevocationBus]. It returns when ctx ends and not before: while Redis is down it tries
// again, at least every two seconds, and then reads what it missed. It puts back, and publishes again, what this instance
// knows and Redis has lost, by a restart or because somebody deleted it. It calls apply for one revocation at a time.
func (c *Cache) Subscribe(ctx context.Context, apply func(xenaauth.Revocation)) error {
	f := &follower{Cache: c, apply: apply, subscribed: make(chan struct{}, 1)}
	// Reading has a goroutine and connections of its own: what others put in Redis can make it long, and must not keep
	// this instance from hearing what is published meanwhile.
	var reading sync.WaitGroup
	reading.Go(func() { f.keepReading(ctx) })
	f.keepHearing(ctx)
	reading.Wait()
	return ctx.Err()
}

// follower is one call of Subscribe.
type follower struct {
	*Cache
	subscribed chan struct{} // has a value after each subscription, until the reader takes it
	heard      atomic.Int64  // genuine messages

	applying sync.Mutex
	apply    func(xenaauth.Revocation)

	// What follows belongs to the reader.
	base      int64 // the counter of Redis less heard, when everything was last read
	pass      pass
	unsettled bool      // Redis lacks some revocations that are known, or did a moment ago
	denied    int       // how often in a row another instance had the turn to put them back
	again     time.Time // when everything is read, whatever the counter says: others can write to it
}

const (
	shortest = 50 * time.Millisecond // between two attempts to subscribe
	longest  = 2 * time.Second
	silence  = 5 * time.Second // after which a PING asks whether the connection lives, and twice of which is its end
	steady   = 3 * time.Second // how long a connection lives before the log says that Redis is back
)

// keepHearing subscribes again whenever a subscription ends. One that was confirmed is followed by the next at once: the
// less often an instance is cut off, the less it has to learn by reading.
func (f *follower) keepHearing(ctx context.Context) {
	delay := shortest
	for {
		confirmed, err := f.hear(ctx)
		if ctx.Err() != nil {
			return
		}
		f.change("revocations", err)
		if confirmed {
			delay = shortest
		}
		if !sleep(ctx, delay/2+rand.N(delay/2)) { // not all instances at the same moment
			return
		}
		delay = min(2*delay, longest)
	}
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// hear takes over what is published, until the connection fails. confirmed is whether Redis accepted the subscription.
func (f *follower) hear(ctx context.Context) (confirmed bool, err error) {
	setup, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	sub := f.client.Subscribe(setup, f.channelName())
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() }) // a read ends by that alone
	defer func() {
		stop()
		_ = sub.Close()
	}()
	if _, err := sub.ReceiveTimeout(setup, busTimeout); err != nil {
		return false, err
	}
	select {
	case f.subscribed <- struct{}{}:
	default:
	}
	began := time.Now()
	heard := began
	for {
		message, err := sub.ReceiveTimeout(ctx, time.Second)
		now := time.Now()
		if err == nil {
			heard = now
			if m, ok := message.(*redis.Message); ok {
				f.receive(m.Payload, now)
			}
		} else if network, ok := errors.AsType[net.Error](err); !ok || !network.Timeout() || now.Sub(heard) > 2*silence {
			return true, err
		} else if now.Sub(heard) > silence {
			if err := sub.Ping(ctx); err != nil {
				return true, err
			}
		}
		if now.Sub(began) > steady {
			f.change("revocations", nil)
		}
	}
}

// receive takes a published revocation over.
func (f *follower) receive(sealed string, now time.Time) {
	text, r, _, ok := f.open(sealed)
	if !ok {
		f.forged("revocations")
		return
	}
	f.heard.Add(1)
	f.take(text, r, now)
	f.noteHeard(text, now)
}

func (f *follower) take(text string, r xenaauth.Revocation, now time.Time) {
	if !now.Before(r.Until) {
		return
	}
	f.remember(text, r.Until, now)
	f.applying.Lock()
	defer f.applying.Unlock()
	f.apply(r)
}
