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

	// freeSome limits how many expired entries one call of Use removes. A call adds only one entry,
	// so the number of expired entries falls.
	freeSome = 32
	// freeMany is used if the store is full. It limits how many expired entries are removed before
	// the lock is released, so that other calls don't wait long for the lock.
	freeMany = 1024
	// The constant share limits the entries of one owner. An owner gets a further entry only if it
	// has fewer entries than the number of free entries divided by share.
	share = 4
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
	// proofs a second. A single client gets at most a fifth of the entries, which is enough for 800
	// proofs a second.
	MaxEntries int
}

// Local is a [Store] in the memory of this process. It needs no Close and has no goroutine.
//
// A Local never forgets a value before the time until that was passed to Use. If the store has no
// room, Use returns [ErrFull]. Each value has an owner, for example the key of a client. An owner
// gets a further entry only if it has fewer than a quarter of the number of free entries. So each
// owner may have fewer entries as the store becomes fuller, and a single owner has at most a fifth
// of the store. An owner without entries gets an entry as long as one is free.
//
// A Local reads the wall clock of this machine.
type Local struct {
	max  int64
	used atomic.Int64 // used is the number of entries in all shards
	// secret is hashed into the key of each entry, so that clients can't compute keys.
	secret [32]byte
	seed   maphash.Seed
	shards [shards]shard
}

var _ Store = (*Local)(nil)

// key is a hash of the owner and the id of a value. It stands for the value in a Local.
type key [16]byte

// shard contains all entries of a part of the owners. Each shard has a lock of its own, so calls
// for different owners rarely wait for each other.
type shard struct {
	mu sync.Mutex
	// ends contains, for each entry, the time when the entry expires, in milliseconds since 1970.
	ends map[key]int64
	// owned contains, for each owner, the number of its entries.
	owned map[uint64]int
	// queue contains all entries of the shard. The entry that expires first is in front.
	queue queue
	// These bytes keep two shards out of the same cache line of the processor.
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
	e := entry{
		// The time is rounded up to whole milliseconds, so that the entry does not expire before
		// the time in the argument until.
		ends: until.UnixMilli() + 1, owner: maphash.String(l.seed, owner), key: l.keyOf(owner, id),
	}
	s := &l.shards[e.owner%shards]
	first, full := l.add(s, e, now.UnixMilli())
	if full {
		l.free(now.UnixMilli())
		first, full = l.add(s, e, now.UnixMilli())
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

// Local.add adds the entry e to the shard s. first is true if the shard had no unexpired entry with
// this key. full is true if there is no room for the entry.
func (l *Local) add(s *shard, e entry, now int64) (first, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.freeExpired(s, now, freeSome)
	if ends, found := s.ends[e.key]; found && now < ends {
		return false, false
	}
	owned := s.owned[e.owner]
	if free := l.max - l.used.Load(); int64(owned) >= max(free/share, 1) {
		return false, true
	}
	// The number of entries in the store may have grown in the meantime, because another goroutine
	// added entries to other shards.
	if l.used.Add(1) > l.max {
		l.used.Add(-1)
		return false, true
	}
	if s.ends == nil {
		s.ends, s.owned = make(map[key]int64), make(map[uint64]int)
	}
	s.ends[e.key] = e.ends
	s.owned[e.owner] = owned + 1
	s.queue.push(e)
	return true, false
}

// freeExpired removes expired entries of the shard s, at most limit of them. It returns how many
// entries it has removed. The caller must hold the lock s.mu.
func (l *Local) freeExpired(s *shard, now int64, limit int) (n int) {
	for ; n < limit && len(s.queue) > 0 && s.queue[0].ends <= now; n++ {
		e := s.queue.pop()
		// If the value was used again after its entry expired, the value has a second, newer entry.
		// The map s.ends then contains the time of the newer entry, and must keep it.
		if s.ends[e.key] == e.ends {
			delete(s.ends, e.key)
		}
		if s.owned[e.owner]--; s.owned[e.owner] == 0 {
			delete(s.owned, e.owner)
		}
	}
	l.used.Add(int64(-n))
	return n
}

// Local.free removes all expired entries of the store.
func (l *Local) free(now int64) {
	for i := range l.shards {
		for l.freeLocked(&l.shards[i], now) == freeMany {
		}
	}
}

func (l *Local) freeLocked(s *shard, now int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.freeExpired(s, now, freeMany)
}

// Forget makes the next call of Use for this owner and this id return true again. It is for a store
// that first asks a Local and then a second store: if the second store fails, the use in the Local
// must not count. The forgotten entry still counts as an entry of its owner until it expires.
func (l *Local) Forget(owner, id string) {
	s := &l.shards[maphash.String(l.seed, owner)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, l.keyOf(owner, id))
}

// Len returns the number of entries in the store. This includes expired entries that no call of Use
// has removed yet.
func (l *Local) Len() int { return int(l.used.Load()) }
