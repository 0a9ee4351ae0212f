package target

import "unicode/utf8"

// MaxPath is the largest length in bytes of the path of a request as it was sent. So an escape
// counts as three bytes.
const MaxPath = 8 << 10

// These errors say why two servers could interpret a path differently. They also occur if the
// pattern of a gateway route contains such a path.
const (
	ErrEscape       = Ambiguity("the path contains an invalid escape")
	ErrEscapedSlash = Ambiguity("the path contains an escaped slash")
	ErrEmptySegment = Ambiguity("the path contains an empty segment")

	errTooLong  = Ambiguity("the path is too long")
	errTwoPaths = Ambiguity("the path and its encoding differ")
	errEnd      = Ambiguity("a path segment ends in a dot or a space")
	errBegin    = Ambiguity("a path segment begins with a space")
)

// CheckPath refuses a decoded path of a request that two servers could interpret differently.
func CheckPath(path string) error {
	if path == "" || path[0] != '/' {
		return Ambiguity("the path does not begin with a slash")
	}
	ascii := true
	last := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/':
			if last == '/' {
				return ErrEmptySegment
			}
			if last == '.' || last == ' ' {
				return errEnd
			}
		case c < ' ' || c == 0x7f:
			return Ambiguity("the path contains a control character")
		case c == ' ' && last == '/':
			return errBegin
		case c == '(' && last == '/' && isCookieless(path[i:]):
			return Ambiguity("the path contains a segment of a cookieless session of ASP.NET")
		case c == '$' && last == ':':
			return Ambiguity("the path names a stream of a file")
		case c == '\\':
			return Ambiguity("the path contains a backslash")
		case c == ';':
			return Ambiguity("the path contains path parameters")
		case c == '%':
			return Ambiguity("the path contains an escaped percent sign")
		case c == '?' || c == '#':
			return Ambiguity("the path contains an escaped delimiter")
		case c >= utf8.RuneSelf:
			ascii = false
		}
		last = c
	}
	if last == '.' || last == ' ' {
		return errEnd
	}
	if ascii {
		return nil
	}
	return checkRunes(path)
}

// isCookieless reports whether a segment of a path begins with a parenthesis, a letter and a second
// parenthesis, like (S(x)). ASP.NET can store a session in such a segment instead of in a cookie.
// ASP.NET removes the segment and its slash before it looks for the page. So two servers could read
// different paths. The letter says which value follows: S for the session; ASP.NET also uses A, F
// and X. isCookieless ignores the rest of the segment.
func isCookieless(segment string) bool {
	return len(segment) > 2 && lower(segment[1]) >= 'a' && lower(segment[1]) <= 'z' && segment[2] == '('
}
