package routes

import (
	"fmt"
	"slices"

	"github.com/xenaauth/xenaauth"
)

// Access says which requests a rule lets pass. [Require], [Optional], [Public] and [Deny] return
// one. The zero Access lets no request pass, and [New] refuses a rule that has it.
type Access struct {
	kind        accessKind
	requirement xenaauth.Requirement
}

type accessKind int

const (
	unset accessKind = iota
	require
	optional
	public
	deny
)

// Require lets a request pass if its token is valid and its user meets every requirement. Use
// [xenaauth.AnyUser] to accept every user. The policies of a requirement can't use
// [http.Request.PathValue]: a table sets no path values.
//
// Require panics as [xenaauth.AllOf] does: if rs is empty, if it contains the zero Requirement, or
// if it has too many alternatives.
func Require(rs ...xenaauth.Requirement) Access {
	all := xenaauth.AllOf(rs...)
	if len(rs) == 1 {
		all = rs[0]
	}
	return Access{kind: require, requirement: all}
}

// Optional lets a request without a bearer token pass, without a user. If a request has a bearer
// token, the token must be valid: see [xenaauth.Middleware.CheckOptional].
func Optional() Access { return Access{kind: optional} }

// Public lets every request pass. Its credentials are not looked at, and its handler finds no user.
func Public() Access { return Access{kind: public} }

// Deny lets no request pass. It is for an exception from a wider rule.
func Deny() Access { return Access{kind: deny} }

// Requirement returns the requirement of [Require]. ok is false for every other Access.
func (a Access) Requirement() (r xenaauth.Requirement, ok bool) {
	return a.requirement, a.kind == require
}

// IsOptional reports whether a is [Optional].
func (a Access) IsOptional() bool { return a.kind == optional }

// IsPublic reports whether a is [Public].
func (a Access) IsPublic() bool { return a.kind == public }

// String returns "optional", "public", "deny", the requirement, or "no access" for the zero Access.
func (a Access) String() string {
	switch a.kind {
	case require:
		return a.requirement.String()
	case optional:
		return "optional"
	case public:
		return "public"
	case deny:
		return "deny"
	}
	return "no access"
}

// key returns a text that is equal for two rules only if they let the same requests pass. Two
// policies with the same name can differ, so the key of a rule with a policy contains the rule's
// number.
func (a Access) key(number int) string {
	if a.kind == require && len(a.requirement.Policies()) > 0 {
		return fmt.Sprintf("%d %v in rule %d", a.kind, a.requirement, number)
	}
	return fmt.Sprintf("%d %v", a.kind, a)
}

// atLeast reports whether each user that passes a passes b as well. It compares policies by their
// names.
func (a Access) atLeast(b Access) bool {
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
	return contains(a.requirement.Policies(), b.requirement.Policies()) && asksForAtLeast(a, b)
}

// asksForAtLeast reports whether each set of scopes that satisfies a satisfies b as well.
func asksForAtLeast(a, b Access) bool {
	enough := b.requirement.Alternatives()
	for _, has := range a.requirement.Alternatives() {
		if !slices.ContainsFunc(enough, func(needs []string) bool { return contains(has, needs) }) {
			return false
		}
	}
	return true
}

// contains reports whether set contains each element of part.
func contains(set, part []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(set, s) })
}
