package routesfile

import (
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"go.yaml.in/yaml/v3"
)

// fileRule contains one rule of the file as it is written there: the values of its keys.
type fileRule struct {
	route, host, path, access string
	methods, scopes, anyScope []string
	bound                     bool
	has                       map[string]bool
}

// parser.readRule reads one rule of the file. number is the position of the rule in the list. If
// the rule has methods, the table gets one rule for each method.
func (p *parser) readRule(n *yaml.Node, number int) {
	at := fmt.Sprintf("rule %d: ", number)
	before := len(p.errs)
	e := fileRule{has: make(map[string]bool)}
	if n.Kind == yaml.MappingNode {
		at = fmt.Sprintf("rule %d%s: ", number, routeForErrors(n))
	}
	p.readMapping(n, at, func(key string, value *yaml.Node) bool {
		e.has[key] = true
		switch key {
		case "route":
			p.readText(value, at+key, &e.route)
		case "host":
			p.readText(value, at+key, &e.host)
		case "path":
			p.readText(value, at+key, &e.path)
		case "access":
			p.readText(value, at+key, &e.access)
		case "methods":
			p.readList(value, at+key, &e.methods)
		case "scopes":
			p.readScopes(value, at+key, &e.scopes)
		case "any_scope":
			p.readScopes(value, at+key, &e.anyScope)
		case "bound":
			p.readBool(value, at+key, &e.bound)
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
	patterns := p.readPatterns(n, at, &e)
	access, ok := p.readAccess(n, at, &e)
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

// parser.readPatterns returns the patterns of a rule of the file: one pattern for each of its
// methods, or a single pattern if the rule has no list of methods. If a method has a mistake,
// readPatterns returns no pattern for this method. If another part of the rule has a mistake, it
// returns no pattern at all. It adds the mistake to the errors of the parser.
func (p *parser) readPatterns(n *yaml.Node, at string, e *fileRule) (patterns []string) {
	parts := e.has["path"] || e.has["host"] || e.has["methods"]
	switch {
	case e.has["route"] && parts:
		p.addMistake(n, "%sroute excludes methods, host and path", at)
		return nil
	case e.has["route"]:
		return []string{e.route}
	case !e.has["path"]:
		p.addMistake(n, "%swant a route, or a path", at)
		return nil
	case !strings.HasPrefix(e.path, "/"):
		p.addMistake(n, "%spath: doesn't begin with a slash", at)
		return nil
	case strings.ContainsAny(e.host, "/ \t"):
		p.addMistake(n, "%shost: want a name without a path", at)
		return nil
	case !e.has["methods"]:
		return []string{e.host + e.path}
	}
	for _, method := range e.methods {
		if method == "" || strings.ContainsAny(method, "/ \t") {
			p.addMistake(n, "%smethods: %q is not a method", at, method)
			continue
		}
		patterns = append(patterns, method+" "+e.host+e.path)
	}
	return patterns
}

// parser.readAccess returns the Access of a rule of the file. ok is false if there is a mistake in
// the rule.
func (p *parser) readAccess(n *yaml.Node, at string, e *fileRule) (access routes.Access, ok bool) {
	scoped := e.has["scopes"] || e.has["any_scope"]
	switch {
	case scoped && e.has["access"]:
		p.addMistake(n, "%saccess excludes scopes and any_scope", at)
		return access, false
	case e.bound && !scoped && e.access != "user":
		p.addMistake(n, "%sbound needs scopes, any_scope or access: user", at)
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
		p.addMistake(n, "%swant scopes, any_scope or access", at)
	default:
		p.addMistake(n, "%saccess: %q is not user, optional, public or deny", at, e.access)
	}
	return access, false
}

// parser.readBool reads a value of the file that is true or false.
func (p *parser) readBool(n *yaml.Node, at string, into *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(into) != nil {
		p.addMistake(n, "%s: want true or false", at)
	}
}

// parser.readText reads a value of the file that is a string. A number, a boolean or null is a
// mistake unless it is in quotation marks.
func (p *parser) readText(n *yaml.Node, at string, into *string) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		p.addMistake(n, "%s: want text", at)
		return
	}
	*into = n.Value
}

func (p *parser) readList(n *yaml.Node, at string, into *[]string) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.addMistake(n, "%s: want a list that isn't empty", at)
		return
	}
	*into = make([]string, len(n.Content))
	for i, one := range n.Content {
		p.readText(one, at, &(*into)[i])
	}
}

// maxScopes is the largest number of scopes in a list of a rule. A Requirement can't have more
// alternative sets of scopes than that.
const maxScopes = 256

// parser.readScopes reads a list of scopes in a rule of the file (RFC 6749, section 3.3).
func (p *parser) readScopes(n *yaml.Node, at string, into *[]string) {
	p.readList(n, at, into)
	if len(*into) > maxScopes {
		p.addMistake(n, "%s: more than %d scopes", at, maxScopes)
		*into = (*into)[:maxScopes]
	}
	for i, scope := range *into {
		illegal := func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }
		if n.Content[i].Tag == "!!str" && (scope == "" || strings.ContainsFunc(scope, illegal)) {
			p.addMistake(n.Content[i], "%s: %q is not a scope token", at, scope)
		}
	}
}
