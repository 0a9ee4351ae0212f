package routes

// patternTree is a tree of the rules of a table, by the segments of their paths. With this tree,
// the rules that cover a path are found without comparing the path with each rule.
type patternTree struct {
	literal     map[string]*patternTree
	wild, multi *patternTree
	endingRules []*parsedRule // endingRules are the rules whose paths end at this node of the tree
}

func (t *patternTree) add(r *parsedRule) {
	for _, s := range r.pattern.path {
		next := &t.wild
		if s.isRest {
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

// patternTree.visitRules calls the function visit for each rule in the tree whose path covers the
// given path. It ignores methods and hosts.
func (t *patternTree) visitRules(path []segment, visit func(*parsedRule)) {
	if t == nil {
		return
	}
	if len(path) == 0 {
		for _, r := range t.endingRules {
			visit(r)
		}
		return
	}
	t.multi.visitRules(nil, visit)
	s := path[0]
	if s.isRest {
		return
	}
	if s.literal != "/" {
		t.wild.visitRules(path[1:], visit)
	}
	if s.literal != "" {
		t.literal[s.literal].visitRules(path[1:], visit)
	}
}
