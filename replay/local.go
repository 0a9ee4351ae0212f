package replay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards = 32

	// maxFreedPerUse limits how many expired entries one call of Use removes, unless there is no
	// room for its entry. A call adds one entry but may remove maxFreedPerUse entries. So the
	// number of expired entries falls.
	maxFreedPerUse = 32
	// If there is no room for an entry, Use removes all expired entries of all shards.
	// maxFreedPerLock limits how many it removes before it releases the lock of a shard, so that
	// other calls don't wait long for the lock.
	maxFreedPerLock = 1024
	// ownerShare limits how many entries one owner, for example one client, may have. An owner with
	// entries gets a further entry only if it has fewer entries than the number of free entries
	// divided by ownerShare.
	ownerShare = 4
)

// DefaultMaxEntries is the largest number of entries of a [Local] store, if [Options] sets no
// other.
const DefaultMaxEntries = 500_000

// Options configure a [Local] store. The zero value of each field is its default.
type Options struct {
	// MaxEntries is the largest number of entries in the store. An entry takes about 100 bytes. 0
	// means [DefaultMaxEntries].
	//
	// A store needs an entry for each value that has not expired. DPoP proofs are remembered for
	// two minutes by default, so 500 000 entries are enough if many clients together send 4 000
	// proofs a second. A single owner, for example the key of a client, gets at most a fifth of the
	// entries, which is enough for 800 proofs a second.
	MaxEntries int
}

// Local is a [Store] in the memory of this process. It needs no Close and has no goroutine.
//
// The caller of Use says when a value expires. A Local never forgets a value before that, unless
// Forget is called. If the store has no room, Use returns [ErrFull].
//
// Each value has an owner, for example the key of a client. One owner can't fill the store. It gets
// a further entry only if the entries that it has are fewer than a quarter of the free entries. For
// example, a single owner in a store for 1000 entries gets 200: then 800 are free, and a quarter of
// them is 200. The fuller the store is, the fewer entries each owner may have. An owner without
// entries gets one as long as one is free.
//
// A Local reads the wall clock of this machine to find out which values have expired.
type Local struct {
	max        int64
	entryCount atomic.Int64 // entryCount is the number of entries in all shards
	// The key of an entry is a hash of this secret, the owner and the id of a value. A client does
	// not know the secret. So it can't compute keys, and can't look for two values that have the
	// same key.
	secret [32]byte
	seed   maphash.Seed
	shards [shards]shard
}

var _ Store = (*Local)(nil)

// key is a hash of the owner and the id of a value. It stands for the value in a Local.
type key [16]byte

// A Local store divides its entries into shards. The owner of an entry, for example a client,
// determines the shard of the entry. Each shard has its own lock, so calls of Use for different
// owners rarely wait for each other.
type shard struct {
	mu sync.Mutex
	// endTimes contains, for each entry, the time when the entry expires, in milliseconds since
	// 1970.
	endTimes map[key]int64
	// entryCounts contains the number of entries of each owner, for example of each client. The key
	// of the map is a hash of the owner.
	entryCounts map[uint64]int
	// queue contains all entries of the shard. The entry that expires first is in front.
	queue queue
	// These bytes separate two neighboring shards in memory. Otherwise a write to one shard would
	// slow down calls that use the other, because both would share a cache line of the processor.
	_ [64]byte
}

