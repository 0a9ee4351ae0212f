package routes

import (
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
)

// Access.requiresAtLeast reports whether this Access requires at least as much as the Access b: b
// allows every user that this Access allows. It treats two policies with the same name as the same
// policy. If either requirement can't be analyzed, the result is false: see waysToMeet.
func (a Access) requiresAtLeast(b Access) bool {
	switch {
	case a.kind == deny || b.kind == public:
		return true
	case a.kind == public || b.kind == deny:
		return false
	case b.kind == optional:
		return true
	case a.kind == optional:
		return false
	}
	if a.ways == nil || b.ways == nil {
		return false
	}
	// A user who meets the requirement of the first Access, in whatever way, must also meet the
	// requirement of the second Access.
	return !slices.ContainsFunc(a.ways, func(w way) bool { return !containsWayWithin(b.ways, w) })
}

// A way is one way to meet a requirement: a list of texts that stand for scopes and policies. A
// user who has all these scopes, and whom all these policies accept, meets the requirement. The
// text of a policy begins with "where ", so it differs from each scope.
type way []string

// containsWayWithin compares a list of ways with one more way, the parameter outer. It reports
// whether outer contains all scopes and policies of at least one way in the list.
func containsWayWithin(ways []way, outer way) bool {
	return slices.ContainsFunc(ways, func(w way) bool { return containsAll(outer, w) })
}

// containsAll compares two ways. It reports whether the first way contains all scopes and policies
// of the second way.
func containsAll(outer, inner way) bool {
	isMissing := func(atom string) bool { return !slices.Contains(outer, atom) }
	return !slices.ContainsFunc(inner, isMissing)
}

// maxWays is a limit for the number of ways to meet a requirement. If a requirement has more ways,
// Lint does not compare it with others, because that could take too long.
const maxWays = 256

// waysToMeet returns all ways to meet the requirement r. It returns nil if the requirement can't be
// analyzed: if it has more than maxWays ways, or if a name makes its text ambiguous.
//
// The nesting of AllOf and AnyOf is known only from the text of a requirement. So waysToMeet reads
// this text. It finds the end of the name of a policy with the list of names that Policies returns.
func waysToMeet(r xenaauth.Requirement) []way {
	p := &textParser{rest: r.String(), policies: r.Policies()}
	for _, name := range p.policies {
		// A policy with the name "and b" has the text "where and b". The requirement of both scopes
		// "where" and "b" has the same text. So this text has two meanings, and can't be analyzed.
		p.failed = p.failed || strings.HasPrefix(name, "and ") || strings.HasPrefix(name, "or ")
	}
	for _, set := range r.Alternatives() {
		for _, scope := range set {
			p.failed = p.failed || strings.ContainsAny(scope, "()")
		}
	}
	ways := p.readParts()
	if p.failed || p.rest != "" || len(p.policies) > 0 {
		return nil
	}
	return ways
}

// textParser reads the text of a requirement, as Requirement.String returns it.
type textParser struct {
	rest     string   // rest is the part of the text that is not yet read
	policies []string // policies are the names of the policies in the unread text, in its order
	failed   bool
}

// textParser.readParts reads parts that are joined by "and" or by "or".
func (p *textParser) readParts() []way {
	ways := p.readPart()
	for !p.failed {
		switch {
		case p.skip(" and "):
			ways = p.combineWays(ways, p.readPart())
		case p.skip(" or "):
			ways = p.addWays(ways, p.readPart())
		default:
			return ways
		}
	}
	return nil
}

// textParser.readPart reads one part: a scope, a policy, "any user", or parts in parentheses.
func (p *textParser) readPart() (ways []way) {
	boundToken := xenaauth.BoundToken().String()
	switch {
	case p.skip("any user"):
		return []way{{}}
	case p.skip("("):
		ways = p.readParts()
		p.failed = p.failed || !p.skip(")")
		return ways
	case len(p.policies) > 0 && p.policies[0] == boundToken && p.skip(boundToken),
		len(p.policies) > 0 && p.skip("where "+p.policies[0]):
		name := p.policies[0]
		p.policies = p.policies[1:]
		return []way{{"where " + name}}
	}
	end := strings.IndexAny(p.rest+" ", " )")
	scope := p.rest[:end]
	p.rest, p.failed = p.rest[end:], p.failed || scope == ""
	return []way{{scope}}
}

// textParser.skip returns true if the text that is not yet read begins with a prefix. In this case
// it removes the prefix from the text. Otherwise it returns false and reads nothing.
func (p *textParser) skip(prefix string) (found bool) {
	p.rest, found = strings.CutPrefix(p.rest, prefix)
	return found
}

// textParser.combineWays returns the ways to meet both of two requirements.
func (p *textParser) combineWays(firstWays, secondWays []way) (both []way) {
	for _, first := range firstWays {
		for _, second := range secondWays {
			both = p.addWays(both, []way{slices.Concat(first, second)})
		}
	}
	return both
}

// textParser.addWays returns the ways to meet at least one of two requirements. It leaves out a way
// that asks for everything that another way asks for.
func (p *textParser) addWays(ways, moreWays []way) []way {
	for _, more := range moreWays {
		if containsWayWithin(ways, more) {
			continue
		}
		ways = slices.DeleteFunc(ways, func(w way) bool { return containsAll(w, more) })
		ways = append(ways, more)
	}
	if len(ways) > maxWays {
		p.failed = true
		return nil
	}
	return ways
}
