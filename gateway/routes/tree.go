package routes

// patternTree is a tree of the rules of a table, by the segments of their paths. With this tree,
// the rules that cover a path are found without comparing the path with each rule.
type patternTree struct {
	literal     map[string]*patternTree
	wild, multi *patternTree
	endingRules []*route // endingRules are the rules whose paths end at this node of the tree
}

func (t *patternTree) add(r *route) {
	for _, s := range r.pattern.path {
		next := &t.wild
		if s.multi {
			next = &t.multi
		}
		if s.literal != "" {
			if t.literal == nil {
				t.literal = make(map[string]*patternTree)
			}
			if t.literal[s.literal] == nil {
				t.literal[s.literal] = new(patternTree)
			}
			t = t.literal[s.literal]
			continue
		}
		if *next == nil {
			*next = new(patternTree)
		}
		t = *next
	}
	t.endingRules = append(t.endingRules, r)
}

// patternTree.covering calls the function yield for each rule in the tree whose path covers the
// given path. It ignores methods and hosts.
func (t *patternTree) covering(path []segment, yield func(*route)) {
	if t == nil {
		return
	}
	if len(path) == 0 {
		for _, r := range t.endingRules {
			yield(r)
		}
		return
	}
	t.multi.covering(nil, yield)
	s := path[0]
	if s.multi {
		return
	}
	if s.literal != "/" {
		t.wild.covering(path[1:], yield)
	}
	if s.literal != "" {
		t.literal[s.literal].covering(path[1:], yield)
	}
}
