package target

import "strings"

// checkRawPath compares rawPath, the path of a request as it was sent, with path, the decoded path.
// It refuses a path that is too long, an invalid escape, an escaped slash, an unescaped byte that
// must be escaped, and a rawPath that does not decode to path. The result needlessEscape is true if
// rawPath escapes a character that never needs an escape (RFC 3986, section 2.3).
func checkRawPath(path, rawPath string) (needlessEscape bool, err error) {
	if len(rawPath) > MaxPath || len(path) > MaxPath {
		return false, errTooLong
	}
	if rawPath == "" { // rawPath is "" if the path was sent in the default encoding
		if defaultLength(path) > MaxPath {
			return false, errTooLong
		}
		return false, nil
	}
	n := 0
	for i := 0; i < len(rawPath); i++ {
		c := rawPath[i]
		if c == '%' {
			var ok bool
			if c, ok = decodeEscape(rawPath[i:]); !ok {
				return false, ErrEscape
			}
			i += 2
			if c == '/' {
				return false, ErrEscapedSlash
			}
			needlessEscape = needlessEscape || isUnreserved(c)
		} else if c <= ' ' || c >= 0x7f {
			return false, Ambiguity("the path contains a character that it must escape")
		}
		if n >= len(path) || path[n] != c {
			return false, errTwoPaths
		}
		n++
	}
	if n != len(path) {
		return false, errTwoPaths
	}
	return needlessEscape, nil
}

// defaultLength returns the length of a decoded path in its default encoding, which is that of
// package net/url: it escapes each byte that is neither unreserved nor one of $&+,/:;=@.
func defaultLength(path string) int {
	n := len(path)
	for i := range len(path) {
		if c := path[i]; !isUnreserved(c) && strings.IndexByte("$&+,/:;=@", c) < 0 {
			n += len("%00") - 1
		}
	}
	return n
}

// decodeNecessary decodes the escapes in rawPath, the path of a request as it was sent. It does not
// decode the escapes of characters that never need an escape. checkRawPath must have accepted
// rawPath.
func decodeNecessary(rawPath string) string {
	var b strings.Builder
	b.Grow(len(rawPath))
	for i := 0; i < len(rawPath); i++ {
		c := rawPath[i]
		if c == '%' {
			if c, _ = decodeEscape(rawPath[i:]); isUnreserved(c) {
				b.WriteString(rawPath[i : i+3])
			} else {
				b.WriteByte(c)
			}
			i += 2
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'f' }

// decodeEscape decodes the escape sequence at the beginning of s, for example %2F to '/'.
func decodeEscape(s string) (c byte, ok bool) {
	if len(s) < 3 || s[0] != '%' || !isHex(s[1]) || !isHex(s[2]) {
		return 0, false
	}
	return unhex(s[1])<<4 | unhex(s[2]), true
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// isUnreserved reports whether c is an unreserved character (RFC 3986, section 2.3), which never
// needs an escape.
func isUnreserved(c byte) bool {
	return lower(c) >= 'a' && lower(c) <= 'z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
