package xenaauth

import (
	"fmt"
	"slices"
)

// maxAlternatives bounds what AllOf over many AnyScope multiplies to.
const maxAlternatives = 256

// combined returns the alternatives of a route that asks for all of rs. It panics if there are more than
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

// distinct adds a set that isn't among them yet.
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

// union returns the scopes of both sets, each once. It may share the memory of left if right adds nothing.
func union(left, right []string) []string {
	all := left
	for _, s := range right {
		if !slices.Contains(all, s) {
			all = append(slices.Clip(all), s)
		}
	}
	return all
}

// ask is a set of scopes that satisfies a requirement: what a client should ask for next.
type ask struct {
	scopes  []string
	missing int  // how many of them the user lacks
	unsure  bool // a policy decides too, so that a user who lacks none may be refused all the same
}

// askAll returns what a client should ask for to satisfy all of rs: of each requirement the set of scopes of which u
// lacks the fewest, the first of equals. u is nil if there is no user. It takes one look at each scope of rs, where the
// combinations of all their alternatives may be hundreds.
func askAll(rs []Requirement, u *User) (all ask) {
	for i := range rs {
		one := rs[i].ask(u)
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

func (r *Requirement) ask(u *User) ask {
	switch r.kind {
	case allScopes:
		return ask{scopes: r.scopes, missing: lacking(r.scopes, u)}
	case anyScope:
		for i := range r.scopes {
			if u != nil && u.HasScope(r.scopes[i]) {
				return ask{scopes: r.scopes[i : i+1 : i+1]}
			}
		}
		return ask{scopes: r.scopes[:1:1], missing: 1}
	case allOf:
		return askAll(r.of, u)
	case anyOf:
		return r.askAny(u)
	case where, whereRequest:
		return ask{unsure: true}
	}
	return ask{}
}

// askAny returns the set of which u lacks the fewest scopes. One that u has in full is skipped if it wasn't enough, for
// a policy refused u, and another one may do. Without a user it returns the set that was named first.
func (r *Requirement) askAny(u *User) (best ask) {
	if u == nil {
		return r.of[0].ask(nil) // the most wanted
	}
	for i := range r.of {
		one := r.of[i].ask(u)
		switch {
		case i == 0, best.wasted() && !one.wasted(), one.missing < best.missing && !one.wasted():
			best = one
		}
	}
	return best
}

// wasted reports whether to ask for the scopes would change nothing: the user has them, and was refused.
func (a ask) wasted() bool { return a.missing == 0 && a.unsure }

// lacking counts the scopes of a set that u doesn't have. Without a user it has none.
func lacking(set []string, u *User) (n int) {
	for _, s := range set {
		if u == nil || !u.HasScope(s) {
			n++
		}
	}
	return n
}