// NewLocal returns an empty store. It panics if MaxEntries is negative.
func NewLocal(o Options) *Local {
	if o.MaxEntries < 0 {
		panic(fmt.Sprintf("replay: Options.MaxEntries is %d", o.MaxEntries))
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	l := &Local{max: int64(o.MaxEntries), seed: maphash.MakeSeed()}
	_, _ = rand.Read(l.secret[:]) // Read never returns an error: see crypto/rand
	return l
}

// Use implements [Store]. The only error that it returns is [ErrFull].
func (l *Local) Use(_ context.Context, owner, id string, until time.Time) (first bool, err error) {
	now := time.Now()
	if !now.Before(until) {
		return false, nil
	}
	newEntry := entry{
		// The entry stores the time at which it expires in whole milliseconds. UnixMilli rounds
		// down, so one millisecond is added. Otherwise the entry could expire a little before the
		// time that the caller of Use has given.
		endTime: until.UnixMilli() + 1,
		owner:   maphash.String(l.seed, owner),
		key:     l.keyOf(owner, id),
	}
	s := &l.shards[newEntry.owner%shards]
	first, full := l.add(s, newEntry, now.UnixMilli())
	if full {
		l.freeAll(now.UnixMilli())
		first, full = l.add(s, newEntry, now.UnixMilli())
	}
	if full {
		return false, ErrFull
	}
	return first, nil
}

// keyOf returns the key of the entry for an owner and an id. The length of owner is hashed too, so
// that the pairs "a", "bc" and "ab", "c" have different keys.
func (l *Local) keyOf(owner, id string) key {
	b := make([]byte, 0, 512)
	b = append(b, l.secret[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(owner)))
	b = append(b, owner...)
	b = append(b, id...)
	sum := sha256.Sum256(b)
	return key(sum[:16])
}

// Local.add adds the entry e to the shard s, if the shard has no unexpired entry with the same key.
// It returns two values, which are named first and full. The value of first is true if add has
// added the entry. The value of full is true if there is no room for the entry.
func (l *Local) add(s *shard, e entry, now int64) (first, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.freeExpired(s, now, maxFreedPerUse)
	if ends, found := s.endTimes[e.key]; found && now < ends {
		return false, false
	}
	owned := s.entryCounts[e.owner]
	if free := l.max - l.entryCount.Load(); int64(owned) >= max(free/ownerShare, 1) {
		return false, true
	}
	// Another goroutine may have added entries to other shards after this call has computed the
	// number of free entries. So the store may be full now.
	if l.entryCount.Add(1) > l.max {
		l.entryCount.Add(-1)
		return false, true
	}
	if s.endTimes == nil {
		s.endTimes, s.entryCounts = make(map[key]int64), make(map[uint64]int)
	}
	s.endTimes[e.key] = e.endTime
	s.entryCounts[e.owner] = owned + 1
	s.queue.push(e)
	return true, false
}

// freeExpired removes expired entries of the shard s, at most limit of them. It returns how many
// entries it has removed. The caller must hold the lock s.mu.
func (l *Local) freeExpired(s *shard, now int64, limit int) (n int) {
	for ; n < limit && len(s.queue) > 0 && s.queue[0].endTime <= now; n++ {
		e := s.queue.pop()
		// If the value was used again after its entry expired, the value has a second, newer entry.
		// The map endTimes then contains the time of the newer entry, and must keep it.
		if s.endTimes[e.key] == e.endTime {
			delete(s.endTimes, e.key)
		}
		if s.entryCounts[e.owner]--; s.entryCounts[e.owner] == 0 {
			delete(s.entryCounts, e.owner)
		}
	}
	l.entryCount.Add(int64(-n))
	return n
}

// Local.freeAll removes all expired entries of the store.
func (l *Local) freeAll(now int64) {
	for i := range l.shards {
		for l.freeLocked(&l.shards[i], now) == maxFreedPerLock {
		}
	}
}

func (l *Local) freeLocked(s *shard, now int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.freeExpired(s, now, maxFreedPerLock)
}

// Forget makes the store forget that a value was used. The arguments are the owner and the id that
// were given to Use. The next call of Use with the same owner and id counts as the first again, but
// it may return [ErrFull]. The forgotten entry still counts as an entry of its owner until it
// expires.
//
// Forget is for a program that asks two stores about each value: first a Local, and then a store
// that several programs share. If the shared store fails, the use in the Local must not count.
func (l *Local) Forget(owner, id string) {
	s := &l.shards[maphash.String(l.seed, owner)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.endTimes, l.keyOf(owner, id))
}

// Len returns the number of entries in the store. This includes forgotten entries (see
// [Local.Forget]), and expired entries that no call of Use has removed yet.
func (l *Local) Len() int { return int(l.entryCount.Load()) }
