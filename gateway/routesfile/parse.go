// Package routesfile reads a [routes.Table] from a YAML or JSON file, and reads it again when the
// file changes:
//
//	ignore_case: true                          # the upstreams treat /Admin like /admin
//	rules:
//	  - route: GET /Api/User/FiscalSetup       # [METHOD ][HOST]/PATH, a pattern of http.ServeMux
//	    scopes: [testapi]                      # the token needs all of them
//	  - path: /Api/Report/                     # a pattern can be written in parts
//	    methods: [GET, POST]
//	    any_scope: [testapi, reports]          # the token needs at least one of them
//	  - route: POST /Api/Payment
//	    scopes: [testapi]
//	    bound: true                            # and a token that is bound to a key
//	  - {route: /Api/Profile/, access: user}   # any valid token
//	  - {route: GET /news, access: optional}   # without a token, or with a valid one
//	  - {route: GET /health, access: public}   # every request
//	  - {route: /Api/Profile/Audit, access: deny} # no request
//
// A file with a mistake is refused as a whole. Unknown and repeated keys, values of another type,
// anchors, aliases, tags and a second document are mistakes.
package routesfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/xenaauth/xenaauth/gateway/routes"
	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest size of a file, in bytes.
const MaxSize = 1 << 20

// Parse returns the table in a file. name is the name of the file in errors. The error lists the
// mistakes with their lines and rules, joined by [errors.Join]. If the YAML itself has a mistake,
// for example an alias, Parse does not look at the rules. If a rule has a wrong key or value, Parse
// does not look for more mistakes in this rule. The Source of a rule is "name:line: rule n".
func Parse(name string, data []byte) (*routes.Table, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, MaxSize)
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: empty", name)
	case err != nil:
		return nil, syntaxError(name, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document", name)
	}
	return ParseNode(name, &document)
}

// ParseNode returns the table in a part of a larger YAML file: a node with the keys rules and
// ignore_case. Errors, and the Source of rules, have the form that [Parse] describes, with the
// lines of the larger file.
func ParseNode(name string, node *yaml.Node) (*routes.Table, error) {
	p := &parser{name: name}
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	p.checkPlain(node, 0)
	if len(p.errs) > 0 {
		// Do not look for more mistakes in the file: they may only be consequences of those that
		// checkPlain found.
		return nil, errors.Join(p.errs...)
	}
	p.readRules(node)
	table, err := routes.New(p.rules, &routes.Options{IgnoreCase: p.ignoreCase})
	if err = errors.Join(append(p.errs, err)...); err != nil {
		return nil, err
	}
	return table, nil
}

// syntaxError returns the error for a file that package yaml can't parse. name is the name of the
// file, and err is the error of package yaml. The result contains no text of the file: somebody may
// have written a secret there.
func syntaxError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "unknown anchor ") {
		// In YAML, a text without quotes that begins with "*" is an alias: it names an anchor. If
		// there is no such anchor, the error of package yaml contains this text of the file, which
		// may be a secret. So syntaxError returns an error without the text.
		return errors.New(name +
			": anchors and aliases are not supported: quote text with a * at its start")
	}
	found := syntaxMistake.FindStringSubmatch(text)
	if found == nil {
		return fmt.Errorf("%s: the YAML is not valid", name) // text may contain a part of the file
	}
	if line := found[1]; line != "" {
		name += ":" + line
	}
	return fmt.Errorf("%s: %s", name, found[2])
}

// syntaxMistake is a regular expression for the errors of package yaml that are known to contain no
// text of the file. Its first group is the line number, which some of these errors lack.
var syntaxMistake = regexp.MustCompile(`^(?:line (\d+): )?(` +
	`(?:did not find|could not find|found|mapping keys are|mapping values are|` +
	`block sequence entries are|control characters are|exceeded max depth|invalid leading|` +
	`invalid trailing|invalid length|invalid Unicode|incomplete|expected low surrogate|` +
	`unexpected low surrogate) .*)$`)

// parser collects the rules and the mistakes of a file.
type parser struct {
	name       string
	errs       []error
	rules      []routes.Rule
	ignoreCase bool
}

func (p *parser) addMistake(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.name, n.Line, fmt.Sprintf(format, args...)))
}

// parser.checkPlain refuses features of YAML other than lists, mappings and values, because with
// other features a rule could mean something different from what its text shows. It also refuses a
// node that is nested too deeply.
func (p *parser) checkPlain(n *yaml.Node, depth int) {
	const deepest = 8
	switch {
	case depth > deepest:
		p.addMistake(n, "nested too deeply")
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		p.addMistake(n, "anchors and aliases are not supported")
		return
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!merge":
		p.addMistake(n, "tags and merge keys are not supported")
		return
	}
	for _, inner := range n.Content {
		p.checkPlain(inner, depth+1)
	}
}

// parser.readMapping reads a mapping of the YAML file. It calls the function readKey with each key
// and its value. readKey returns false if it does not know the key. Unknown and repeated keys are
// mistakes; the error texts of these mistakes begin with prefix.
func (p *parser) readMapping(
	n *yaml.Node, prefix string, readKey func(key string, value *yaml.Node) (known bool),
) {
	if n.Kind != yaml.MappingNode {
		p.addMistake(n, "%swant a mapping", prefix)
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.addMistake(key, "%sa key is not a word", prefix)
		case seen[key.Value]:
			p.addMistake(key, "%skey %q is repeated", prefix, key.Value)
		case !readKey(key.Value, n.Content[i+1]):
			p.addMistake(key, "%sunknown key %q", prefix, key.Value)
		}
		seen[key.Value] = true
	}
}

func (p *parser) readRules(n *yaml.Node) {
	listed := false
	p.readMapping(n, "", func(key string, value *yaml.Node) bool {
		switch key {
		case "ignore_case":
			p.readBool(value, key, &p.ignoreCase)
		case "rules":
			listed = true
			if value.Kind != yaml.SequenceNode {
				p.addMistake(value, "rules: want a list")
				return true
			}
			for i, rule := range value.Content {
				p.readRule(rule, i+1)
			}
		default:
			return false
		}
		return true
	})
	if !listed && n.Kind == yaml.MappingNode {
		p.addMistake(n, "rules is missing: to refuse all requests, write an empty list")
	}
}
