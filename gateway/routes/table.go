package routes

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth/internal/target"
)

// Rule says which of the requests that match a pattern are allowed.
type Rule struct {
	// Pattern is a pattern of [http.ServeMux]: "[METHOD ][HOST]/[PATH]". If several patterns match
	// a request, the most specific one decides. GET also matches HEAD. A pattern without a method
	// matches every method except CONNECT, which asks for a tunnel. The host has no port. A path
	// that ends in a slash matches every path below it. A wildcard is a whole segment, like {id};
	// "*" is not a wildcard.
	Pattern string
	// Access says which of the matching requests are allowed.
	Access Access
	// Source says where the rule is written, for example "routes.yaml:12". Errors and findings
	// contain Source. If Source is "", they contain the number of the rule in the table.
	Source string
}

// Options configure [New]. A nil pointer means the zero value, and the zero value of each field is
// its default.
type Options struct {
	// IgnoreCase compares patterns and paths without regard to case. Set IgnoreCase if the
	// upstreams ignore case too, like ASP.NET. Such upstreams treat /Admin and /admin as the same
	// path. Servers disagree about the lower case of some characters. If IgnoreCase is set, a path
	// with one of these characters is refused.
	IgnoreCase bool
}

// Table is a table of rules. A request that matches no rule is refused. A table doesn't change, and
// is safe for concurrent use. The zero value has no rules.
type Table struct {
	mux        *http.ServeMux // mux finds the rule for a request; it never writes a response
	rules      []*parsedRule
	ignoreCase bool
	hasHosts   bool // hasHosts means that at least one rule names a host
	hasSlashes bool // hasSlashes means that matchesLastSlash is true for at least one rule
}

// IgnoresCase reports whether [Options.IgnoreCase] was set.
func (t *Table) IgnoresCase() bool { return t.ignoreCase }

// Rules returns the rules in the order in which [New] got them, each with its Source.
func (t *Table) Rules() []Rule {
	rules := make([]Rule, len(t.rules))
	for i, r := range t.rules {
		rules[i] = r.Rule
	}
	return rules
}

// parsedRule is a rule with its parsed pattern.
type parsedRule struct {
	Rule
	pattern pattern
	// accessKey is the result of Access.key. If two rules have the same accessKey, they have the
	// same access.
	accessKey string
}

// ServeHTTP is never called. The table stores its rules in a ServeMux, and a ServeMux accepts only
// values that have the method ServeHTTP.
func (*parsedRule) ServeHTTP(http.ResponseWriter, *http.Request) {
	panic("routes: a rule is no handler")
}

// String returns the Source and the pattern of the rule, for errors.
func (r *parsedRule) String() string { return ruleName(r.Rule) }

func ruleName(r Rule) string { return fmt.Sprintf("%s (%s)", r.Source, r.Pattern) }

// New returns a table of rules. Its error lists every mistake, joined by [errors.Join], each with
// the Source of its rule. A mistake is a pattern that is illegal, a pattern that conflicts with the
// pattern of another rule, a pattern whose requests are all refused by [Table.Find], or a rule
// without an Access.
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
		r := &parsedRule{Rule: rule, accessKey: rule.Access.key(i)}
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

func (t *Table) add(r *parsedRule) error {
	if err := registerRule(http.NewServeMux(), r); err != nil {
		// The pattern itself is wrong. New reports this error, and no conflicts of the pattern with
		// other patterns.
		return err
	}
	if err := registerRule(t.mux, r); err != nil {
		for _, other := range t.rules {
			if r.pattern.conflicts(other.pattern) {
				return fmt.Errorf("conflicts with %v: both match some requests, "+
					"and neither is more specific", other)
			}
		}
		return err
	}
	t.rules = append(t.rules, r)
	t.hasHosts = t.hasHosts || r.pattern.host != ""
	t.hasSlashes = t.hasSlashes || r.pattern.matchesLastSlash()
	return nil
}

