package refresh

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Known remembers the names of callers that were good before. If too many callers wait for a fetch,
// a caller with a known name still finds a place: see [Source.Await].
//
// Known stores hashes under a secret seed in a fixed number of slots. A new name may replace
// another one. Only a caller that is proven to be good may be noted, so strangers cannot replace
// names.
type Known struct {
	seed  maphash.Seed
	size  int
	slots func() []atomic.Uint32 // allocates the memory at the first use
}

// maxKnown bounds the memory of a Known to 4 MiB.
const maxKnown = 1 << 20

// NewKnown returns a Known with four slots for each of n names.
func NewKnown(n int) *Known {
	size := 1 << bits.Len(uint(4*min(n, maxKnown/4)-1))
	return &Known{
		seed:  maphash.MakeSeed(),
		size:  size,
		slots: sync.OnceValue(func() []atomic.Uint32 { return make([]atomic.Uint32, size) }),
	}
}

// Note remembers a name.
func (k *Known) Note(name string) {
	if slot, _, mark := k.find(name); slot.Load() != mark {
		slot.Store(mark)
	}
}

// Name returns a number that tells the name from other names, or Stranger if the name was not
// noted.
func (k *Known) Name(name string) uint64 {
	if slot, number, mark := k.find(name); slot.Load() == mark {
		return number
	}
	return Stranger
}

// find returns the slot of a name, and a long and a short hash of it. No hash is 0.
func (k *Known) find(name string) (slot *atomic.Uint32, number uint64, mark uint32) {
	number = maphash.String(k.seed, name) | 1<<63
	return &k.slots()[number%uint64(k.size)], number, uint32(number >> 32)
}
