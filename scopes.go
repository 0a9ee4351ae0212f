package xenaauth

import (
	"fmt"
	"slices"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// AllScopes requires a token that has all of these scopes. It panics if scopes is empty, or if a
// scope is empty or has a character that RFC 6749, section 3.3, does not allow.
func AllScopes(scopes ...string) Requirement {
	scopes = checkedScopes(scopes)
	return Requirement{kind: allScopes, scopes: scopes, alternatives: [][]string{scopes}}
}

// AnyScope requires a token that has at least one of these scopes. It panics if scopes is empty, or
// if a scope is empty or has a character that RFC 6749, section 3.3, does not allow.
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

// maxAlternatives is the largest number of alternative sets of scopes that a combination of several
// requirements may have. AnyScope alone may have more. For example, an AllOf of two AnyScope with
// 10 scopes each has 100 sets, one for each combination.
const maxAlternatives = 256

// combineSets returns all sets of scopes that satisfy every requirement in rs. If rs has several
// requirements, it panics if there are more than maxAlternatives sets.
func combineSets(rs []Requirement) [][]string {
	if len(rs) == 1 {
		return rs[0].alternatives
	}
	sets := [][]string{nil}
	for _, r := range rs {
		var next [][]string
		for _, left := range sets {
			for _, right := range r.alternatives {
				next = appendSet(next, mergeScopes(left, right))
				checkAlternatives(next)
			}
		}
		sets = next
	}
	return sets
}

// appendSet appends a set of scopes to a list of sets. If the list already contains an equal set,
// appendSet returns the list unchanged.
func appendSet(sets [][]string, newSet []string) [][]string {
	if slices.ContainsFunc(sets, func(have []string) bool { return slices.Equal(have, newSet) }) {
		return sets
	}
	return append(sets, newSet)
}

func checkAlternatives(alternatives [][]string) {
	if len(alternatives) > maxAlternatives {
		panic(fmt.Sprintf("xenaauth: requirement has more than %d alternative sets of scopes", maxAlternatives))
	}
}

// mergeScopes returns the scopes of two lists, each scope once. If the second list adds no scope to
// the first, the result shares the memory of the first list.
func mergeScopes(firstList, secondList []string) []string {
	all := firstList
	for _, s := range secondList {
		if !slices.Contains(all, s) {
			all = append(slices.Clip(all), s)
		}
	}
	return all
}

// scopeRequest is a set of scopes that satisfies a requirement. A client whose token lacks some of
// these scopes should request the whole set from the issuer.
type scopeRequest struct {
	scopes       []string
	missingCount int // missingCount is how many scopes of the set the token does not have
	// needsPolicy means that the requirement also contains a policy. The policy may refuse a token
	// that has all scopes in the set.
	needsPolicy bool
}

// requestAll returns the scopes that a client should request from the issuer so that its token
// satisfies all requirements in rs. A requirement may have several sets of scopes, and each of them
// satisfies it. The token of the user u may lack some scopes of a set. For each requirement,
// requestAll takes the set with the fewest missing scopes, and the first of several such sets. u is
// nil if there is no user. The number of combinations of these sets may be large, so requestAll
// does not build them: it reads each scope of rs only once.
func requestAll(rs []Requirement, u *User) (all scopeRequest) {
	for i := range rs {
		one := rs[i].scopesFor(u)
		if i == 0 {
			all = one
			continue
		}
		all.scopes = mergeScopes(all.scopes, one.scopes)
		all.missingCount = countMissing(all.scopes, u)
		all.needsPolicy = all.needsPolicy || one.needsPolicy
	}
	return all
}

// scopesFor returns the scopes that a client should request so that its token satisfies the
// requirement r: see requestAll.
func (r *Requirement) scopesFor(u *User) scopeRequest {
	switch r.kind {
	case allScopes:
		return scopeRequest{scopes: r.scopes, missingCount: countMissing(r.scopes, u)}
	case anyScope:
		for i := range r.scopes {
			if u != nil && u.HasScope(r.scopes[i]) {
				return scopeRequest{scopes: r.scopes[i : i+1 : i+1]}
			}
		}
		return scopeRequest{scopes: r.scopes[:1:1], missingCount: 1}
	case allOf:
		return requestAll(r.parts, u)
	case anyOf:
		return r.closestSet(u)
	case where, whereRequest:
		return scopeRequest{needsPolicy: true}
	}
	return scopeRequest{}
}

// Requirement.closestSet returns the scopes that a client should request so that its token
// satisfies the requirement r, which is an AnyOf. A token must meet one of the requirements in
// r.parts. For each part, there is a set of scopes that satisfies this part. closestSet compares
// these sets. It returns the set from which the token of the user u lacks the fewest scopes. If
// several sets are equally good, it returns the first of them. If u is nil, it returns the set of
// the first part.
//
// Some parts also contain a policy. If u has all scopes for such a part and is refused
// nevertheless, the policy has refused u. It would change nothing to request the same scopes again,
// so closestSet skips the set of this part.
func (r *Requirement) closestSet(u *User) (best scopeRequest) {
	if u == nil {
		return r.parts[0].scopesFor(nil)
	}
	for i := range r.parts {
		one := r.parts[i].scopesFor(u)
		switch {
		case i == 0, best.isUseless() && !one.isUseless(), one.missingCount < best.missingCount && !one.isUseless():
			best = one
		}
	}
	return best
}

// scopeRequest.isUseless reports whether it would change nothing to request these scopes from the
// issuer. If the user already has all of these scopes, a policy has refused the user, and new
// scopes would not change that.
func (a scopeRequest) isUseless() bool { return a.missingCount == 0 && a.needsPolicy }

// countMissing returns the number of scopes in a set that the token of the user u does not have. If
// u is nil, these are all scopes of the set.
func countMissing(set []string, u *User) (n int) {
	for _, s := range set {
		if u == nil || !u.HasScope(s) {
			n++
		}
	}
	return n
}
