package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSize is the largest size of a configuration file, in bytes.
const maxSize = 4 << 20

// A sourceFile is the content of a configuration file, with the line of each key, and the mistakes
// that were found until now.
type sourceFile struct {
	path string
	data []byte
	// lines contains the line number of each key in the configuration file. The map key is the
	// dotted name, for example "identity.assertion" or "upstreams.0.url".
	lines map[string]int
	// values contains the YAML value of each key in the configuration file. The map key is the
	// dotted name.
	values map[string]*yaml.Node
	root   *yaml.Node
	errs   []error
	// mistakenLines contains the lines on which a mistake in the YAML was found
	mistakenLines map[int]bool
}

func newSource(path string, data []byte) *sourceFile {
	return &sourceFile{
		path: path, data: data, lines: make(map[string]int), values: make(map[string]*yaml.Node),
		mistakenLines: make(map[int]bool),
	}
}

func (s *sourceFile) name() string { return filepath.Base(s.path) }

// sourceFile.addMistake records a mistake in the YAML of the configuration file.
func (s *sourceFile) addMistake(line int, format string, args ...any) {
	s.mistakenLines[line] = true
	s.errs = append(s.errs, fmt.Errorf("%s:%d: %s", s.name(), line, fmt.Sprintf(format, args...)))
}

// sourceFile.addMistakeAt records a mistake in the value of a key of the configuration file. The
// parameter key is a dotted name, such as "admin.listen". If the file lacks the key, the error
// contains the line of the section to which the key belongs, or line 1. If the YAML on the line of
// the key has a mistake, the value of the key is not known. Then addMistakeAt records nothing.
func (s *sourceFile) addMistakeAt(key, format string, args ...any) {
	if line, ok := s.lines[key]; ok && s.mistakenLines[line] {
		return
	}
	if n, ok := s.values[key]; ok && s.mistakenLines[n.Line] {
		return // the value is not on the line of its key
	}
	s.errs = append(s.errs, s.addPlace(key, fmt.Errorf(format, args...)))
}

// sourceFile.addPlace adds a place to err and returns the result. The place is the name of the
// configuration file, the line of a key, and the key. If the file lacks the key, the line is that
// of the innermost section that the file has, or 1.
func (s *sourceFile) addPlace(key string, err error) error {
	line := 1
	for inner := key; inner != ""; {
		if n, ok := s.lines[inner]; ok {
			line = n
			break
		}
		cut := strings.LastIndexByte(inner, '.')
		inner = inner[:max(cut, 0)]
	}
	return fmt.Errorf("%s:%d: %s: %w", s.name(), line, key, err)
}

// parseFile decodes a configuration file. It returns an error only if the text is not one document
// with a YAML mapping, is too long, or has unusual line breaks. If parts of the YAML are wrong, the
// Config that it returns has the values of all other parts, and its field source.errs lists the
// mistakes. Then Config.check can also find mistakes in the other parts.
func parseFile(path string, data []byte) (*Config, error) {
	c := &Config{source: newSource(path, data)}
	if err := c.source.decodeInto(c); err != nil {
		return nil, err
	}
	return c, nil
}

// sourceFile.decodeInto sets the fields of c to the values in the configuration file.
func (s *sourceFile) decodeInto(c *Config) (fatal error) {
	if len(s.data) > maxSize {
		return fmt.Errorf("%s: longer than %d bytes", s.name(), maxSize)
	}
	if at := strangeBreak.FindIndex(s.data); at != nil {
		line := 1 + bytes.Count(s.data[:at[0]], []byte{'\n'})
		return fmt.Errorf("%s:%d: a line break other than LF and CR LF", s.name(), line)
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(s.data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s: empty", s.name())
	case err != nil:
		return s.parseError(err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document", s.name())
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: want a mapping", s.name(), root.Line)
	}
	s.root = root
	s.walk(root, "", 0, reflect.TypeFor[Config]())
	s.decode(root, c)
	decodeKeys(s, "tokens", tokenKeys, &c.Tokens.Config)
	if i := c.Tokens.Introspection; i != nil {
		decodeKeys(s, "tokens.introspection", introspectionKeys, &i.Config)
	}
	decodeKeys(s, "possession.dpop", dpopKeys, &c.Possession.DPoP.Config)
	if p := c.Possession.ClientCertificate; p != nil {
		decodeKeys(s, "possession.client_certificate", clientCertificateKeys, &p.Config)
	}
	decodeKeys(s, "identity", identityKeys, &c.Identity.Config)
	if a := c.Identity.Assertion; a != nil {
		decodeKeys(s, "identity.assertion", assertionKeys, &a.Config)
	}
	return nil
}

// sourceFile.parseError returns the error for a configuration file that package yaml can't parse.
// err is the error of package yaml. The result contains no values of the configuration file.
func (s *sourceFile) parseError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.HasPrefix(text, "unknown anchor ") {
		// In YAML, a text without quotes that begins with "*" is an alias: the name of an anchor.
		// This error of package yaml contains the name, which may be a secret without its quotes.
		return fmt.Errorf("%s: anchors and aliases are not supported: quote text with a * at its start",
			s.name())
	}
	return errors.New(s.name() + ":" + lineOf.ReplaceAllString(text, "$1: "))
}

// sourceFile.decode decodes the value of a YAML node into the variable to which target points. It
// reports whether the value could be decoded. If not, it adds the mistake to s.errs.
func (s *sourceFile) decode(n *yaml.Node, target any) bool {
	err := n.Decode(target)
	if err == nil {
		return true
	}
	typed, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		s.addMistake(n.Line, "the value is not valid") // err may contain a value
		return false
	}
	for _, text := range typed.Errors {
		line, what := n.Line, inPlainWords(lineOf.ReplaceAllString(text, ""))
		if found := lineOf.FindStringSubmatch(text); found != nil && found[1] != "" {
			line, _ = strconv.Atoi(found[1])
		}
		s.addMistake(line, "%s", what)
	}
	return false
}

