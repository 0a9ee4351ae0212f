package routes

import (
	"fmt"
	"slices"
)

// FindingKind is a stable word for what [Table.Lint] finds.
type FindingKind string

// The kinds of findings.
const (
	FindingShadowed  FindingKind = "shadowed"   // more specific rules take every request that the rule matches
	FindingRedundant FindingKind = "redundant"  // without the rule, a wider one would say the same
	FindingLoosened  FindingKind = "loosened"   // the rule asks for less than the wider one
	FindingMethodGap FindingKind = "method_gap" // the rule guards one method, and others of the path are looser
	FindingOpen      FindingKind = "open"       // the rule makes public whatever no other rule names
)

// Finding is something in a table of rules that is legal and probably a mistake.
type Finding struct {
	Kind FindingKind
	// Rule is the one that it is about.
	Rule Rule
	// Other is the rule that it is compared with. It is the zero Rule for FindingShadowed and FindingOpen.
	Other Rule
}

// String tells the finding, with the sources and patterns of its rules: "routes.yaml:7 (GET /a) asks for …".
func (f Finding) String() string {
	switch f.Kind {
	case FindingShadowed:
		return fmt.Sprintf("%s has no effect: more specific rules take all of its requests", ruleName(f.Rule))
	case FindingRedundant:
		return fmt.Sprintf("%s says no more than the wider %s", ruleName(f.Rule), ruleName(f.Other))
	case FindingLoosened:
		return fmt.Sprintf("%s asks for less (%s) than the wider %s (%s)",
			ruleName(f.Rule), f.Rule.Access, ruleName(f.Other), f.Other.Access)
	case FindingMethodGap:
		return fmt.Sprintf("%s guards one method (%s), and others fall to the looser %s (%s)",
			ruleName(f.Rule), f.Rule.Access, ruleName(f.Other), f.Other.Access)
	case FindingOpen:
		return fmt.Sprintf("%s makes public whatever no other rule names", ruleName(f.Rule))
	}
	return fmt.Sprintf("%s: %s", ruleName(f.Rule), f.Kind)
}

// Lint tells of rules that are legal and probably mistakes, in the order of the rules. Policies are compared by their
// names. A wider rule that denies is taken for the default, not for something that exceptions loosen. So is one for every
// path, if the rule makes reading (GET or HEAD) one path without wildcards public: a health check, for example.
func (t *Table) Lint() (findings []Finding) {
	tree := new(patternTree)
	for _, r := range t.rules {
		tree.add(r)
	}
	for _, r := range t.rules {
		report := func(kind FindingKind, other Rule) {
			findings = append(findings, Finding{Kind: kind, Rule: r.Rule, Other: other})
		}
		if r.Access.IsPublic() && len(r.pattern.path) == 1 && r.pattern.multi() {
			report(FindingOpen, Rule{})
		}
		if tree.shadows(r, r.pattern.path) {
			report(FindingShadowed, Rule{})
			continue
		}
		wider := tree.next(r, r.pattern.method)
		switch {
		case wider == nil:
		case r.Access.atLeast(wider.Access) && wider.Access.atLeast(r.Access):
			if t.decides(r, wider) {
				report(FindingRedundant, wider.Rule)
			}
		case wider.Access.kind != deny && wider.Access.atLeast(r.Access) && !isProbe(r, wider):
			report(FindingLoosened, wider.Rule)
		}
		if r.pattern.method == "" || r.Access.kind != require {
			continue
		}
		if rest := tree.next(r, ""); rest != nil && !rest.Access.atLeast(r.Access) && r.Access.atLeast(rest.Access) {
			reads := r.pattern.method == "GET" || r.pattern.method == "HEAD"
			if reads || rest.Access.IsPublic() || rest.Access.IsOptional() { // to ask for more for a write than for the rest is usual
				report(FindingMethodGap, rest.Rule)
			}
		}
	}
	return findings
}

// isProbe reports whether r makes reading one path public and wider is about every path.
func isProbe(r, wider *route) bool {
	p := r.pattern
	exact := !slices.ContainsFunc(p.path, func(s segment) bool { return s.wild != "" || s.multi })
	everything := len(wider.pattern.path) == 1 && wider.pattern.multi()
	return r.Access.IsPublic() && (p.method == "GET" || p.method == "HEAD") && exact && everything
}

// next is the rule that would decide about requests to r's path if r didn't exist, as far as one covers them all:
// about those with r's method, or, with the method "", about those with a method that no rule names.
func (t *patternTree) next(r *route, method string) (best *route) {
	want := r.pattern
	want.method = method
	t.covering(want.path, func(other *route) {
		if other != r && other.pattern.covers(want) && (best == nil || before(other.pattern, best.pattern)) {
			best = other
		}
	})
	return best
}

// before reports whether ServeMux tries p before q, where both match: by host, then by method, then by path.
func before(p, q pattern) bool {
	if p.host != q.host {
		return q.host == ""
	}
	if p.method != q.method {
		return methodCovers(q.method, p.method)
	}
	return pathCovers(q.path, p.path)
}

// decides reports whether, without r, all of its requests would be held to what other says. Those to a host could also
// fall to rules without a host that are narrower than r.
func (t *Table) decides(r, other *route) bool {
	if r.pattern.host == other.pattern.host {
		return true
	}
	return !slices.ContainsFunc(t.rules, func(third *route) bool {
		return third.pattern.host == "" && third.pattern.meets(r.pattern) &&
			!(third.Access.atLeast(r.Access) && r.Access.atLeast(third.Access))
	})
}

// shadows reports whether more specific rules of r's host and method cover path. All that starts with a path is the
// path with its slash, with one segment more, and all that starts with the latter. This comes to an end, since beyond
// the longest pattern only those cover anything that cover all the rest.
func (t *patternTree) shadows(r *route, path []segment) bool {
	covered := false
	t.covering(path, func(other *route) {
		if other != r && other.pattern.host == r.pattern.host && other.pattern.method == r.pattern.method {
			covered = covered || r.pattern.covers(other.pattern)
		}
	})
	if n := len(path) - 1; !covered && path[n].multi {
		one, rest := segment{wild: "{}"}, path[:n:n]
		return t.shadows(r, append(rest, segment{literal: "/"})) &&
			t.shadows(r, append(rest, one)) &&
			t.shadows(r, append(rest, one, segment{multi: true}))
	}
	return covered
}
