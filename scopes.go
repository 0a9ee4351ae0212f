package xenaauth

import (
	"fmt"
	"slices"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// AllScopes requires a token that has all of these scopes. It panics if scopes is empty, or if a
// scope is not a scope token (RFC 6749, section 3.3).
func AllScopes(scopes ...string) Requirement {
	scopes = checkedScopes(scopes)
	return Requirement{kind: allScopes, scopes: scopes, alternatives: [][]string{scopes}}
}

// AnyScope requires a token that has at least one of these scopes. It panics if scopes is empty, or
// if a scope is not a scope token.
func AnyScope(scopes ...string) Requirement {
	r := Requirement{kind: anyScope, scopes: checkedScopes(scopes)}
	for i := range r.scopes {
		r.alternatives = append(r.alternatives, r.scopes[i:i+1:i+1])
	}
	return r
}

func checkedScopes(scopes []string) []string {
	if len(scopes) == 0 {
		panic("xenaauth: AllScopes and AnyScope need at least one scope")
	}
	for _, s := range scopes {
		if !bearer.IsScopeToken(s) {
			panic(fmt.Sprintf("xenaauth: %q is not a scope token (RFC 6749, section 3.3)", s))
		}
	}
	return slices.Clone(scopes)
}

// maxAlternatives is the largest number of scope sets of a requirement. AllOf of several AnyScope
// has as many sets as there are combinations.
const maxAlternatives = 256

// combined returns the scope sets that satisfy all of rs. It panics if there are more than
// maxAlternatives.
func combined(rs []Requirement) [][]string {
	if len(rs) == 1 {
		return rs[0].alternatives
	}
	sets := [][]string{nil}
	for _, r := range rs {
		var next [][]string
		for _, left := range sets {
			for _, right := range r.alternatives {
				next = distinct(next, union(left, right))
				bounded(next)
			}
		}
		sets = next
	}
	return sets
}

// distinct appends set to sets, unless sets contains an equal set.
func distinct(sets [][]string, set []string) [][]string {
	if slices.ContainsFunc(sets, func(have []string) bool { return slices.Equal(have, set) }) {
		return sets
	}
	return append(sets, set)
}

func bounded(alternatives [][]string) {
	if len(alternatives) > maxAlternatives {
		panic(fmt.Sprintf("xenaauth: requirement has more than %d alternative sets of scopes", maxAlternatives))
	}
}

// union returns the scopes of both sets, each once. If right adds no scope, the result shares the
// memory of left.
func union(left, right []string) []string {
	all := left
	for _, s := range right {
		if !slices.Contains(all, s) {
			all = append(slices.Clip(all), s)
		}
	}
	return all
}

// scopeRequest is a set of scopes that satisfies a requirement. A client whose token lacks some of
// these scopes should request the whole set from the issuer.
type scopeRequest struct {
	scopes  []string
	missing int  // the number of these scopes that the user lacks
	unsure  bool // a policy decides too, so it may refuse a user that has all of these scopes
}

// requestAll returns the scopes that a client should request to satisfy all of rs. From each
// requirement, requestAll takes the set of which u lacks the fewest scopes. If there are several
// such sets, it takes the first. u is nil if there is no user. There may be hundreds of
// combinations of alternatives, but requestAll reads each scope of rs only once.
func requestAll(rs []Requirement, u *User) (all scopeRequest) {
	for i := range rs {
		one := rs[i].scopesFor(u)
		if i == 0 {
			all = one
			continue
		}
		all.scopes = union(all.scopes, one.scopes)
		all.missing = lacking(all.scopes, u)
		all.unsure = all.unsure || one.unsure
	}
	return all
}

// scopesFor returns the scopes that a client should request to satisfy r: see requestAll.
func (r *Requirement) scopesFor(u *User) scopeRequest {
	switch r.kind {
	case allScopes:
		return scopeRequest{scopes: r.scopes, missing: lacking(r.scopes, u)}
	case anyScope:
		for i := range r.scopes {
			if u != nil && u.HasScope(r.scopes[i]) {
				return scopeRequest{scopes: r.scopes[i : i+1 : i+1]}
			}
		}
		return scopeRequest{scopes: r.scopes[:1:1], missing: 1}
	case allOf:
		return requestAll(r.of, u)
	case anyOf:
		return r.nearest(u)
	case where, whereRequest:
		return scopeRequest{unsure: true}
	}
	return scopeRequest{}
}

// nearest returns the scope set of r.of of which u lacks the fewest scopes. If there are several
// such sets, nearest returns the first. If u has all scopes of a set but a policy decides too, the
// policy has refused u. nearest skips such a set, because requesting these scopes again would
// change nothing. If u is nil, nearest returns the first set.
func (r *Requirement) nearest(u *User) (best scopeRequest) {
	if u == nil {
		return r.of[0].scopesFor(nil)
	}
	for i := range r.of {
		one := r.of[i].scopesFor(u)
		switch {
		case i == 0, best.useless() && !one.useless(), one.missing < best.missing && !one.useless():
			best = one
		}
	}
	return best
}

// useless reports whether it would change nothing to request these scopes: the user has all of
// them, so a policy refused the user.
func (a scopeRequest) useless() bool { return a.missing == 0 && a.unsure }

// lacking returns how many scopes of a set u lacks. If u is nil, lacking counts all scopes of the
// set.
func lacking(set []string, u *User) (n int) {
	for _, s := range set {
		if u == nil || !u.HasScope(s) {
			n++
		}
	}
	return n
}
