package routes

import (
	"errors"
	"net/http"

	"github.com/xenaauth/xenaauth"
)

// Guard checks each request by the rule that a function finds for it. It is safe for concurrent
// use.
type Guard struct {
	middleware *xenaauth.Middleware
	find       func(*http.Request) (Rule, error)
}

// NewGuard returns a guard. find returns the rule for a request, for example [Table.Find]. NewGuard
// panics if m or find is nil.
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

// Check finds the rule for r and checks r by this rule. Check returns the rule, and r with the user
// in its context if the request has a user. The error is an [*xenaauth.Error]. Options.Event of
// [xenaauth.Options] gets one event for each request, with the pattern of the rule as its route.
//
// If the request has a user, the user must also meet the requirements rs. Check first checks the
// requirements of the rule, and then the requirements rs.
//
// The guard finds rules with the function find that [NewGuard] got. If find returns an error that
// is not an [*xenaauth.Error], Check refuses the request as in an outage: 503. If
// [xenaauth.Config.AllowAnyAudience] is set, a rule of [Require] or [Optional] that requires no
// scope refuses every token.
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

// withPattern returns a copy of the request r with the Pattern of a rule. Events and logs name the
// route of a request by its Pattern. If pattern is "", or r already has this Pattern, withPattern
// returns r itself.
func withPattern(r *http.Request, pattern string) *http.Request {
	if pattern == "" || pattern == r.Pattern {
		return r
	}
	c := new(http.Request)
	*c = *r
	c.Pattern = pattern
	return c
}

// Handler returns a handler that calls next for each request that the guard allows. The handler
// answers refused requests like [xenaauth.Middleware.Require]. Handler panics if next is nil.
func (g *Guard) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("routes: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hasDecision := false
		defer func() {
			// If the function find, a policy, a hook or a method of a Proof panics, this deferred
			// call writes the status 503, and the panic goes on. Without this call, other
			// middleware could recover from the panic and write nothing. The status would then be
			// 200.
			if !hasDecision {
				w.WriteHeader(g.middleware.Challenge(w.Header(), nil, errPanicked))
			}
		}()
		allowed, _, err := g.Check(r)
		if err != nil {
			hasDecision = true
			g.middleware.Deny(w, r, err)
			return
		}
		g.middleware.Challenge(w.Header(), allowed, nil)
		// The value of hasDecision stays false until Challenge has returned. Challenge calls a
		// method of each Proof. If this method panics, the deferred function must still send 503.
		hasDecision = true
		next.ServeHTTP(w, allowed)
	})
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}
