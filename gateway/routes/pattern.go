package routes

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/xenaauth/xenaauth/internal/target"
)

// pattern is a parsed pattern of a ServeMux. Segments that are not wildcards are decoded in the
// same way in which [Table.Find] decodes the paths of requests.
type pattern struct {
	method, host string
	path         []segment
}

// segment is one segment of a pattern's path. The pattern "/{$}", which matches only the path "/",
// has a literal segment "/" at its end. The pattern "/" has a segment without a name, which matches
// every path.
type segment struct {
	literal  string // literal is the decoded text of the segment
	wildcard string // wildcard is the text of a wildcard with its braces, for example {id}
	isRest   bool   // isRest means that the segment matches the rest of the path
}

// parsePattern parses a pattern. It does not check the wildcards, because the ServeMux does.
func parsePattern(s string, ignoreCase bool) (p pattern, err error) {
	rest := s
	if method, after, found := strings.Cut(s, " "); found {
		p.method, rest = method, strings.TrimLeft(after, " ")
		if p.method == "" || strings.ToUpper(p.method) != p.method {
			return p, errors.New("the method is not in capital letters")
		}
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return p, errors.New("the path is missing")
	}
	host, path := rest[:slash], rest[slash:]
	if p.host, err = target.Host(host); err != nil {
		return p, err
	}
	if target.HasPort(host) {
		return p, errors.New("the host has a port: ports are not compared")
	}
	if len(path) > target.MaxPath {
		return p, errors.New("the path is too long")
	}
	p.path, err = parsePath(path, ignoreCase)
	return p, err
}

func parsePath(path string, ignoreCase bool) (segments []segment, err error) {
	pieces := strings.Split(path[1:], "/")
	for i, piece := range pieces {
		last := i == len(pieces)-1
		switch {
		case piece == "" && last:
			segments = append(segments, segment{isRest: true})
		case piece == "{$}":
			segments = append(segments, segment{literal: "/"})
		case strings.HasPrefix(piece, "{"):
			segments = append(segments, segment{wildcard: piece, isRest: strings.HasSuffix(piece, "...}")})
		default:
			literal, err := parseLiteral(piece, ignoreCase)
			if err != nil {
				return nil, err
			}
			segments = append(segments, segment{literal: literal})
		}
	}
	return segments, nil
}

// parseLiteral decodes a segment without a wildcard. parseLiteral refuses a segment that
// [Table.Find] does not allow in the path of any request: the pattern would match no request. It
// also refuses a segment with a brace, and the segments "*" and "**": the author of the table
// probably meant a wildcard.
func parseLiteral(s string, ignoreCase bool) (literal string, err error) {
	switch {
	case strings.ContainsAny(s, "{}"):
		return "", errors.New("a segment contains a brace: a wildcard is a whole segment")
	case s == "*" || s == "**":
		return "", fmt.Errorf("the segment %q is no wildcard: end the path in a slash, "+
			"or write {name} (%%2A is an asterisk)", s)
	}
	literal, err = url.PathUnescape(s)
	switch {
	case err != nil:
		err = target.ErrEscape
	case literal == "":
		err = target.ErrEmptySegment
	case strings.Contains(literal, "/"):
		err = target.ErrEscapedSlash
	default:
		err = target.CheckPath("/" + literal)
	}
	if err == nil && ignoreCase {
		literal, err = target.FoldPath(literal)
	}
	if err != nil {
		return "", fmt.Errorf("no request can match: %w", err)
	}
	return literal, nil
}

// String returns the pattern as text, in the syntax of a ServeMux.
func (p pattern) String() string {
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
		case s.wildcard != "":
			b.WriteString(s.wildcard)
		default:
			b.WriteString(url.PathEscape(s.literal))
		}
	}
	return b.String()
}

// pattern.matchesRest reports whether the last segment of the pattern matches the rest of the path.
// Such a pattern matches paths of any length.
func (p pattern) matchesRest() bool { return p.path[len(p.path)-1].isRest }

// pattern.matchesLastSlash reports whether the pattern has at least two segments, and matches paths
// that end in a slash. So the result is false for "/", "/{$}" and "/{rest...}".
func (p pattern) matchesLastSlash() bool {
	last := p.path[len(p.path)-1]
	return len(p.path) > 1 && (last.isRest || last.literal == "/")
}

// pattern.isRead reports whether the pattern is only for GET or only for HEAD.
func (p pattern) isRead() bool { return p.method == "GET" || p.method == "HEAD" }

// pattern.pathWithoutSlash returns the path of the pattern without its last segment, if
// matchesLastSlash is true: /a for /a/, /a/{$} and /a/{rest...}. Otherwise it returns the whole
// path.
func (p pattern) pathWithoutSlash() []segment {
	if p.matchesLastSlash() {
		return p.path[:len(p.path)-1]
	}
	return p.path
}

// pattern.covers reports whether the pattern p matches every request that the pattern q matches.
func (p pattern) covers(q pattern) bool {
	return (p.host == "" || p.host == q.host) &&
		methodCovers(p.method, q.method) && pathCovers(p.path, q.path)
}

// pattern.conflicts reports whether some requests match both patterns and neither of the patterns
// is more specific. A ServeMux refuses two patterns for which this is true.
func (p pattern) conflicts(q pattern) bool {
	return p.host == q.host && p.overlaps(q) && p.covers(q) == q.covers(p)
}

// pattern.overlaps reports whether there is a request that matches both patterns. It ignores the
// hosts of the patterns.
func (p pattern) overlaps(q pattern) bool {
	return (methodCovers(p.method, q.method) || methodCovers(q.method, p.method)) &&
		pathsOverlap(p.path, q.path)
}

// methodCovers reports whether the method p of a pattern matches every request that the method q
// matches. GET also matches HEAD.
func methodCovers(p, q string) bool { return p == "" || p == q || p == "GET" && q == "HEAD" }

// pathCovers reports whether the path p of a pattern matches every path that the path q matches.
func pathCovers(p, q []segment) bool {
	for i, s := range p {
		switch {
		case i >= len(q):
			return false
		case s.isRest:
			return true
		case q[i].isRest:
			return false
		case s.wildcard != "":
			if q[i].literal == "/" {
				return false
			}
		case s.literal != q[i].literal:
			return false
		}
	}
	return len(p) == len(q)
}

// pathsOverlap reports whether there is a path that matches the paths p and q of two patterns.
func pathsOverlap(p, q []segment) bool {
	for i := range max(len(p), len(q)) {
		switch {
		case i >= len(p) || i >= len(q):
			return false
		case p[i].isRest || q[i].isRest:
			return true
		case p[i].wildcard != "" && q[i].wildcard != "":
		case p[i].wildcard != "" && q[i].literal == "/" || q[i].wildcard != "" && p[i].literal == "/":
			return false
		case p[i].wildcard == "" && q[i].wildcard == "" && p[i].literal != q[i].literal:
			return false
		}
	}
	return true
}
