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

// maxAlternatives is the largest number of alternative sets of scopes that one requirement may
// have. An AllOf of several AnyScope has a set for each combination of their scopes.
const maxAlternatives = 256

// The function combined returns all sets of scopes that satisfy every requirement in rs. It panics
// if there are more than maxAlternatives sets.
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

// The function distinct appends the set of scopes set to the list sets. If the list already
// contains an equal set, distinct returns the list unchanged.
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

// The function union returns the scopes that are in the list left or in the list right, each scope
// once. If right adds no scope to left, the result shares the memory of left.
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
	missing int // missing is how many of these scopes the token lacks
	// unsure means that a policy decides too, so a token with all of these scopes may be refused
	unsure bool
}

// requestAll returns the scopes that a client should request from the issuer so that its token
// satisfies all requirements in rs. From each requirement, requestAll takes the set of which the
// user u lacks the fewest scopes. If there are several such sets, it takes the first. u is nil if
// there is no user. requestAll does not build the combinations of these sets, of which there may be
// hundreds: it reads each scope of rs only once.
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

// scopesFor returns the scopes that a client should request so that its token satisfies the
// requirement r: see requestAll.
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

// Requirement.nearest looks at the requirements r.of, of which a token must meet one. It returns
// the set of scopes of which the user u lacks the fewest. If there are several such sets, nearest
// returns the first. If u has all scopes of a set but a policy decides too, the policy has refused
// u. nearest skips such a set, because requesting these scopes again would change nothing. If u is
// nil, nearest returns the first set.
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

// scopeRequest.useless reports whether it would change nothing to request these scopes from the
// issuer. This is so if the user already has all of these scopes, and a policy has refused the
// user.
func (a scopeRequest) useless() bool { return a.missing == 0 && a.unsure }

// The function lacking returns how many scopes of a set the token of the user u lacks. If u is nil,
// the result is the number of scopes in the set.
func lacking(set []string, u *User) (n int) {
	for _, s := range set {
		if u == nil || !u.HasScope(s) {
			n++
		}
	}
	return n
}
