package routesfile

import (
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"go.yaml.in/yaml/v3"
)

// entry contains one rule of the file as it is written there: the values of its keys.
type entry struct {
	route, host, path, access string
	methods, scopes, anyScope []string
	bound                     bool
	has                       map[string]bool
}

// parser.rule reads one rule of the file. number is the position of the rule in the list. If the
// rule has methods, the table gets one rule for each method.
func (p *parser) rule(n *yaml.Node, number int) {
	at := fmt.Sprintf("rule %d: ", number)
	before := len(p.errs)
	e := entry{has: make(map[string]bool)}
	if n.Kind == yaml.MappingNode {
		at = fmt.Sprintf("rule %d%s: ", number, routeForErrors(n))
	}
	p.readMapping(n, at, func(key string, value *yaml.Node) bool {
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
		case "bound":
			p.flag(value, at+key, &e.bound)
		default:
			return false
		}
		return true
	})
	if len(p.errs) > before {
		// Do not look for more mistakes in this rule: they may only be consequences of those that
		// were found. For example, an access that is not a string would also be reported as
		// missing.
		return
	}
	patterns := p.patterns(n, at, &e)
	access, ok := p.access(n, at, &e)
	if !ok {
		return
	}
	source := fmt.Sprintf("%s:%d: rule %d", p.name, n.Line, number)
	for _, pattern := range patterns {
		p.rules = append(p.rules, routes.Rule{Pattern: pattern, Access: access, Source: source})
	}
}

// routeForErrors returns the route or path of a rule in parentheses, for error texts.
func routeForErrors(n *yaml.Node) string {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		if (key == "route" || key == "path") && value.Kind == yaml.ScalarNode {
			return " (" + value.Value + ")"
		}
	}
	return ""
}

// parser.patterns returns the patterns of a rule of the file: one pattern for each of its methods.
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
			p.wrong(n, "%smethods: %q is not a method", at, method)
			continue
		}
		patterns = append(patterns, method+" "+e.host+e.path)
	}
	return patterns
}

// parser.access returns the Access of a rule of the file. ok is false if there is a mistake in the
// rule.
func (p *parser) access(n *yaml.Node, at string, e *entry) (access routes.Access, ok bool) {
	scoped := e.has["scopes"] || e.has["any_scope"]
	switch {
	case scoped && e.has["access"]:
		p.wrong(n, "%saccess excludes scopes and any_scope", at)
		return access, false
	case e.bound && !scoped && e.access != "user":
		p.wrong(n, "%sbound needs scopes, any_scope or access: user", at)
		return access, false
	case scoped || e.bound:
		var of []xenaauth.Requirement
		if e.bound {
			of = append(of, xenaauth.BoundToken())
		}
		if e.has["scopes"] {
			of = append(of, xenaauth.AllScopes(e.scopes...))
		}
		if e.has["any_scope"] {
			of = append(of, xenaauth.AnyScope(e.anyScope...))
		}
		return routes.Require(of...), true
	}
	switch e.access {
	case "user":
		return routes.Require(xenaauth.AnyUser()), true
	case "optional":
		return routes.Optional(), true
	case "public":
		return routes.Public(), true
	case "deny":
		return routes.Deny(), true
	case "":
		p.wrong(n, "%swant scopes, any_scope or access", at)
	default:
		p.wrong(n, "%saccess: %q is not user, optional, public or deny", at, e.access)
	}
	return access, false
}

// parser.flag reads a value of the file that is true or false.
func (p *parser) flag(n *yaml.Node, at string, into *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(into) != nil {
		p.wrong(n, "%s: want true or false", at)
	}
}

// parser.text reads a value of the file that is a string. A number, a boolean or null is a mistake
// unless it is in quotation marks.
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

// maxScopes is the largest number of scopes in a rule of the file. A Requirement can't have more
// alternative sets of scopes than that.
const maxScopes = 256

// parser.scopes reads the scopes of a rule of the file (RFC 6749, section 3.3).
func (p *parser) scopes(n *yaml.Node, at string, into *[]string) {
	p.list(n, at, into)
	if len(*into) > maxScopes {
		p.wrong(n, "%s: more than %d scopes", at, maxScopes)
		*into = (*into)[:maxScopes]
	}
	for i, scope := range *into {
		illegal := func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }
		if n.Content[i].Tag == "!!str" && (scope == "" || strings.ContainsFunc(scope, illegal)) {
			p.wrong(n.Content[i], "%s: %q is not a scope token", at, scope)
		}
	}
}