// registerRule adds a rule to a ServeMux. The ServeMux panics if the pattern is wrong. Then
// registerRule returns the value of the panic as an error.
func registerRule(mux *http.ServeMux, r *parsedRule) (err error) {
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

// Find returns the rule for a request, by its method, host and path. The error is an
// [*xenaauth.Error]. Its reason is [xenaauth.ReasonAmbiguousTarget] if an upstream may read the
// target differently, or if a rule of the table names a host and the request has none. Its reason
// is [xenaauth.ReasonNoRule] if no rule matches. Find never redirects: where an [http.ServeMux]
// would redirect to a path with a slash, no rule matches.
//
// Find reads Method, Host, URL and RequestURI of r. It also reads header fields with which a client
// asks for another method, such as X-HTTP-Method-Override. RequestURI may be empty, if a program
// made the request and no server received it.
func (t *Table) Find(r *http.Request) (Rule, error) {
	to, err := readTarget(r)
	if err != nil {
		return Rule{}, ambiguous(err)
	}
	if to.Path == "*" || t.mux == nil {
		return Rule{}, noRule(errNoMatch)
	}
	if t.hasHosts && to.Host == "" {
		return Rule{}, ambiguous(errHost)
	}
	if t.ignoreCase {
		if to.Path, err = target.FoldPath(to.Path); err != nil {
			return Rule{}, ambiguous(err)
		}
		to.RawPath = strings.ToLower(to.RawPath)
	}
	found := t.findRule(&to, to.Path)
	if found == nil || to.Method == http.MethodConnect && found.pattern.method != http.MethodConnect {
		return Rule{}, noRule(errNoMatch)
	}
	if to.RawPath != "" && !found.hasSameAccess(t.findRule(&to, to.RawPath)) {
		return Rule{}, ambiguous(errEscapes)
	}
	if other := t.findOtherSlash(&to, found); other != nil && !found.hasSameAccess(other) {
		return Rule{}, ambiguous(errSlash)
	}
	return found.Rule, nil
}

// Table.findOtherSlash returns the rule for a second path: the path of the request without the
// slash at its end, or with a slash added if it has none. foundRule is the rule for the path of the
// request itself. Many routers treat both paths as the same path, so a client could send one path
// to avoid the rule for the other. Therefore the caller refuses the request if the two rules have
// different access.
//
// If the result is nil, the caller does not refuse the request. findOtherSlash returns nil in these
// cases:
//   - The path is "/", or no rule matches the second path.
//   - The rule for the second path has a wider pattern than foundRule. Then foundRule may be an
//     intended exception from the wider rule.
//   - The two patterns differ only in the slash at the end. Then the table says what each of the
//     two paths requires.
func (t *Table) findOtherSlash(to *target.Target, foundRule *parsedRule) *parsedRule {
	bare, slashed := strings.CutSuffix(to.Path, "/")
	switch {
	case bare == "":
		return nil
	case slashed:
		other := t.findRule(to, bare)
		if other != nil && !other.pattern.matchesRest() &&
			!pathCovers(other.pattern.path, foundRule.pattern.pathWithoutSlash()) {
			return other
		}
	case t.hasSlashes:
		other := t.findRule(to, bare+"/")
		if other != nil && !pathCovers(other.pattern.path, foundRule.pattern.path) &&
			!pathCovers(other.pattern.pathWithoutSlash(), foundRule.pattern.path) {
			return other
		}
	}
	return nil
}

// parsedRule.hasSameAccess reports whether two rules have the same access. If otherRule is nil, the
// result is false.
func (r *parsedRule) hasSameAccess(otherRule *parsedRule) bool {
	return r == otherRule || otherRule != nil && r.accessKey == otherRule.accessKey
}

// Table.findRule returns the rule that the ServeMux finds for a path. If the ServeMux finds no
// rule, findRule returns nil. In this case the ServeMux of net/http would redirect the request, or
// answer 404 or 405.
func (t *Table) findRule(to *target.Target, path string) *parsedRule {
	h, _ := t.mux.Handler(&http.Request{Method: to.Method, Host: to.Host, URL: &url.URL{Path: path}})
	found, _ := h.(*parsedRule)
	return found
}

// muxReadsMethods reports whether ServeMux accepts methods in patterns. Before Go 1.22, and with
// GODEBUG=httpmuxgo121=1, ServeMux reads the method in a pattern as a part of the host.
func muxReadsMethods() bool {
	mux := http.NewServeMux()
	mux.Handle("GET /{x}", new(parsedRule))
	_, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/a"}})
	return pattern != ""
}
