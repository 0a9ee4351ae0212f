package xenaauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Rule says what the requests to one route need. Exactly one of Require, Optional, Public and Deny is set.
type Rule struct {
	// Pattern is that of [http.ServeMux]: "[METHOD ][HOST]/[PATH]", the most specific one wins. GET is for HEAD too, and
	// none is for all methods but CONNECT, which asks for a tunnel. The host has no port.
	Pattern string
	// Require is what the user must meet. Its policies find no [http.Request.PathValue] set.
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
	// IgnoreCase is for upstreams to which /Admin and /admin are one, as ASP.NET's routing has it: patterns and paths
	// are compared without case. Paths with characters beyond ASCII whose lower case is disputed are refused then.
	IgnoreCase bool
}

// Routes is a table of rules for a gateway, or for a service that wants them in one place. What no rule names is
// refused to everybody. It doesn't change and is safe for concurrent use. The zero value has no rules.
type Routes struct {
	mux        *http.ServeMux // it finds rules, and never answers
	rules      []*route
	ignoreCase bool
	hosts      bool // some rule names a host
	slashes    bool // some rule is for paths with a slash at their end
}

// route is a compiled rule.
type route struct {
	Rule
	pattern routePattern
	access  string // what passes, comparable; never that of another rule where a policy is asked
}

// ServeHTTP makes a route what a ServeMux can hold.
func (*route) ServeHTTP(http.ResponseWriter, *http.Request) { panic("xenaauth: a rule is no handler") }

// String names the rule, for messages.
func (r *route) String() string { return ruleName(r.Rule) }

func ruleName(r Rule) string { return fmt.Sprintf("%s (%s)", r.Source, r.Pattern) }

