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
	// FindingMethodGap: the rule is for one method. Requests with other methods to the same path
	// require less, because a looser rule matches them.
	FindingMethodGap FindingKind = "method_gap"
	// FindingOpen: the rule is public and matches every path. So every request with the method and
	// the host of the rule is public, unless it matches a more specific rule.
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
		return rule + " is public for every path: it allows each of its requests that no more specific rule matches"
	}
	return fmt.Sprintf("%s: %s", rule, f.Kind)
}

// Lint returns the rules that are legal but probably mistakes, in the order of the rules. Lint
// treats two policies with the same name as the same policy. It doesn't compare a requirement that
// has very many alternatives.
//
// A rule that requires less than a wider rule is an exception from the wider rule. Lint reports an
// exception, because it may be a mistake. But Lint does not report two kinds of exceptions. The
// first kind allows requests that the wider rule denies: many tables deny everything by default.
// The second kind makes GET or HEAD requests to a single path public, while the wider rule is for
// every path: this is probably a health check.
func (t *Table) Lint() (findings []Finding) {
	tree := new(patternTree)
	for _, r := range t.rules {
		tree.add(r)
	}
	for _, r := range t.rules {
		report := func(kind FindingKind, other Rule) {
			findings = append(findings, Finding{Kind: kind, Rule: r.Rule, Other: other})
		}
		if r.Access.IsPublic() && len(r.pattern.path) == 1 && r.pattern.matchesRest() {
			report(FindingOpen, Rule{})
		}
		if tree.isShadowed(r, r.pattern.path) {
			report(FindingShadowed, Rule{})
			continue
		}
		wider := tree.nextRule(r, r.pattern.method)
		switch {
		case wider == nil:
		case r.Access.requiresAtLeast(wider.Access) && wider.Access.requiresAtLeast(r.Access):
			if t.isRedundant(r, wider) {
				report(FindingRedundant, wider.Rule)
			}
		case wider.Access.kind != deny && wider.Access.requiresAtLeast(r.Access) && !isHealthCheck(r, wider):
			report(FindingLoosened, wider.Rule)
		}
		if r.pattern.method == "" || r.Access.kind != require {
			continue
		}
		rest := tree.nextRule(r, "")
		if rest == nil || rest.Access.requiresAtLeast(r.Access) || !r.Access.requiresAtLeast(rest.Access) {
			continue
		}
		// In many tables, a request that writes needs more scopes than a request that reads. So a
		// rule for a method that writes is often stricter than the rule for the other methods. Lint
		// reports such a rule only if the rule for the other methods is public or optional.
		if r.pattern.isRead() || rest.Access.IsPublic() || rest.Access.IsOptional() {
			report(FindingMethodGap, rest.Rule)
		}
	}
	return findings
}

// isHealthCheck reports whether the rule r looks like the rule of a health check: r makes GET or
// HEAD requests to a single path public, and widerRule is for every path.
func isHealthCheck(r, widerRule *parsedRule) bool {
	isWildcard := func(s segment) bool { return s.wildcard != "" || s.isRest }
	return r.Access.IsPublic() && r.pattern.isRead() && !slices.ContainsFunc(r.pattern.path, isWildcard) &&
		len(widerRule.pattern.path) == 1 && widerRule.pattern.matchesRest()
}

// patternTree.nextRule returns the rule that would decide if the table did not contain the rule r.
// It considers the requests to the path of r that have the method wantedMethod. If wantedMethod is
// "", it considers the requests with every method. nextRule looks for the other rules that match
// all these requests. It returns the most specific of them, or nil if there is none.
func (t *patternTree) nextRule(r *parsedRule, wantedMethod string) (best *parsedRule) {
	want := r.pattern
	want.method = wantedMethod
	t.visitRules(want.path, func(other *parsedRule) {
		if other == r || !other.pattern.covers(want) {
			return
		}
		if best == nil || takesPrecedence(other.pattern, best.pattern) {
			best = other
		}
	})
	return best
}

// takesPrecedence reports whether a ServeMux uses the pattern p, and not the pattern q, for a
// request that matches both. It compares first the hosts, then the methods, then the paths.
func takesPrecedence(p, q pattern) bool {
	if p.host != q.host {
		return q.host == ""
	}
	if p.method != q.method {
		return methodCovers(q.method, p.method)
	}
	return pathCovers(q.path, p.path)
}

// Table.isRedundant reports whether the rule r can be removed from the table without any effect.
// The caller has found widerRule. This rule has the same access as r, and it matches every request
// that r matches.
//
// r may be needed if r names a host and widerRule does not. The table may have more rules without a
// host that match requests of r. Today r decides about these requests, because r names a host. If r
// is removed, a rule with a more specific path than widerRule may decide about them. So r is
// redundant only if all these rules have the same access as r.
func (t *Table) isRedundant(r, widerRule *parsedRule) bool {
	if r.pattern.host == widerRule.pattern.host {
		return true
	}
	return !slices.ContainsFunc(t.rules, func(hostlessRule *parsedRule) bool {
		return hostlessRule.pattern.host == "" && hostlessRule.pattern.overlaps(r.pattern) &&
			!(hostlessRule.Access.requiresAtLeast(r.Access) && r.Access.requiresAtLeast(hostlessRule.Access))
	})
}

// patternTree.isShadowed reports whether the rule r has no effect on the requests whose paths match
// pathPattern. This is true if each of these requests matches a more specific rule with the host
// and method of r.
//
// If the last segment of pathPattern is a wildcard for the rest of a path, pathPattern matches many
// paths, and often no single rule covers all of them. Then isShadowed divides the paths into three
// groups, and calls itself for each group. For example, the groups of /a/ are: /a/ itself, the
// paths with one more segment, and the paths with two or more further segments. The recursion ends,
// because a rule covers either all or none of the paths that are longer than the longest pattern.
func (t *patternTree) isShadowed(r *parsedRule, pathPattern []segment) bool {
	covered := false
	t.visitRules(pathPattern, func(other *parsedRule) {
		p, q := r.pattern, other.pattern
		if other != r && p.host == q.host && p.method == q.method {
			covered = covered || p.covers(q)
		}
	})
	if n := len(pathPattern) - 1; !covered && pathPattern[n].isRest {
		one, rest := segment{wildcard: "{}"}, pathPattern[:n:n]
		return t.isShadowed(r, append(rest, segment{literal: "/"})) &&
			t.isShadowed(r, append(rest, one)) &&
			t.isShadowed(r, append(rest, one, segment{isRest: true}))
	}
	return covered
}
