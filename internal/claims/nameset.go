package claims

import "slices"

// NameSet is a set of names, for example the scopes of a token or the audiences of a service. Also
// in a large set, a look-up takes constant time. The zero value is the empty set.
type NameSet struct {
	list  []string
	index map[string]struct{} // index is nil if the set has fewer than ManyNames names
}

// ManyNames is the least number of names for which a NameSet uses a map. In a set of that size, a
// search through a list would be slower.
const ManyNames = 16

// NewNameSet returns the set of the names in list. The NameSet uses the memory of list, so the
// caller must not change list.
func NewNameSet(list []string) NameSet {
	n := NameSet{list: list}
	if len(list) >= ManyNames {
		n.index = make(map[string]struct{}, len(list))
		for _, name := range list {
			n.index[name] = struct{}{}
		}
	}
	return n
}

// Has reports whether name is in the set.
func (n *NameSet) Has(name string) bool {
	if n.index != nil {
		_, ok := n.index[name]
		return ok
	}
	return slices.Contains(n.list, name)
}

// List returns the names of the set, in the order of the list that NewNameSet got. The caller must
// not change the result.
func (n *NameSet) List() []string { return n.list }

// Size returns about how many bytes of memory the index of the NameSet takes.
func (n *NameSet) Size() int {
	// perEntry is the number of bytes that one name takes in the index, which is a map. It includes
	// a share of the map's unused memory.
	const perEntry = 40
	return perEntry * len(n.index)
}
