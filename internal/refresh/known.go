package refresh

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// KnownCallers stores the names of callers that have proven to be good, for example because they
// had a valid token. Package refresh limits how many callers may wait for a fetch. A caller whose
// name is stored may still wait when other callers may not: see [Source.Await].
//
// KnownCallers is a table with a fixed number of slots. A slot contains the hash of one name, made
// with a secret seed. A new name may replace another name in its slot. Names of strangers are not
// stored, so strangers can't replace names.
type KnownCallers struct {
	seed maphash.Seed
	size int
	// loadSlots returns the slots of the table; its first call allocates them
	loadSlots func() []atomic.Uint32
}

// maxSlots is the largest number of slots in the table of a KnownCallers. This many slots take 4
// MiB.
const maxSlots = 1 << 20

// NewKnownCallers returns an empty table for about n names of callers; n must be above 0. The table
// has at least four slots for each name, but at most maxSlots slots.
func NewKnownCallers(n int) *KnownCallers {
	size := 1 << bits.Len(uint(4*min(n, maxSlots/4)-1))
	return &KnownCallers{
		seed:      maphash.MakeSeed(),
		size:      size,
		loadSlots: sync.OnceValue(func() []atomic.Uint32 { return make([]atomic.Uint32, size) }),
	}
}

// StoreName stores the name of a caller that has proven to be good.
func (k *KnownCallers) StoreName(name string) {
	if slot, _, slotMark := k.findSlot(name); slot.Load() != slotMark {
		slot.Store(slotMark)
	}
}

// FindNumber returns a number that stands for the name of a caller, if the name is stored. Two
// names almost certainly have different numbers. It returns Stranger if StoreName has not stored
// the name, or if another name has replaced it. The table compares hashes of 31 bits, so FindNumber
// very rarely returns a number for a name that was never stored.
func (k *KnownCallers) FindNumber(name string) uint64 {
	if slot, nameNumber, slotMark := k.findSlot(name); slot.Load() == slotMark {
		return nameNumber
	}
	return Stranger
}

// KnownCallers.findSlot computes a hash of a name, and returns it in two forms, together with the
// slot for the name. nameNumber is the result of FindNumber for a stored name. slotMark is shorter:
// the slot contains it if the name is stored. Neither form can be 0, because 0 means that a name is
// not stored.
func (k *KnownCallers) findSlot(name string) (slot *atomic.Uint32, nameNumber uint64, slotMark uint32) {
	nameNumber = maphash.String(k.seed, name) | 1<<63
	return &k.loadSlots()[nameNumber%uint64(k.size)], nameNumber, uint32(nameNumber >> 32)
}
