package claims

import (
	"strings"
	"unicode/utf8"
)

// longest is the length of the longest registered name of all: introspection_endpoint.
const longest = 22

// names is the set of member names that an object has shown so far. Real objects have few; the map keeps one with
// thousands from costing their square.
type names struct {
	few  [12]string
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name string) bool {
	if s.many != nil {
		if _, ok := s.many[name]; ok {
			return false
		}
		s.many[name] = struct{}{}
		return true
	}
	for _, have := range s.few[:s.n] {
		if have == name {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = make(map[string]struct{}, 4*len(s.few))
	for _, have := range s.few {
		s.many[have] = struct{}{}
	}
	s.many[name] = struct{}{}
	return true
}

// collides reports whether name is none of the registered names but folds to one. Registered names are lower-case
// ASCII, so a name that is that too can only equal one.
func collides(name string, registered []string) bool {
	plain := true
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain || len(name) > 3*longest { // no letter that folds to ASCII takes more than three bytes
		return false
	}
	letters := utf8.RuneCountInString(name)
	for _, r := range registered {
		if len(r) != letters {
			continue
		}
		// EqualFold folds as encoding/json does; some readers compare after converting all to one case instead, which
		// makes more letters equal: the dotless i, the dotted I.
		//lint:ignore SA6005 EqualFold, asked first, makes fewer letters equal
		if strings.EqualFold(name, r) || strings.ToUpper(name) == strings.ToUpper(r) || strings.ToLower(name) == r {
			return true
		}
	}
	return false
}