// sourceFile.walk records the line of each key in the YAML tree of the configuration file. It
// refuses unknown keys, repeated keys, keys without a value, nesting that is too deep, and every
// feature of YAML except scalar values, lists and mappings. It removes the refused nodes from the
// tree, or replaces them by null. It ignores the table of routes, because package routesfile checks
// it.
func (s *sourceFile) walk(n *yaml.Node, name string, depth int, into reflect.Type) {
	if !s.isPlain(n, name, depth) {
		*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null", Line: n.Line, Column: n.Column}
		return
	}
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	for into.Kind() == reflect.Pointer {
		into = into.Elem()
	}
	switch n.Kind {
	case yaml.MappingNode:
		s.walkMapping(n, prefix, depth, into)
	case yaml.SequenceNode:
		if into.Kind() == reflect.Slice {
			into = into.Elem()
		}
		for i, one := range n.Content {
			s.lines[fmt.Sprintf("%s%d", prefix, i)] = one.Line
			s.walk(one, fmt.Sprintf("%s%d", prefix, i), depth+1, into)
		}
	}
}

// sourceFile.walkMapping does the work of the method walk for a YAML mapping: for each of its keys
// and values.
func (s *sourceFile) walkMapping(n *yaml.Node, prefix string, depth int, into reflect.Type) {
	fields := fieldsOf(into)
	first := make(map[string]int)
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, known := fields[key.Value]
		before, repeated := first[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || key.Anchor != "":
			s.addMistake(key.Line, "tags, anchors and merge keys are not supported")
			continue
		case repeated:
			s.addMistake(key.Line, "key %q is repeated, first in line %d", key.Value, before)
			continue
		case fields != nil && !known:
			s.addMistake(key.Line, "unknown key %q", key.Value)
			continue
		}
		first[key.Value] = key.Line
		s.lines[prefix+key.Value], s.values[prefix+key.Value] = key.Line, value
		if prefix+key.Value != "routes" {
			if !known {
				field = into // a mapping that is decoded into a Go map may have any key
			}
			s.walk(value, prefix+key.Value, depth+1, field)
		}
		kept = append(kept, key, value)
	}
	n.Content = kept
}

// sourceFile.isPlain reports whether the YAML node n is a scalar value, a list or a mapping,
// without an anchor or a tag. If n is something else, such as null, or if n is nested too deeply,
// isPlain records a mistake.
func (s *sourceFile) isPlain(n *yaml.Node, name string, depth int) bool {
	const deepest = 8
	switch {
	case depth > deepest:
		s.addMistake(n.Line, "nested too deeply")
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		s.addMistake(n.Line, "anchors and aliases are not supported")
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!merge":
		s.addMistake(n.Line, "tags and merge keys are not supported")
	case n.Tag == "!!null":
		s.addMistake(n.Line, "%s has no value: leave it out", name)
	default:
		return true
	}
	return false
}

// strangeBreak is a regular expression for the line breaks of YAML that most editors don't show as
// line breaks: U+0085, U+2028, U+2029, and CR without LF. After such a line break in the
// configuration file, the line numbers in errors would differ from those in an editor.
var strangeBreak = regexp.MustCompile("[\u0085\u2028\u2029]|\r(?:[^\n]|$)")

// lineOf is a regular expression for the line number in an error of package yaml.
var lineOf = regexp.MustCompile(`^(?:line (\d+): )?`)

// wrongType is a regular expression for an error of package yaml about a value of the wrong type.
// Such an error contains the first bytes of the value, between "`" and "`". The word "into" and the
// name of a Go type follow: this is the type that the value should have. The bytes of the value can
// be any bytes, for example a line break or the word "into". So wrongType takes the text after the
// last "into" as the name of the Go type.
var wrongType = regexp.MustCompile("(?s)^cannot unmarshal .* into ([^`]*)$")

// inPlainWords replaces the Go types in an error of package yaml by words that the author of a
// configuration file understands. The result contains no values of the configuration file.
func inPlainWords(text string) string {
	found := wrongType.FindStringSubmatch(text)
	if found == nil {
		return "the value is not valid" // text is another error, and may contain a value
	}
	switch into := found[1]; {
	case into == "time.Duration":
		return "want a duration, such as 30s"
	case into == "bool":
		return "want true or false"
	case strings.HasPrefix(into, "int"):
		return "want a whole number"
	case strings.HasPrefix(into, "[]"):
		return "want a list"
	case into == "string", into == "config.Use", into == "mtls.Form":
		return "want text"
	}
	return "want a mapping"
}
