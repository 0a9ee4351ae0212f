package xenaauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Requirement is what a route asks of the user beyond a valid token. It is made by [AnyUser], [AllScopes], [AnyScope],
// [Where] and [WhereRequest], combined by [AllOf] and [AnyOf], and doesn't change. The zero value lets nobody pass, and
// [Middleware.Require] panics on it.
type Requirement struct {
	kind         kind
	name         string
	scopes       []string
	of           []Requirement
	user         func(context.Context, *User) error
	request      func(*http.Request, *User) error
	alternatives [][]string
}

type kind int

const (
	invalid kind = iota
	anyUser
	allScopes
	anyScope
	allOf
	anyOf
	where
	whereRequest
)

// AnyUser asks for a valid token and nothing more.
func AnyUser() Requirement {
	return Requirement{kind: anyUser, alternatives: [][]string{nil}}
}

// AllScopes asks for a token that carries every one of scopes. It panics if there is none, or one that is no scope
// token (RFC 6749, section 3.3).
func AllScopes(scopes ...string) Requirement {
	scopes = checked(scopes)
	return Requirement{kind: allScopes, scopes: scopes, alternatives: [][]string{scopes}}
}

// AnyScope asks for a token that carries at least one of scopes. It panics as AllScopes does.
func AnyScope(scopes ...string) Requirement {
	r := Requirement{kind: anyScope, scopes: checked(scopes)}
	for i := range r.scopes {
		r.alternatives = append(r.alternatives, r.scopes[i:i+1:i+1])
	}
	return r
}

// AllOf asks for all of rs. It panics if there is none, or a zero one.
func AllOf(rs ...Requirement) Requirement {
	r := Requirement{kind: allOf, of: made(rs)}
	r.alternatives = combined(r.of)
	return r
}

// AnyOf asks for at least one of rs, tried in their order. It panics as AllOf does.
func AnyOf(rs ...Requirement) Requirement {
	r := Requirement{kind: anyOf, of: made(rs)}
	for _, one := range r.of {
		for _, set := range one.alternatives {
			r.alternatives = distinct(r.alternatives, set)
		}
	}
	bounded(r.alternatives)
	return r
}

// Where asks the service's own policy. A nil error lets the user pass. An [*Error] is answered as it says; an error of
// the context is an outage, since it says nothing about the user; any other error is 403 with [ReasonForbidden], its
// text for logs only. A policy that can't decide because something is down should return an Error with
// [ReasonUnavailable]. The name tells requirements apart in [Requirement.String] and in documentation.
func Where(name string, policy func(context.Context, *User) error) Requirement {
	if name == "" || policy == nil {
		panic("xenaauth: Where needs a name and a policy")
	}
	return Requirement{kind: where, name: name, user: policy, alternatives: [][]string{nil}}
}

// WhereRequest is [Where] for a policy that looks at the request too, at a company's id in its path for example. It
// must not read the body.
//
// [http.Request.PathValue] has the parameters of the route if the guard is on the route: net/http's mux, chi and the
// adapters for gin and echo set them first. A guard around a router runs before the router has found the route, and its
// policies get "" for every name. Let a policy refuse a value that it doesn't expect, and "" is refused too.
func WhereRequest(name string, policy func(*http.Request, *User) error) Requirement {
	if name == "" || policy == nil {
		panic("xenaauth: WhereRequest needs a name and a policy")
	}
	return Requirement{kind: whereRequest, name: name, request: policy, alternatives: [][]string{nil}}
}

// Alternatives are the sets of scopes of which a token must carry at least one whole, most wanted first. A requirement
// that asks for no scope has one empty set. Policies are not in it: see [Requirement.Policies].
func (r Requirement) Alternatives() [][]string {
	out := make([][]string, len(r.alternatives))
	for i, set := range r.alternatives {
		out[i] = slices.Clone(set)
	}
	return out
}

// Policies are the names of the policies in the requirement, in order.
func (r Requirement) Policies() (names []string) {
	if r.name != "" {
		names = append(names, r.name)
	}
	for _, one := range r.of {
		names = append(names, one.Policies()...)
	}
	return names
}

// String writes the requirement as it was built, for people.
func (r Requirement) String() string {
	switch r.kind {
	case anyUser:
		return "any user"
	case allScopes:
		return strings.Join(r.scopes, " and ")
	case anyScope:
		return strings.Join(r.scopes, " or ")
	case where, whereRequest:
		return "where " + r.name
	case allOf, anyOf:
		parts := make([]string, len(r.of))
		for i, one := range r.of {
			if parts[i] = one.String(); len(one.scopes) > 1 || len(one.of) > 1 {
				parts[i] = "(" + parts[i] + ")"
			}
		}
		return strings.Join(parts, map[kind]string{allOf: " and ", anyOf: " or "}[r.kind])
	}
	return "nobody"
}

// scoped reports whether no token without a scope can satisfy the requirement.
func (r Requirement) scoped() bool {
	return !slices.ContainsFunc(r.alternatives, func(set []string) bool { return len(set) == 0 })
}

// check decides about a user. The scopes that a client should ask for are told by whoever knows the whole route.
func (r *Requirement) check(req *http.Request, u *User) error {
	switch r.kind {
	case anyUser:
		return nil
	case allScopes:
		for _, s := range r.scopes {
			if !u.HasScope(s) {
				return refuse(ReasonInsufficientScope, nil)
			}
		}
		return nil
	case anyScope:
		if slices.ContainsFunc(r.scopes, u.HasScope) {
			return nil
		}
		return refuse(ReasonInsufficientScope, nil)
	case allOf:
		for i := range r.of {
			if err := r.of[i].check(req, u); err != nil {
				return err
			}
		}
		return nil
	case anyOf:
		return r.checkAny(req, u)
	case where:
		return verdict(r.user(req.Context(), u))
	case whereRequest:
		return verdict(r.request(req, u))
	}
	return refuse(ReasonForbidden, errors.New("zero Requirement"))
}

// checkAny tells of several refusals the one that a client can do most about: wait, then ask for a scope.
func (r *Requirement) checkAny(req *http.Request, u *User) error {
	var told *Error
	for i := range r.of {
		err := r.of[i].check(req, u)
		if err == nil {
			return nil
		}
		e := asError(err)
		if told == nil || e.Reason == ReasonUnavailable || told.Reason != ReasonUnavailable && e.Reason == ReasonInsufficientScope {
			told = e
		}
	}
	return told
}

func verdict(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return refuse(ReasonUnavailable, err)
	}
	return refuse(ReasonForbidden, err)
}

func made(rs []Requirement) []Requirement {
	if len(rs) == 0 {
		panic("xenaauth: a combination of no requirements")
	}
	for _, r := range rs {
		if r.kind == invalid {
			panic("xenaauth: zero Requirement")
		}
	}
	return slices.Clone(rs)
}

func checked(scopes []string) []string {
	if len(scopes) == 0 {
		panic("xenaauth: a scope requirement without a scope")
	}
	for _, s := range scopes {
		if !bearer.IsScopeToken(s) {
			panic(fmt.Sprintf("xenaauth: %q is no scope token (RFC 6749, section 3.3)", s))
		}
	}
	return slices.Clone(scopes)
}
