package routesfile

import (
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"go.yaml.in/yaml/v3"
)

// entry is a rule as it is written.
type entry struct {
	route, host, path, access string
	methods, scopes, anyScope []string
	has                       map[string]bool
}

// rule reads the nth rule. It stands for one rule of a table for each of its methods.
func (p *parser) rule(n *yaml.Node, number int) {
	at := fmt.Sprintf("rule %d: ", number)
	before := len(p.errs)
	e := entry{has: make(map[string]bool)}
	if n.Kind == yaml.MappingNode {
		at = fmt.Sprintf("rule %d%s: ", number, named(n))
	}
	p.fields(n, at, func(key string, value *yaml.Node) bool {
		e.has[key] = true
		switch key {
		case "route":
			p.text(value, at+key, &e.route)
		case "host":
			p.text(value, at+key, &e.host)
		case "path":
			p.text(value, at+key, &e.path)
		case "access":
			p.text(value, at+key, &e.access)
		case "methods":
			p.list(value, at+key, &e.methods)
		case "scopes":
			p.scopes(value, at+key, &e.scopes)
		case "any_scope":
			p.scopes(value, at+key, &e.anyScope)
		default:
			return false
		}
		return true
	})
	if len(p.errs) > before {
		return // what is missing or wrong then only follows from that
	}
	patterns := p.patterns(n, at, &e)
	rule, ok := p.access(n, at, &e)
	if !ok {
		return
	}
	rule.Source = fmt.Sprintf("%s:%d: rule %d", p.name, n.Line, number)
	for _, rule.Pattern = range patterns {
		p.rules = append(p.rules, rule)
	}
}

// named is what a rule says that it is about, in parentheses, for messages.
func named(n *yaml.Node) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if (key == "route" || key == "path") && value.Kind == yaml.ScalarNode {
			return " (" + value.Value + ")"
		}
	}
	return ""
}

// patterns are the ServeMux patterns that a rule is for.
func (p *parser) patterns(n *yaml.Node, at string, e *entry) (patterns []string) {
	parts := e.has["path"] || e.has["host"] || e.has["methods"]
	switch {
	case e.has["route"] && parts:
		p.wrong(n, "%sroute excludes methods, host and path", at)
		return nil
	case e.has["route"]:
		return []string{e.route}
	case !e.has["path"]:
		p.wrong(n, "%swant a route, or a path", at)
		return nil
	case !strings.HasPrefix(e.path, "/"):
		p.wrong(n, "%spath: doesn't begin with a slash", at)
		return nil
	case strings.ContainsAny(e.host, "/ \t"):
		p.wrong(n, "%shost: want a name without a path", at)
		return nil
	case !e.has["methods"]:
		return []string{e.host + e.path}
	}
	for _, method := range e.methods {
		if method == "" || strings.ContainsAny(method, "/ \t") {
			p.wrong(n, "%smethods: %q is none", at, method)
			continue
		}
		patterns = append(patterns, method+" "+e.host+e.path)
	}
	return patterns
}

// access is a rule that says who passes.
func (p *parser) access(n *yaml.Node, at string, e *entry) (rule routes.Rule, ok bool) {
	scoped := e.has["scopes"] || e.has["any_scope"]
	switch {
	case scoped && e.has["access"]:
		p.wrong(n, "%saccess excludes scopes and any_scope", at)
		return rule, false
	case scoped:
		var of []xenaauth.Requirement
		if e.has["scopes"] {
			of = append(of, xenaauth.AllScopes(e.scopes...))
		}
		if e.has["any_scope"] {
			of = append(of, xenaauth.AnyScope(e.anyScope...))
		}
		rule.Access = routes.Require(of...)
		return rule, true
	}
	switch e.access {
	case "user":
		rule.Access = routes.Require(xenaauth.AnyUser())
	case "optional":
		rule.Access = routes.Optional()
	case "public":
		rule.Access = routes.Public()
	case "deny":
		rule.Access = routes.Deny()
	case "":
		p.wrong(n, "%swant scopes, any_scope or access", at)
		return rule, false
	default:
		p.wrong(n, "%saccess: %q is none of user, optional, public, deny", at, e.access)
		return rule, false
	}
	return rule, true
}

// text reads a string. Numbers, booleans and null are none unless they are quoted.
func (p *parser) text(n *yaml.Node, at string, into *string) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		p.wrong(n, "%s: want text", at)
		return
	}
	*into = n.Value
}

func (p *parser) list(n *yaml.Node, at string, into *[]string) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.wrong(n, "%s: want a list that isn't empty", at)
		return
	}
	*into = make([]string, len(n.Content))
	for i, one := range n.Content {
		p.text(one, at, &(*into)[i])
	}
}

// maxScopes is how many alternatives a requirement may have.
const maxScopes = 256

// scopes reads a list of scope tokens (RFC 6749, section 3.3).
func (p *parser) scopes(n *yaml.Node, at string, into *[]string) {
	p.list(n, at, into)
	if len(*into) > maxScopes {
		p.wrong(n, "%s: more than %d scopes", at, maxScopes)
		*into = (*into)[:maxScopes]
	}
	for i, scope := range *into {
		illegal := func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }
		if n.Content[i].Tag == "!!str" && (scope == "" || strings.ContainsFunc(scope, illegal)) {
			p.wrong(n.Content[i], "%s: %q is no scope token", at, scope)
		}
	}
}
