package refresh

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Known stores the names of callers that have proven to be good. Package refresh limits how many
// callers may wait for a fetch. A caller whose name is stored may still wait when other callers may
// not: see [Source.Await].
//
// A Known has a fixed number of slots, and a slot contains a hash of a name with a secret seed. A
// new name may replace another name. No name of a stranger is stored, so strangers can't replace
// names.
type Known struct {
	seed  maphash.Seed
	size  int
	slots func() []atomic.Uint32 // slots allocates the memory when it is called for the first time
}

// maxKnown is the largest number of slots. These slots take 4 MiB.
const maxKnown = 1 << 20

// NewKnown returns a Known for about n names. It has at least four slots for each name, up to
// maxKnown slots.
func NewKnown(n int) *Known {
	size := 1 << bits.Len(uint(4*min(n, maxKnown/4)-1))
	return &Known{
		seed:  maphash.MakeSeed(),
		size:  size,
		slots: sync.OnceValue(func() []atomic.Uint32 { return make([]atomic.Uint32, size) }),
	}
}

// Note stores a name.
func (k *Known) Note(name string) {
	if slot, _, mark := k.find(name); slot.Load() != mark {
		slot.Store(mark)
	}
}

// Name returns a number for a stored name, which differs from the number of every other name. It
// returns Stranger if the name is not stored.
func (k *Known) Name(name string) uint64 {
	if slot, number, mark := k.find(name); slot.Load() == mark {
		return number
	}
	return Stranger
}

// The method find returns the slot of a name, and two hashes of the name: a long hash and a short
// hash. No hash is 0.
func (k *Known) find(name string) (slot *atomic.Uint32, number uint64, mark uint32) {
	number = maphash.String(k.seed, name) | 1<<63
	return &k.slots()[number%uint64(k.size)], number, uint32(number >> 32)
}
