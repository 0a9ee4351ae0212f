package xenaauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Requirement is what a route requires of the user in addition to a valid token. [AnyUser],
// [AllScopes], [AnyScope], [BoundToken], [Where] and [WhereRequest] return a Requirement; [AllOf]
// and [AnyOf] combine several. A Requirement never changes. The zero Requirement refuses every
// request, and [Middleware.Require] panics if it gets one.
type Requirement struct {
	kind         kind
	name         string
	scopes       []string
	parts        []Requirement
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
	boundToken
	allOf
	anyOf
	where
	whereRequest
)

// AnyUser requires a valid token, and no scope or policy in addition.
func AnyUser() Requirement {
	return Requirement{kind: anyUser, alternatives: [][]string{nil}}
}

// BoundToken requires that the token is bound to a key of the client, by the claim cnf (RFC 7800).
// A [Middleware] accepts a bound token only if a [Proof] confirms that the client possesses the
// key, so a stolen token is useless without the key. A token that is not bound is refused with 401,
// and the challenges offer only the schemes of [Options.Proofs]. [Options.RequireProof] requires
// the same of every route.
//
// List BoundToken before scopes. A client whose token is not bound is then told so, even if the
// token lacks a scope too.
func BoundToken() Requirement {
	return Requirement{kind: boundToken, name: boundTokenName, alternatives: [][]string{nil}}
}

// boundTokenName is the name of BoundToken in Requirement.Policies.
const boundTokenName = "bound token"

// AllOf requires that the user meets all requirements in rs. It panics if rs is empty or contains
// the zero Requirement, or if several requirements together have more than 256 alternative sets of
// scopes ([Requirement.Alternatives]).
func AllOf(rs ...Requirement) Requirement {
	r := Requirement{kind: allOf, parts: checkedRequirements(rs)}
	r.alternatives = combineSets(r.parts)
	return r
}

// AnyOf requires that the user meets at least one of the requirements in rs. They are checked in
// their order. AnyOf panics if rs is empty or contains the zero Requirement, or if the result has
// more than 256 alternative sets of scopes.
func AnyOf(rs ...Requirement) Requirement {
	r := Requirement{kind: anyOf, parts: checkedRequirements(rs)}
	for _, one := range r.parts {
		for _, set := range one.alternatives {
			r.alternatives = appendSet(r.alternatives, set)
		}
	}
	checkAlternatives(r.alternatives)
	return r
}

// Where requires that a policy of the service accepts the user. name stands for the policy in
// [Requirement.String] and [Requirement.Policies], and in the log of its refusals. Where panics if
// name is "" or the name of [BoundToken], "bound token", or if policy is nil.
//
// If the policy returns nil, the user is accepted. If it returns an [*Error], that Error is the
// refusal. An error of the context counts as an outage (503), because it says nothing about the
// user. Any other error is 403 with [ReasonForbidden], and its text appears in the log only. A
// policy that can't decide, for example because a database is down, should return an Error with
// [ReasonUnavailable].
func Where(name string, policy func(context.Context, *User) error) Requirement {
	if name == "" || policy == nil {
		panic("xenaauth: Where needs a name and a policy")
	}
	checkPolicyName(name)
	return Requirement{kind: where, name: name, user: policy, alternatives: [][]string{nil}}
}

// WhereRequest is [Where] for a policy that also reads the request, for example the id of a company
// in its path. The policy must not read the body.
//
// [http.Request.PathValue] returns the parameters of the route only if the guard runs after the
// router has chosen the route, as the guard of a single route does. Such a guard finds the
// parameters with the mux of net/http, with chi and with the adapters for gin and echo. In a guard
// around the router, PathValue returns "" for every name. So a policy should refuse every value
// that it does not expect, and also "".
func WhereRequest(name string, policy func(*http.Request, *User) error) Requirement {
	if name == "" || policy == nil {
		panic("xenaauth: WhereRequest needs a name and a policy")
	}
	checkPolicyName(name)
	return Requirement{kind: whereRequest, name: name, request: policy, alternatives: [][]string{nil}}
}

// checkPolicyName panics if a policy has the name of BoundToken. Code that compares requirements by
// the names of their policies would confuse this policy with BoundToken.
func checkPolicyName(name string) {
	if name == boundTokenName {
		panic("xenaauth: the name of a policy is that of BoundToken: " + name)
	}
}

func checkedRequirements(rs []Requirement) []Requirement {
	if len(rs) == 0 {
		panic("xenaauth: AllOf and AnyOf need at least one Requirement")
	}
	for _, r := range rs {
		if r.kind == invalid {
			panic("xenaauth: zero Requirement")
		}
	}
	return slices.Clone(rs)
}

// Alternatives returns the sets of scopes that satisfy the requirement, in order of preference. A
// token must have all scopes of at least one set. A requirement without scopes has one set, which
// is empty. Policies are not included: see [Requirement.Policies].
func (r Requirement) Alternatives() [][]string {
	out := make([][]string, len(r.alternatives))
	for i, set := range r.alternatives {
		out[i] = slices.Clone(set)
	}
	return out
}

// Policies returns the names of the policies in the requirement, in their order. [BoundToken]
// counts as a policy with the name "bound token". No other policy can have this name.
func (r Requirement) Policies() (names []string) {
	if r.name != "" {
		names = append(names, r.name)
	}
	for _, one := range r.parts {
		names = append(names, one.Policies()...)
	}
	return names
}

