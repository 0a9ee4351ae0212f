package xenaauth

import "slices"

// names is a set of configured names. What it is asked about comes from strangers: a token may have a thousand
// audiences, and a gateway may accept a hundred.
type names struct {
	list []string
	many map[string]struct{} // nil if there are few
}

func newNames(list []string) names {
	n := names{list: slices.Clone(list)}
	if len(list) >= manyScopes {
		n.many = make(map[string]struct{}, len(list))
		for _, name := range list {
			n.many[name] = struct{}{}
		}
	}
	return n
}

func (n names) has(name string) bool {
	if n.many != nil {
		_, ok := n.many[name]
		return ok
	}
	return slices.Contains(n.list, name)
}
