package routes

import (
	"fmt"
	"slices"

	"github.com/xenaauth/xenaauth"
)

// Access says which requests a rule allows. [Require], [Optional], [Public] and [Deny] return an
// Access. The zero Access allows no request, and [New] refuses a rule with it.
type Access struct {
	kind        accessKind
	requirement xenaauth.Requirement
	// ways are the ways to meet the requirement; nil if the requirement can't be analyzed
	ways []way
}

type accessKind int

const (
	unset accessKind = iota
	require
	optional
	public
	deny
)

// Require allows a request if its token is valid and its user meets every requirement.
// [xenaauth.AnyUser] allows every user. A policy of [xenaauth.WhereRequest] can't use
// [http.Request.PathValue] here, because a table sets no path values.
//
// Like [xenaauth.AllOf], Require panics if rs is empty, contains the zero Requirement, or has too
// many alternatives.
func Require(rs ...xenaauth.Requirement) Access {
	all := xenaauth.AllOf(rs...)
	if len(rs) == 1 {
		all = rs[0]
	}
	return Access{kind: require, requirement: all, ways: waysToMeet(all)}
}

// Optional allows a request without a token; the handler of this request finds no user. If a
// request has a token, the token must be valid: see [xenaauth.Middleware.CheckOptional].
func Optional() Access { return Access{kind: optional} }

// Public allows every request. The credentials are not read, and the handler finds no user.
func Public() Access { return Access{kind: public} }

// Deny allows no request. Use Deny for an exception from a rule that covers more requests.
func Deny() Access { return Access{kind: deny} }

// Requirement returns the requirements in the arguments of [Require], joined by [xenaauth.AllOf].
// ok is false if another function made this Access.
func (a Access) Requirement() (r xenaauth.Requirement, ok bool) {
	return a.requirement, a.kind == require
}

// IsOptional reports whether [Optional] made this Access.
func (a Access) IsOptional() bool { return a.kind == optional }

// IsPublic reports whether [Public] made this Access.
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

// Access.key returns a text for comparing the access of two rules: if the texts are equal, the
// rules require the same. Two policies with the same name may still differ, so the text of a rule
// with a policy contains number, the index of the rule in the table. BoundToken is no such policy:
// no other policy can have its name.
func (a Access) key(number int) string {
	isPolicy := func(name string) bool { return name != xenaauth.BoundToken().Policies()[0] }
	if a.kind == require && slices.ContainsFunc(a.requirement.Policies(), isPolicy) {
		return fmt.Sprintf("%d %v in rule %d", a.kind, a.requirement, number)
	}
	return fmt.Sprintf("%d %v", a.kind, a)
}
