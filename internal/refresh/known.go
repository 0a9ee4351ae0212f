package refresh

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Known stores the names of callers that have proven to be good, for example because they had a
// valid token. Package refresh limits how many callers may wait for a fetch. A caller whose name is
// stored may still wait when other callers may not: see [Source.Await].
//
// A Known is a table with a fixed number of slots. A slot contains the hash of one name, made with
// a secret seed. A new name may replace another name in its slot. Names of strangers are not
// stored, so strangers can't replace names.
type Known struct {
	seed  maphash.Seed
	size  int
	slots func() []atomic.Uint32 // slots returns the slots, and allocates them at its first call
}

// maxKnown is the largest number of slots in a Known. This many slots take 4 MiB.
const maxKnown = 1 << 20

// NewKnown returns a Known for about n names. It has at least four slots for each name, but at most
// maxKnown slots.
func NewKnown(n int) *Known {
	size := 1 << bits.Len(uint(4*min(n, maxKnown/4)-1))
	return &Known{
		seed:  maphash.MakeSeed(),
		size:  size,
		slots: sync.OnceValue(func() []atomic.Uint32 { return make([]atomic.Uint32, size) }),
	}
}

// Note stores the name of a caller that has proven to be good.
func (k *Known) Note(name string) {
	if slot, _, mark := k.find(name); slot.Load() != mark {
		slot.Store(mark)
	}
}

// Name returns a number that stands for a stored name; two names have different numbers. It returns
// Stranger if the name is not stored.
func (k *Known) Name(name string) uint64 {
	if slot, number, mark := k.find(name); slot.Load() == mark {
		return number
	}
	return Stranger
}

// Known.find returns the slot in which a name belongs, and two hashes of the name: number and the
// shorter hash mark. Neither of the two can be 0, because 0 means that a name is not stored.
func (k *Known) find(name string) (slot *atomic.Uint32, number uint64, mark uint32) {
	number = maphash.String(k.seed, name) | 1<<63
	return &k.slots()[number%uint64(k.size)], number, uint32(number >> 32)
}