// NewRoutes compiles rules. The error tells every mistake, joined by [errors.Join]: illegal and conflicting patterns,
// patterns that can't match because [Routes.Find] refuses such requests, and rules that set none or several of Require,
// Optional, Public and Deny. Each begins with the Source of its rule.
func NewRoutes(rules []Rule, opts *RoutesOptions) (*Routes, error) {
	t := &Routes{mux: http.NewServeMux(), ignoreCase: opts != nil && opts.IgnoreCase}
	if !muxKnowsMethods() {
		return nil, errors.New("xenaauth: a route table doesn't work with GODEBUG=httpmuxgo121=1")
	}
	var errs []error
	for i, rule := range rules {
		prefix := ""
		if rule.Source == "" {
			rule.Source, prefix = fmt.Sprintf("rule %d", i+1), "xenaauth: "
		}
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s%s: %s", prefix, ruleName(rule), fmt.Sprintf(format, args...)))
		}
		r := &route{Rule: rule, access: accessOf(rule, i)}
		if !rule.saysOnce() {
			wrong("set exactly one of Require, Optional, Public and Deny")
		}
		var err error
		if r.pattern, err = parseRoutePattern(rule.Pattern, t.ignoreCase); err != nil {
			wrong("%v", err)
			continue
		}
		if err := t.add(r); err != nil {
			wrong("%v", err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// add puts a rule into the table.
func (t *Routes) add(r *route) error {
	if err := register(http.NewServeMux(), r); err != nil {
		return err // by itself
	}
	if err := register(t.mux, r); err != nil {
		for _, other := range t.rules {
			if r.pattern.conflicts(other.pattern) {
				return fmt.Errorf("conflicts with %v: both match some requests, and neither is more specific", other)
			}
		}
		return err
	}
	t.rules = append(t.rules, r)
	t.hosts = t.hosts || r.pattern.host != ""
	t.slashes = t.slashes || r.pattern.slashed()
	return nil
}

// register makes an error of a ServeMux's panic about a pattern that it doesn't take.
func register(mux *http.ServeMux, r *route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux.Handle(r.pattern.String(), r)
	return nil
}

// saysOnce reports whether exactly one of a rule's fields says who may pass.
func (r *Rule) saysOnce() bool {
	n := 0
	for _, set := range [...]bool{r.Require.kind != invalid, r.Optional, r.Public, r.Deny} {
		if set {
			n++
		}
	}
	return n == 1
}

// accessOf says in words who passes. Policies are told apart by the rule's number, since two of one name may be two.
func accessOf(r Rule, number int) string {
	switch {
	case r.Optional:
		return "optional"
	case r.Public:
		return "public"
	case r.Deny:
		return "deny"
	case len(r.Require.Policies()) > 0:
		return fmt.Sprintf("require %v in rule %d", r.Require, number)
	}
	return "require " + r.Require.String()
}

// Find returns the rule for a request, by its method, host and path. The error is an [*Error]: [ReasonAmbiguousTarget]
// where an upstream might read the target in another way than we do, [ReasonNoRule] where no rule names it. Unlike
// [http.ServeMux] it never redirects: where that would add a slash, there is no rule.
//
// Of the request it reads Method, Host, URL, RequestURI, and the fields of Header that ask for another method. One that
// was put together from what a proxy told may leave RequestURI empty.
func (t *Routes) Find(r *http.Request) (Rule, error) {
	target, problem := readTarget(r)
	if problem != "" {
		return Rule{}, refuse(ReasonAmbiguousTarget, problem)
	}
	if target.path == "*" || t.mux == nil {
		return Rule{}, refuse(ReasonNoRule, nil)
	}
	if t.hosts && target.host == "" {
		return Rule{}, refuse(ReasonAmbiguousTarget, ambiguity("no host"))
	}
	if t.ignoreCase {
		if target.path, problem = foldPath(target.path); problem != "" {
			return Rule{}, refuse(ReasonAmbiguousTarget, problem)
		}
		target.lazy = strings.ToLower(target.lazy)
	}
	found := t.match(&target, target.path)
	if found == nil || target.method == http.MethodConnect && found.pattern.method != http.MethodConnect {
		return Rule{}, refuse(ReasonNoRule, nil)
	}
	if target.lazy != "" && !found.same(t.match(&target, target.lazy)) {
		return Rule{}, refuse(ReasonAmbiguousTarget, ambiguity("needless escapes, and another rule with them"))
	}
	if other := t.otherSlash(&target, found); other != nil && !found.same(other) {
		return Rule{}, refuse(ReasonAmbiguousTarget, ambiguity("another rule with or without the slash at the end"))
	}
	return found.Rule, nil
}

// otherSlash is the rule for a path with a slash at its end in place of one without, or the other way round, if that
// rule isn't wider than found. Many routers don't mind the slash, and a rule for /admin must not be got around by asking
// for /admin/, nor one for what is under /admin/ by asking for /admin.
func (t *Routes) otherSlash(to *target, found *route) *route {
	bare, slashed := strings.CutSuffix(to.path, "/")
	switch {
	case bare == "":
		return nil
	case slashed:
		other := t.match(to, bare)
		if other != nil && !other.pattern.multi() && !pathCovers(other.pattern.path, found.pattern.bare()) {
			return other
		}
	case t.slashes:
		other := t.match(to, bare+"/")
		if other != nil && !pathCovers(other.pattern.path, found.pattern.path) &&
			!pathCovers(other.pattern.bare(), found.pattern.path) {
			return other
		}
	}
	return nil
}

// same reports whether two rules let the same requests pass.
func (r *route) same(other *route) bool {
	return r == other || other != nil && r.access == other.access
}

// match is what the ServeMux finds. Its own handlers, for redirects, 404 and 405, are no rules.
func (t *Routes) match(to *target, path string) *route {
	h, _ := t.mux.Handler(&http.Request{Method: to.method, Host: to.host, URL: &url.URL{Path: path}})
	found, _ := h.(*route)
	return found
}

// muxKnowsMethods reports whether ServeMux is that of Go 1.22. To the one before, a method is the beginning of a host.
func muxKnowsMethods() bool {
	mux := http.NewServeMux()
	mux.Handle("GET /{x}", new(route))
	_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/a"}})
	return pattern != ""
}
