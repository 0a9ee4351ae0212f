package claims

import "slices"

// NameSet is a set of names, for example the scopes of a token or the audiences of a service. A
// look-up takes constant time in a large set. The zero value is empty.
type NameSet struct {
	list  []string
	index map[string]struct{} // nil if there are fewer than ManyNames
}

// ManyNames is the number of names from which on a map is faster than a scan.
const ManyNames = 16

// NewNameSet returns the set of the names in list. It refers to list.
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

// List returns the names in their order. The caller must not change them.
func (n *NameSet) List() []string { return n.list }

// Size is about how many bytes the index takes.
func (n *NameSet) Size() int {
	const perEntry = 40 // of a map of strings, with its free places
	return perEntry * len(n.index)
}
