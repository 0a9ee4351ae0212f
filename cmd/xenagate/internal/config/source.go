package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSize is how long a configuration may be, in bytes.
const maxSize = 4 << 20

// source is a file that was read, and where in it everything is.
type source struct {
	path  string
	data  []byte
	lines map[string]int // of keys, by their dotted names: "identity.assertion", "upstreams.0.url"
	// The place of the value of "routes": lines of the file, from 1, and a column of the first.
	routesFrom, routesColumn, routesTo int
	errs                               []error
}

func (s *source) name() string { return filepath.Base(s.path) }

func (s *source) wrong(line int, format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf("%s:%d: %s", s.name(), line, fmt.Sprintf(format, args...)))
}

// wrongAt is wrong for a key by its dotted name. A key that isn't there is told at what is around it.
func (s *source) wrongAt(key, format string, args ...any) {
	s.errs = append(s.errs, s.at(key, fmt.Errorf(format, args...)))
}

func (s *source) at(key string, err error) error {
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

// parse reads the shape of the file and decodes it into c.
func (s *source) parse(c *Config) error {
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
		return errors.New(s.name() + ":" + lineOf.ReplaceAllString(strings.TrimPrefix(err.Error(), "yaml: "), "$1: "))
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document", s.name())
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: want a mapping", s.name(), root.Line)
	}
	s.walk(root, "", 0)
	s.findRoutes(root)
	if len(s.errs) > 0 {
		return errors.Join(s.errs...) // its shape isn't what it seems
	}
	strict := yaml.NewDecoder(bytes.NewReader(s.data))
	strict.KnownFields(true)
	if err := strict.Decode(c); err != nil {
		typed, ok := errors.AsType[*yaml.TypeError](err)
		if !ok {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		for _, text := range typed.Errors {
			s.errs = append(s.errs, errors.New(s.name()+":"+plainly(lineOf.ReplaceAllString(text, "$1: "))))
		}
		return errors.Join(s.errs...)
	}
	return nil
}

// walk notes where keys are, and refuses what makes YAML more than a way to write lists and maps. What is under routes
// is for package routesfile to judge.
func (s *source) walk(n *yaml.Node, name string, depth int) {
	const deepest = 8
	switch {
	case depth > deepest:
		s.wrong(n.Line, "nested too deeply")
		return
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		s.wrong(n.Line, "anchors and aliases are not supported")
		return
	case n.Style&yaml.TaggedStyle != 0 || n.Tag == "!!merge":
		s.wrong(n.Line, "tags and merge keys are not supported")
		return
	case n.Tag == "!!null":
		s.wrong(n.Line, "%s has no value: leave it out", name)
		return
	}
	prefix := ""
	if name != "" {
		prefix = name + "."
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			s.lines[prefix+key.Value] = key.Line
			if prefix+key.Value != "routes" {
				s.walk(n.Content[i+1], prefix+key.Value, depth+1)
			}
		}
	case yaml.SequenceNode:
		for i, one := range n.Content {
			s.lines[fmt.Sprintf("%s%d", prefix, i)] = one.Line
			s.walk(one, fmt.Sprintf("%s%d", prefix, i), depth+1)
		}
	}
}

// findRoutes notes where the value of "routes" begins and ends.
func (s *source) findRoutes(root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "routes" {
			continue
		}
		value := root.Content[i+1]
		if value.Kind != yaml.MappingNode {
			s.wrong(value.Line, "routes: want a mapping")
			return
		}
		if root.Style&yaml.FlowStyle != 0 {
			s.wrong(value.Line, "routes: needs a file in block style, or put it into a routes_file")
			return
		}
		s.routesFrom, s.routesColumn = value.Line, value.Column
		s.routesTo = bytes.Count(s.data, []byte{'\n'}) + 2
		if i+2 < len(root.Content) {
			s.routesTo = root.Content[i+2].Line
		}
	}
}

// routes is the file with everything blanked but the value of "routes", so that each line keeps its number; and the
// file with only that blanked.
func (s *source) routes() (routes, rest []byte) {
	for i, line := range bytes.SplitAfter(s.data, []byte{'\n'}) {
		switch number := i + 1; {
		case number < s.routesFrom || number >= s.routesTo:
			routes = append(routes, '\n')
			rest = append(rest, line...)
		case number == s.routesFrom:
			routes = append(routes, bytes.Repeat([]byte{' '}, s.routesColumn-1)...)
			routes = append(routes, line[s.routesColumn-1:]...)
			rest = append(rest, line[:s.routesColumn-1]...)
		default:
			routes = append(routes, line...)
		}
	}
	return routes, rest
}

// strangeBreak is what ends a line for YAML but not for us, nor for most editors: U+0085, U+2028, U+2029 and a lone CR.
// After one, lines would have other numbers, and routes wouldn't be where they are.
var strangeBreak = regexp.MustCompile("[\u0085\u2028\u2029]|\r(?:[^\n]|$)")

// lineOf is how package yaml says in which line a mistake is.
var lineOf = regexp.MustCompile(`^(?:line (\d+): )?`)

var (
	unknownField = regexp.MustCompile(`field (.*) not found in type .*`)
	wrongType    = regexp.MustCompile("cannot unmarshal (!!\\w+)(?: `.*`)? into (.*)")
	twice        = regexp.MustCompile(`mapping key (".*") already defined at line (\d+)`)
)

// plainly says a mistake that package yaml tells by the names of Go types. It doesn't show values.
func plainly(text string) string {
	text = unknownField.ReplaceAllString(text, `unknown key "$1"`)
	text = twice.ReplaceAllString(text, "$1 is there twice, first in line $2")
	return wrongType.ReplaceAllStringFunc(text, func(m string) string {
		into := wrongType.FindStringSubmatch(m)[2]
		switch {
		case into == "time.Duration":
			return "want a duration, such as 30s"
		case into == "bool":
			return "want true or false"
		case strings.HasPrefix(into, "int"):
			return "want a whole number"
		case strings.HasPrefix(into, "[]"):
			return "want a list"
		case into == "string":
			return "want text"
		}
		return "want a mapping"
	})
}
