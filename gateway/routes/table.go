package routes

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth/internal/target"
)

// Rule says which requests to a route may pass.
type Rule struct {
	// Pattern is a pattern of [http.ServeMux]: "[METHOD ][HOST]/[PATH]". The most specific pattern
	// wins. GET matches HEAD too. A pattern without a method matches every method but CONNECT, which
	// asks for a tunnel. The host has no port. A path that ends in a slash matches every path below
	// it. A wildcard is a whole segment, like {id}; "*" is no wildcard.
	Pattern string
	// Access says which of the requests may pass.
	Access Access
	// Source says where the rule is written, for example "routes.yaml:12". Messages contain it. If
	// "", it is the number of the rule in the table.
	Source string
}

// Options tune [New]. The zero value and a nil pointer mean the defaults.
type Options struct {
	// IgnoreCase compares patterns and paths without regard to case. It is for upstreams that do the
	// same, like ASP.NET: to them /Admin and /admin are one path. A path with a character whose lower
	// case is disputed is then refused.
	IgnoreCase bool
}

// Table is a table of rules. A request that no rule matches is refused. A table doesn't change and
// is safe for concurrent use. The zero value has no rules.
type Table struct {
	mux        *http.ServeMux // finds rules, and never responds
	rules      []*route
	ignoreCase bool
	hosts      bool // a rule names a host
	slashes    bool // a rule matches paths that end in a slash
}

// IgnoresCase reports whether the table compares paths without regard to case: [Options.IgnoreCase].
func (t *Table) IgnoresCase() bool { return t.ignoreCase }

// Rules returns the rules in the order in which [New] got them, each with its Source.
func (t *Table) Rules() []Rule {
	rules := make([]Rule, len(t.rules))
	for i, r := range t.rules {
		rules[i] = r.Rule
	}
	return rules
}

// route is a compiled rule.
type route struct {
	Rule
	pattern pattern
	access  string // equal for two routes only if they let the same requests pass
}

// ServeHTTP makes route a handler, because a ServeMux holds handlers.
func (*route) ServeHTTP(http.ResponseWriter, *http.Request) { panic("routes: a rule is no handler") }

// String names the rule, for messages.
func (r *route) String() string { return ruleName(r.Rule) }

func ruleName(r Rule) string { return fmt.Sprintf("%s (%s)", r.Source, r.Pattern) }

// New compiles rules. Its error lists every mistake, joined by [errors.Join], each with the Source
// of its rule: patterns that are illegal, patterns that conflict with another, patterns that match
// no request because [Table.Find] refuses all such requests, and rules without an Access.
func New(rules []Rule, opts *Options) (*Table, error) {
	t := &Table{mux: http.NewServeMux(), ignoreCase: opts != nil && opts.IgnoreCase}
	if !muxReadsMethods() {
		return nil, errors.New("routes: GODEBUG=httpmuxgo121=1 is not supported")
	}
	var errs []error
	for i, rule := range rules {
		prefix := ""
		if rule.Source == "" {
			rule.Source, prefix = fmt.Sprintf("rule %d", i+1), "routes: "
		}
		wrong := func(format string, args ...any) {
			text := fmt.Sprintf(format, args...)
			errs = append(errs, fmt.Errorf("%s%s: %s", prefix, ruleName(rule), text))
		}
		r := &route{Rule: rule, access: rule.Access.key(i)}
		if rule.Access.kind == unset {
			wrong("Access is missing: use Require, Optional, Public or Deny")
		}
		var err error
		if r.pattern, err = parsePattern(rule.Pattern, t.ignoreCase); err != nil {
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
func (t *Table) add(r *route) error {
	if err := register(http.NewServeMux(), r); err != nil {
		return err // the pattern is illegal without any other rule
	}
	if err := register(t.mux, r); err != nil {
		for _, other := range t.rules {
			if r.pattern.conflicts(other.pattern) {
				return fmt.Errorf("conflicts with %v: both match some requests, "+
					"and neither is more specific", other)
			}
		}
		return err
	}
	t.rules = append(t.rules, r)
	t.hosts = t.hosts || r.pattern.host != ""
	t.slashes = t.slashes || r.pattern.slashed()
	return nil
}

// register returns the panic of a ServeMux about a pattern as an error.
func register(mux *http.ServeMux, r *route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux.Handle(r.pattern.String(), r)
	return nil
}

var errNoMatch = errors.New(
	"no rule matches the request: add a rule for its method and path to the table")

const (
	errHost    = target.Ambiguity("the host is missing")
	errEscapes = target.Ambiguity("another rule matches the path before needless escapes are decoded")
	errSlash   = target.Ambiguity("another rule matches the path with or without the slash at its end")
)

// Find returns the rule for a request, by its method, host and path. Its error is an
// [*xenaauth.Error]: the reason is [xenaauth.ReasonAmbiguousTarget] if an upstream may read the
// target in another way, and [xenaauth.ReasonNoRule] if no rule matches. Unlike [http.ServeMux],
// Find never redirects: where a ServeMux adds a slash, no rule matches.
//
// Find reads the Method, Host, URL and RequestURI of r, and the header fields that ask for another
// method. RequestURI may be empty, in a request that a program made.
func (t *Table) Find(r *http.Request) (Rule, error) {
	to, err := readTarget(r)
	if err != nil {
		return Rule{}, ambiguous(err)
	}
	if to.Path == "*" || t.mux == nil {
		return Rule{}, noRule(errNoMatch)
	}
	if t.hosts && to.Host == "" {
		return Rule{}, ambiguous(errHost)
	}
	if t.ignoreCase {
		if to.Path, err = target.FoldPath(to.Path); err != nil {
			return Rule{}, ambiguous(err)
		}
		to.RawPath = strings.ToLower(to.RawPath)
	}
	found := t.match(&to, to.Path)
	if found == nil || to.Method == http.MethodConnect && found.pattern.method != http.MethodConnect {
		return Rule{}, noRule(errNoMatch)
	}
	if to.RawPath != "" && !found.same(t.match(&to, to.RawPath)) {
		return Rule{}, ambiguous(errEscapes)
	}
	if other := t.otherSlash(&to, found); other != nil && !found.same(other) {
		return Rule{}, ambiguous(errSlash)
	}
	return found.Rule, nil
}

// otherSlash returns the rule that matches the path without the slash at its end, or with one if it
// has none. It returns nil if that rule is wider than found. Many routers ignore this slash. A
// client must not avoid the rule for /admin with /admin/, or the rule for the paths below /admin/
// with /admin.
func (t *Table) otherSlash(to *target.Target, found *route) *route {
	bare, slashed := strings.CutSuffix(to.Path, "/")
	switch {
	case bare == "":
		return nil
	case slashed:
		other := t.match(to, bare)
		if other != nil && !other.pattern.multi() &&
			!pathCovers(other.pattern.path, found.pattern.bare()) {
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

// match returns the rule that the ServeMux finds for a path. The ServeMux also has handlers of its
// own, for redirects, 404 and 405; for these match returns nil.
func (t *Table) match(to *target.Target, path string) *route {
	h, _ := t.mux.Handler(&http.Request{Method: to.Method, Host: to.Host, URL: &url.URL{Path: path}})
	found, _ := h.(*route)
	return found
}

// muxReadsMethods reports whether ServeMux reads patterns as since Go 1.22. Before that, a method in
// a pattern was the beginning of a host.
func muxReadsMethods() bool {
	mux := http.NewServeMux()
	mux.Handle("GET /{x}", new(route))
	_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/a"}})
	return pattern != ""
}
