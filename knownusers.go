package xenaauth

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/keyset"
)

// knownUsers remembers the users whose tokens were verified. When too many requests wait for keys that are not known, a
// token of a known user still finds a place.
//
// It holds hashes with a secret seed, in a fixed number of slots, so a user may take the slot of another. Only a verified
// token writes to it.
type knownUsers struct {
	seed  maphash.Seed
	size  int
	slots func() []atomic.Uint32 // takes the memory at the first use
}

// maxKnownUsers bounds the memory to 4 MiB.
const maxKnownUsers = 1 << 20

// newKnownUsers returns a knownUsers with four slots for each token of a cache.
func newKnownUsers(tokens int) *knownUsers {
	size := 1 << bits.Len(uint(4*min(tokens, maxKnownUsers/4)-1))
	return &knownUsers{
		seed:  maphash.MakeSeed(),
		size:  size,
		slots: sync.OnceValue(func() []atomic.Uint32 { return make([]atomic.Uint32, size) }),
	}
}

// note remembers the user of a verified token.
func (k *knownUsers) note(set *claims.Set) {
	if slot, _, mark := k.find(set); slot.Load() != mark {
		slot.Store(mark)
	}
}

// name returns what tells the user of a token from others, or keyset.Stranger if note was not called for that user.
func (k *knownUsers) name(set *claims.Set) uint64 {
	if slot, name, mark := k.find(set); slot.Load() == mark {
		return name
	}
	return keyset.Stranger
}

// find returns the slot of a user, and a long and a short hash of the user, neither of which is 0.
func (k *knownUsers) find(set *claims.Set) (slot *atomic.Uint32, name uint64, mark uint32) {
	name = maphash.String(k.seed, cmp.Or(set.Subject, set.ClientID)) | 1<<63
	return &k.slots()[name%uint64(k.size)], name, uint32(name >> 32)
}
