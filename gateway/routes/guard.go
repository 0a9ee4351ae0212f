package routes

import (
	"errors"
	"net/http"

	"github.com/xenaauth/xenaauth"
)

// Guard holds requests to the rules that a function finds. It is safe for concurrent use.
type Guard struct {
	middleware *xenaauth.Middleware
	find       func(*http.Request) (Rule, error)
}

// NewGuard returns a guard that finds the rule for each request with find, for example
// [Table.Find]. It panics if m or find is nil.
func NewGuard(m *xenaauth.Middleware, find func(*http.Request) (Rule, error)) *Guard {
	if m == nil || find == nil {
		panic("routes: NewGuard needs a Middleware and a find function")
	}
	return &Guard{middleware: m, find: find}
}

var (
	errNoAccess = noRule(errors.New("the rule has no access"))
	errDenied   = noRule(errors.New("the rule denies access"))
)

// Check finds the rule for r and decides by it. It returns r with the user in its context, if there
// is one, and the rule. The error is an [*xenaauth.Error]. Each request is one event of
// [xenaauth.Options], with the rule's pattern as its route.
//
// A user must also meet the requirements rs, after those of the rule. They don't concern requests
// without a user.
//
// An error of the find function that is no [*xenaauth.Error] is an outage: 503. If
// [xenaauth.Config.AllowAnyAudience] is set, no token passes a rule that requires no scope.
//
// Check does not recover from panics: see [xenaauth.Middleware.Check].
func (g *Guard) Check(r *http.Request, rs ...xenaauth.Requirement) (*http.Request, Rule, error) {
	rule, err := g.find(r)
	r = withPattern(r, rule.Pattern)
	if err != nil {
		return nil, rule, g.middleware.Refuse(r, err)
	}
	switch rule.Access.kind {
	case require:
		if len(rs) == 0 {
			r, err = g.middleware.Check(r, rule.Access.requirement)
		} else {
			all := append([]xenaauth.Requirement{rule.Access.requirement}, rs...)
			r, err = g.middleware.Check(r, all...)
		}
	case optional:
		r, err = g.middleware.CheckOptional(r, rs...)
	case public:
		r = g.middleware.CheckPublic(r)
	case deny:
		r, err = nil, g.middleware.Refuse(r, errDenied)
	default:
		r, err = nil, g.middleware.Refuse(r, errNoAccess)
	}
	return r, rule, err
}

// withPattern returns a copy of r with another pattern, by which events and logs name the route.
func withPattern(r *http.Request, pattern string) *http.Request {
	if pattern == "" || pattern == r.Pattern {
		return r
	}
	c := new(http.Request)
	*c = *r
	c.Pattern = pattern
	return c
}

// Handler returns next behind the guard. Like [xenaauth.Middleware.Require] it answers the requests
// that it refuses. It panics if next is nil.
func (g *Guard) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("routes: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decided := false
		defer func() {
			if !decided { // a policy, a proof or a hook panicked: without a status the response would be 200
				w.WriteHeader(g.middleware.Challenge(w.Header(), nil, errPanicked))
			}
		}()
		allowed, _, err := g.Check(r)
		if err != nil {
			decided = true
			g.middleware.Deny(w, r, err)
			return
		}
		g.middleware.Challenge(w.Header(), allowed, nil)
		decided = true // not before: a Proof may panic in Challenge
		next.ServeHTTP(w, allowed)
	})
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}
