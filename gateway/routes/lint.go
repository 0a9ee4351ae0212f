package routes

import (
	"fmt"
	"slices"
)

// FindingKind is a stable word for a kind of [Finding].
type FindingKind string

// These constants are the kinds of findings. Each comment describes the rule that a Finding of this
// kind is about.
const (
	// FindingShadowed: the rule has no effect, because a more specific rule matches each request
	// that the rule matches.
	FindingShadowed FindingKind = "shadowed"
	// FindingRedundant: the rule has no effect, because a wider rule has the same access.
	FindingRedundant FindingKind = "redundant"
	// FindingLoosened: the rule requires less than a wider rule for the same requests.
	FindingLoosened FindingKind = "loosened"
	// FindingMethodGap: the rule is for one method, and requests to its path with other methods
	// need less.
	FindingMethodGap FindingKind = "method_gap"
	// FindingOpen: the rule is public and matches every path. So every request that matches no
	// other rule is public.
	FindingOpen FindingKind = "open"
)

// Finding is a rule that is legal but probably a mistake. [Table.Lint] returns findings.
type Finding struct {
	Kind FindingKind
	Rule Rule
	// Other is the rule to which Rule is compared. In a FindingShadowed and in a FindingOpen, Other
	// is the zero Rule, because the finding is about one rule only.
	Other Rule
}

// String describes the finding, with the sources and patterns of its rules: "routes.yaml:7 (GET /a)
// requires less …".
func (f Finding) String() string {
	rule, other := ruleName(f.Rule), ruleName(f.Other)
	switch f.Kind {
	case FindingShadowed:
		return rule + " has no effect: more specific rules match all of its requests"
	case FindingRedundant:
		return fmt.Sprintf("%s has the same access as the wider %s", rule, other)
	case FindingLoosened:
		return fmt.Sprintf("%s requires less (%s) than the wider %s (%s)",
			rule, f.Rule.Access, other, f.Other.Access)
	case FindingMethodGap:
		return fmt.Sprintf("%s guards one method (%s), and other methods fall to the looser %s (%s)",
			rule, f.Rule.Access, other, f.Other.Access)
	case FindingOpen:
		return rule + " makes each request public that no other rule matches"
	}
	return fmt.Sprintf("%s: %s", rule, f.Kind)
}

// Lint returns the rules that are legal and probably mistakes, in the order of the rules. Lint
// treats two policies with the same name as the same policy. An exception from a rule that denies
// is not a finding, because denying is the default. If a rule for every path has an exception that
// makes GET or HEAD of a single path public, the exception is not a finding: it is probably a
// health check.
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
		rest := tree.next(r, "")
		if rest == nil || rest.Access.atLeast(r.Access) || !r.Access.atLeast(rest.Access) {
			continue
		}
		// In many tables, requests that write need more than requests that read. So a rule for a
		// method that writes is a finding only if the rule for the other methods is public or
		// optional.
		if r.pattern.isRead() || rest.Access.IsPublic() || rest.Access.IsOptional() {
			report(FindingMethodGap, rest.Rule)
		}
	}
	return findings
}

// isProbe reports whether the rule r looks like the rule of a health check: r makes reading a
// single path public, and wider is a rule for every path.
func isProbe(r, wider *route) bool {
	wild := func(s segment) bool { return s.wild != "" || s.multi }
	return r.Access.IsPublic() && r.pattern.isRead() && !slices.ContainsFunc(r.pattern.path, wild) &&
		len(wider.pattern.path) == 1 && wider.pattern.multi()
}

// patternTree.next returns the rule that would decide in place of the rule r if the table did not
// contain r: about all requests to the path of r with the given method. method is the method of r,
// or "" for the methods that no rule names. If several rules would decide, each about a part of
// these requests, next returns nil.
func (t *patternTree) next(r *route, method string) (best *route) {
	want := r.pattern
	want.method = method
	t.covering(want.path, func(other *route) {
		if other == r || !other.pattern.covers(want) {
			return
		}
		if best == nil || before(other.pattern, best.pattern) {
			best = other
		}
	})
	return best
}

// The function before reports whether a ServeMux uses the pattern p, and not the pattern q, for a
// request that matches both. It compares first the hosts, then the methods, then the paths.
func before(p, q pattern) bool {
	if p.host != q.host {
		return q.host == ""
	}
	if p.method != q.method {
		return methodCovers(q.method, p.method)
	}
	return pathCovers(q.path, p.path)
}

// Table.decides reports whether the rule other would decide about all requests that match the rule
// r, if the table did not contain r. If r names a host and other names no host, some further rules
// without a host may decide about a part of these requests.
func (t *Table) decides(r, other *route) bool {
	if r.pattern.host == other.pattern.host {
		return true
	}
	return !slices.ContainsFunc(t.rules, func(third *route) bool {
		return third.pattern.host == "" && third.pattern.overlaps(r.pattern) &&
			!(third.Access.atLeast(r.Access) && r.Access.atLeast(third.Access))
	})
}

// patternTree.shadows reports whether the rule r has no effect on the requests to a path, because
// each of these requests matches a more specific rule with the host and method of r. path may end
// in a multi segment, which stands for any number of segments. If it does and no single rule covers
// path, shadows checks three parts of path: the path that ends in the slash, the paths with one
// more segment, and the paths with two or more further segments. The recursion ends, because a rule
// covers either all or none of the paths that are longer than the longest pattern.
func (t *patternTree) shadows(r *route, path []segment) bool {
	covered := false
	t.covering(path, func(other *route) {
		p, q := r.pattern, other.pattern
		if other != r && p.host == q.host && p.method == q.method {
			covered = covered || p.covers(q)
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