// String returns the requirement as a text for people. Parentheses show how AllOf and AnyOf are
// nested.
func (r Requirement) String() string {
	switch r.kind {
	case anyUser:
		return "any user"
	case allScopes:
		return strings.Join(r.scopes, " and ")
	case anyScope:
		return strings.Join(r.scopes, " or ")
	case boundToken:
		return r.name
	case where, whereRequest:
		return "where " + r.name
	case allOf, anyOf:
		parts := make([]string, len(r.parts))
		for i, one := range r.parts {
			if parts[i] = one.String(); len(one.scopes) > 1 || len(one.parts) > 1 {
				parts[i] = "(" + parts[i] + ")"
			}
		}
		return strings.Join(parts, map[kind]string{allOf: " and ", anyOf: " or "}[r.kind])
	}
	return "nobody"
}

// Check returns nil if u meets the requirement. It is for code without an HTTP request, such as the
// consumer of a queue or a GraphQL resolver. It decides like [Middleware.Check] and returns an
// [*Error] with the same Reason, and with scopes that would satisfy the requirement.
//
// Check does not validate the token again, so it does not notice that the token has expired or was
// revoked after it was validated. It checks no proof of possession. If u is nil, the reason is
// [ReasonMissingToken]. A policy of [WhereRequest] can't decide without a request: if the result
// depends on it, the reason is [ReasonUnavailable].
func (r Requirement) Check(ctx context.Context, u *User) error {
	rs := []Requirement{r}
	if u == nil {
		return withScopes(refuse(ReasonMissingToken, errNoUser), rs, nil)
	}
	if in, _ := UserFromContext(ctx); in != u { // a policy may read the user from ctx
		ctx = ContextWithUser(ctx, u)
	}
	return checkAll(ctx, nil, u, rs)
}

var (
	errNoUser    = errors.New("there is no user")
	errUnscoped  = errors.New("no audience is checked and the route requires no scope")
	errZero      = errors.New("zero Requirement")
	errNoRequest = errors.New("needs an HTTP request, and Requirement.Check has none")
)

// checkAll returns nil if the user u meets all requirements in rs. Otherwise it returns an *Error
// with the scopes that the client should request from the issuer. req is nil if there is no HTTP
// request.
func checkAll(ctx context.Context, req *http.Request, u *User, rs []Requirement) error {
	if u.audienceUnchecked && !needsScope(rs) {
		return refuse(ReasonForbidden, errUnscoped)
	}
	for i := range rs {
		if err := rs[i].check(ctx, req, u); err != nil {
			return withScopes(err, rs, u)
		}
	}
	return nil
}

// needsScope reports whether only a token with a scope can satisfy all requirements in rs.
func needsScope(rs []Requirement) bool {
	return slices.ContainsFunc(rs, func(r Requirement) bool {
		return !slices.ContainsFunc(r.alternatives, func(set []string) bool { return len(set) == 0 })
	})
}

// needsProof reports whether only a token that is bound to a key can satisfy all requirements in
// rs.
func needsProof(rs []Requirement) bool {
	return slices.ContainsFunc(rs, func(r Requirement) bool {
		switch r.kind {
		case boundToken:
			return true
		case allOf:
			return needsProof(r.parts)
		case anyOf:
			return !slices.ContainsFunc(r.parts, func(one Requirement) bool {
				return !needsProof([]Requirement{one})
			})
		}
		return false
	})
}

// Requirement.check returns nil if the user u meets the requirement. Its error does not contain the
// scopes that the client should request, because they depend on all requirements of the route.
func (r *Requirement) check(ctx context.Context, req *http.Request, u *User) error {
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
	case boundToken:
		// The middleware confirms the proofs of possession of a bound token before it calls this
		// function. So this function only checks that the token is bound. Requirement.Check calls
		// this function too, but without a request there is no proof that it could confirm.
		if u.isBound() {
			return nil
		}
		return refuseUnbound(errUnbound)
	case allOf:
		for i := range r.parts {
			if err := r.parts[i].check(ctx, req, u); err != nil {
				return err
			}
		}
		return nil
	case anyOf:
		return r.checkAny(ctx, req, u)
	case where:
		return policyError(r.name, r.user(ctx, u))
	case whereRequest:
		if req == nil {
			return refuse(ReasonUnavailable, fmt.Errorf("policy %q %w", r.name, errNoRequest))
		}
		return policyError(r.name, r.request(req, u))
	}
	return refuse(ReasonForbidden, errZero)
}

// checkAny returns nil if the user u meets at least one of the requirements in r.parts. Otherwise
// it returns the refusal that helps the client most. An outage comes first, because the client can
// try again later. A missing scope comes next, because the client can request this scope.
func (r *Requirement) checkAny(ctx context.Context, req *http.Request, u *User) error {
	var bestRefusal *Error
	for i := range r.parts {
		err := r.parts[i].check(ctx, req, u)
		if err == nil {
			return nil
		}
		e := asError(err)
		switch {
		case bestRefusal == nil, e.Reason == ReasonUnavailable,
			bestRefusal.Reason != ReasonUnavailable && e.Reason == ReasonInsufficientScope:
			bestRefusal = e
		}
	}
	return bestRefusal
}

// policyError returns the refusal for an error that the policy with the given name returned.
func policyError(name string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok && e != nil {
		// The policy returned an *Error, or an error that wraps one. In the second case, asError
		// keeps the text of the wrapper for the log. A policy may return the same *Error for many
		// requests, so this function must not change it. It writes the name of the policy into a
		// copy of the *Error.
		refusalCopy := *asError(err)
		refusalCopy.policyName = name
		return &refusalCopy
	}
	reason := ReasonForbidden
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		reason = ReasonUnavailable
	}
	return &Error{Reason: reason, Err: err, policyName: name}
}
