package xenaauth

import (
	"net/http"
)

// Rule says what the requests to one route need. Exactly one of Require, Optional, Public and Deny is set.
type Rule struct {
	// Pattern is that of [http.ServeMux]: "[METHOD ][HOST]/[PATH]", the most specific one wins.
	Pattern string
	// Require is what the user must meet.
	Require Requirement
	// Optional lets requests without a bearer token pass too: [Middleware.CheckOptional].
	Optional bool
	// Public lets everybody pass. Credentials are not looked at.
	Public bool
	// Deny lets nobody pass: an exception from a wider rule.
	Deny bool
	// Source is where the rule was written, "routes.yaml:12" say, for messages. "" is its number in the table.
	Source string
}

// RoutesOptions tune [NewRoutes]. The zero value, or a nil pointer, is the default.
type RoutesOptions struct {
	// IgnoreCase is for upstreams to which /Admin and /admin are one: patterns and paths are compared without case.
	IgnoreCase bool
}

// Routes is a table of rules for a gateway, or for a service that wants them in one place. What no rule names is refused
// to everybody. It doesn't change and is safe for concurrent use.
type Routes struct{}

// NewRoutes compiles rules. The error tells every mistake, joined by [errors.Join]: illegal and conflicting patterns, and
// rules that set none or several of Require, Optional, Public and Deny.
func NewRoutes(rules []Rule, opts *RoutesOptions) (*Routes, error) { return &Routes{}, nil }

// Find returns the rule for a request, by its method, host and path. The error is an [*Error]: [ReasonAmbiguousTarget]
// where an upstream might read the path in another way than we do, [ReasonNoRule] where no rule names it.
func (t *Routes) Find(r *http.Request) (Rule, error) { return Rule{}, refuse(ReasonNoRule, nil) }

// CheckRoute is [Middleware.Check] by a table of rules, whose Find is find: it returns the request, with the user in its
// context if it has one, or an [*Error].
func (m *Middleware) CheckRoute(r *http.Request, find func(*http.Request) (Rule, error)) (*http.Request, error) {
	return nil, refuse(ReasonNoRule, nil)
}

// Guard holds all requests to a table of rules, whose Find is find.
func (m *Middleware) Guard(find func(*http.Request) (Rule, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler { return next }
}
