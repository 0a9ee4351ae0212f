package xenaauth

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// routePattern is a ServeMux pattern, read as [Routes.Find] reads requests.
type routePattern struct {
	method, host string
	path         []segment
}

// segment is a piece of a pattern's path. "/{$}" ends in the literal "/", and "/" in a multi one without a name.
type segment struct {
	literal string // decoded
	wild    string // as it was written, with its braces
	multi   bool
}

// parseRoutePattern reads a pattern. Whether wildcards are well-formed is left to ServeMux.
func parseRoutePattern(s string, ignoreCase bool) (p routePattern, err error) {
	rest := s
	if method, after, found := strings.Cut(s, " "); found {
		p.method, rest = method, strings.TrimLeft(after, " ")
		if p.method == "" || strings.ToUpper(p.method) != p.method {
			return p, errors.New("methods are in capital letters")
		}
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return p, errors.New("there is no path")
	}
	host, path := rest[:slash], rest[slash:]
	var problem ambiguity
	if p.host, problem = readHost(host); problem != "" {
		return p, problem
	}
	if strings.Contains(host, ":") && host[0] != '[' || strings.Contains(host, "]:") {
		return p, errors.New("a host without its port, please: ports are not compared")
	}
	if len(path) > maxPath {
		return p, errors.New("the path is too long")
	}
	pieces := strings.Split(path[1:], "/")
	for i, piece := range pieces {
		last := i == len(pieces)-1
		switch {
		case piece == "" && last:
			p.path = append(p.path, segment{multi: true})
		case piece == "{$}":
			p.path = append(p.path, segment{literal: "/"})
		case strings.HasPrefix(piece, "{"):
			p.path = append(p.path, segment{wild: piece, multi: strings.HasSuffix(piece, "...}")})
		default:
			literal, err := literalSegment(piece, ignoreCase)
			if err != nil {
				return p, fmt.Errorf("no request can match: %w", err)
			}
			p.path = append(p.path, segment{literal: literal})
		}
	}
	return p, nil
}

// literalSegment decodes a segment, and refuses one that no request has: Find refuses it first.
func literalSegment(s string, ignoreCase bool) (string, error) {
	if strings.ContainsAny(s, "{}") {
		return "", errors.New("a brace within a segment: a wildcard is a whole one")
	}
	literal, err := url.PathUnescape(s)
	if err != nil {
		return "", ambiguity("an invalid escape")
	}
	if literal == "" {
		return "", ambiguity("an empty segment")
	}
	if strings.Contains(literal, "/") {
		return "", ambiguity("an escaped slash")
	}
	problem := checkPath("/" + literal)
	if problem == "" && ignoreCase {
		literal, problem = foldPath(literal)
	}
	if problem != "" {
		return "", problem
	}
	return literal, nil
}

// String is the pattern as ServeMux is to have it.
func (p routePattern) String() string {
	var b strings.Builder
	if p.method != "" {
		b.WriteString(p.method + " ")
	}
	b.WriteString(p.host)
	for _, s := range p.path {
		b.WriteByte('/')
		switch {
		case s.literal == "/":
			b.WriteString("{$}")
		case s.wild != "":
			b.WriteString(s.wild)
		default:
			b.WriteString(url.PathEscape(s.literal))
		}
	}
	return b.String()
}

// multi reports whether the pattern matches paths of any length.
func (p routePattern) multi() bool { return p.path[len(p.path)-1].multi }

// slashed reports whether the pattern matches paths that end in a slash.
func (p routePattern) slashed() bool {
	last := p.path[len(p.path)-1]
	return len(p.path) > 1 && (last.multi || last.literal == "/")
}

// bare is the path of a slashed pattern as far as that slash, and else the whole path.
func (p routePattern) bare() []segment {
	if p.slashed() {
		return p.path[:len(p.path)-1]
	}
	return p.path
}

// covers reports whether p matches whatever q matches.
func (p routePattern) covers(q routePattern) bool {
	return (p.host == "" || p.host == q.host) && methodCovers(p.method, q.method) && pathCovers(p.path, q.path)
}

// conflicts reports whether ServeMux can't tell which of two patterns goes first.
func (p routePattern) conflicts(q routePattern) bool {
	return p.host == q.host && p.meets(q) && p.covers(q) == q.covers(p)
}

// meets reports whether some request without regard to its host matches both.
func (p routePattern) meets(q routePattern) bool {
	return (methodCovers(p.method, q.method) || methodCovers(q.method, p.method)) && pathsMeet(p.path, q.path)
}

func methodCovers(p, q string) bool { return p == "" || p == q || p == "GET" && q == "HEAD" }

func pathCovers(p, q []segment) bool {
	for i, s := range p {
		switch {
		case i >= len(q):
			return false
		case s.multi:
			return true
		case q[i].multi:
			return false
		case s.wild != "":
			if q[i].literal == "/" {
				return false
			}
		case s.literal != q[i].literal:
			return false
		}
	}
	return len(p) == len(q)
}

func pathsMeet(p, q []segment) bool {
	for i := range max(len(p), len(q)) {
		switch {
		case i >= len(p) || i >= len(q):
			return false
		case p[i].multi || q[i].multi:
			return true
		case p[i].wild != "" && q[i].wild != "":
		case p[i].wild != "" && q[i].literal == "/" || q[i].wild != "" && p[i].literal == "/":
			return false
		case p[i].wild == "" && q[i].wild == "" && p[i].literal != q[i].literal:
			return false
		}
	}
	return true
}

// routeTree finds the patterns that cover a path without looking at all of them.
type routeTree struct {
	literal     map[string]*routeTree
	wild, multi *routeTree
	ends        []*route
}

func (t *routeTree) add(r *route) {
	for _, s := range r.pattern.path {
		next := &t.wild
		if s.multi {
			next = &t.multi
		}
		if s.literal != "" {
			if t.literal == nil {
				t.literal = make(map[string]*routeTree)
			}
			if t.literal[s.literal] == nil {
				t.literal[s.literal] = new(routeTree)
			}
			t = t.literal[s.literal]
			continue
		}
		if *next == nil {
			*next = new(routeTree)
		}
		t = *next
	}
	t.ends = append(t.ends, r)
}

// covering calls yield with the rules whose paths cover path, whatever their methods and hosts.
func (t *routeTree) covering(path []segment, yield func(*route)) {
	if t == nil {
		return
	}
	if len(path) == 0 {
		for _, r := range t.ends {
			yield(r)
		}
		return
	}
	t.multi.covering(nil, yield)
	s := path[0]
	if s.multi {
		return
	}
	if s.literal != "/" {
		t.wild.covering(path[1:], yield)
	}
	if s.literal != "" {
		t.literal[s.literal].covering(path[1:], yield)
	}
}
