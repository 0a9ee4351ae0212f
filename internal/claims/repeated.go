package claims

import (
	"hash/maphash"
	"sync"
)

// To find repeated names in a JSON object, the decoder compares each name with all names before it.
// It does this if the object has at most maxComparedNames members. In a larger object, it uses a
// hash table, which is faster there.
const maxComparedNames = 8

// objectNames contains the member names of one JSON object that were read so far. It serves to find
// repeated names.
type objectNames struct {
	firstNames [maxComparedNames]string
	n          int
	// id is the number of this JSON object in a nameTable, which contains the member names of
	// several objects
	id uint32
}

// Decoder.addName adds a member name to o, the names of one JSON object that were read so far. It
// returns false if o already contains this name, or if the object or the whole text now has too
// many members.
func (d *Decoder) addName(o *objectNames, name string) bool {
	if !spendOne(&d.budget.members) || o.n == maxMembers {
		return false
	}
	if o.n < maxComparedNames {
		for _, have := range o.firstNames[:o.n] {
			if have == name {
				return false
			}
		}
		o.firstNames[o.n] = name
		o.n++
		return true
	}
	if d.memberNames == nil {
		d.memberNames = tables.Get().(*nameTable)
	}
	if o.n == maxComparedNames {
		d.memberNames.objects++
		o.id = d.memberNames.objects
		for _, have := range o.firstNames {
			d.memberNames.add(o.id, have)
		}
	}
	o.n++
	return d.memberNames.add(o.id, name)
}

// Decoder.free gives the decoder's table of member names back to the pool of tables. The decoder
// can still be used after that.
func (d *Decoder) free() {
	if d.memberNames != nil {
		d.memberNames.free()
		d.memberNames = nil
	}
}

// nameTable is a hash table of the member names of several JSON objects. A nameEntry is a pair of
// an object and a name. Entries with the same hash are in neighbouring slots of the hash table
// (linear probing). The seed of the hash is random, so that strangers can't choose names with the
// same hash.
type nameTable struct {
	// An element of nameTable.slots is 0 if the slot is free. Otherwise it is the position of an
	// entry in nameTable.entries, counted from 1. The number of slots is a power of two, and at
	// most half of the slots are used.
	slots   []uint16
	entries []nameEntry
	objects uint32
	// comparisonCount is how often nameTable.add compared a name with an entry of the table. Only
	// tests read it.
	comparisonCount int
}

type nameEntry struct {
	name   string
	hash   uint32
	object uint32
}

const firstSlots = 128

var (
	tables = sync.Pool{New: func() any { return &nameTable{slots: make([]uint16, firstSlots)} }}
	seed   = maphash.MakeSeed()
)

// nameTable.add adds the member name of a JSON object to the table. It returns false if the table
// already contains this name for the same object.
func (t *nameTable) add(object uint32, name string) bool {
	if 2*len(t.entries) >= len(t.slots) {
		t.grow()
	}
	hash := uint32(maphash.String(seed, name)) + object*0x9e3779b1
	mask := uint32(len(t.slots) - 1)
	at := hash & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		t.comparisonCount++
		if e := &t.entries[t.slots[at]-1]; e.hash == hash && e.object == object && e.name == name {
			return false
		}
	}
	t.entries = append(t.entries, nameEntry{name, hash, object})
	t.slots[at] = uint16(len(t.entries))
	return true
}

func (t *nameTable) grow() {
	t.slots = make([]uint16, 2*len(t.slots))
	mask := uint32(len(t.slots) - 1)
	for i, e := range t.entries {
		at := e.hash & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint16(i + 1)
	}
}

// nameTable.free empties the table of member names and gives it back to the pool of tables. If the
// table were not emptied, parts of a token would stay in memory.
func (t *nameTable) free() {
	if len(t.slots) > 4*maxMembers {
		return // a large table is not used again, because few texts need one
	}
	clear(t.slots)
	clear(t.entries)
	t.entries, t.objects, t.comparisonCount = t.entries[:0], 0, 0
	tables.Put(t)
}
