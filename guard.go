package xenaauth

import (
	"cmp"
	"errors"
	"net/http"
)

// CheckRoute is [Middleware.Check] by a table of rules, whose Find is find: it returns the request, with the user in
// its context if it has one, or an [*Error]. Options.Event is told every outcome. An error of find that is no Error is
// an outage, and a rule that sets none or several of its fields lets nobody pass.
//
// Where [Config.AllowAnyAudience] is set, no token passes a rule that asks for no scope.
func (m *Middleware) CheckRoute(r *http.Request, find func(*http.Request) (Rule, error)) (*http.Request, error) {
	rule, err := find(r)
	return m.checkRule(r, &rule, err)
}

func (m *Middleware) checkRule(r *http.Request, rule *Rule, err error) (*http.Request, error) {
	route := cmp.Or(rule.Pattern, r.Pattern)
	if err == nil {
		if !rule.saysOnce() {
			err = refuse(ReasonNoRule, errors.New("a rule that says nothing, or too much"))
		} else if rule.Deny {
			err = refuse(ReasonNoRule, errors.New("denied by a rule"))
		}
	}
	switch {
	case err != nil:
		return nil, m.refuseAt(route, r, err)
	case rule.Public:
		return m.CheckPublic(r), nil
	case rule.Optional:
		return m.checkOptionalAt(route, r)
	}
	return m.checkAt(route, r, []Requirement{rule.Require})
}

// Guard holds all requests to a table of rules, whose Find is find. Like [Middleware.Require] it answers what it
// refuses. It panics on a nil find.
func (m *Middleware) Guard(find func(*http.Request) (Rule, error)) func(http.Handler) http.Handler {
	if find == nil {
		panic("xenaauth: nil find")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("xenaauth: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			decided := false
			defer m.answerUndecided(w, &decided)
			rule, err := find(r)
			if err == nil && rule.Optional {
				w.Header().Add("Vary", "Authorization")
			}
			allowed, err := m.checkRule(r, &rule, err)
			decided = true
			if err != nil {
				m.Deny(w, r, err)
				return
			}
			next.ServeHTTP(w, allowed)
		})
	}
}
