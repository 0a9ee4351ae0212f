package xenaauth

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPath bounds the path of a request, in bytes, escapes included.
const maxPath = 8 << 10

// checkRawPath looks at what decoding hides: an escaped slash, bytes that should have been escaped, a RawPath that is
// of another Path. It reports whether characters are escaped that never need to be (RFC 3986, section 2.3).
func checkRawPath(u *url.URL) (coded bool, problem ambiguity) {
	raw := u.RawPath
	if len(raw) > maxPath || len(u.Path) > maxPath {
		return false, "the path is too long"
	}
	if raw == "" {
		return false, "" // it was sent as url.URL.EscapedPath writes it
	}
	n := 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return false, "an invalid escape"
			}
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
			if c == '/' {
				return false, "an escaped slash"
			}
			coded = coded || isUnreserved(c)
		} else if c <= ' ' || c >= 0x7f {
			return false, "a character that should have been escaped"
		}
		if n >= len(u.Path) || u.Path[n] != c {
			return false, "two different paths"
		}
		n++
	}
	if n != len(u.Path) {
		return false, "two different paths"
	}
	return coded, ""
}

// decodeLazily decodes a valid path, but leaves escapes alone that needn't be there.
func decodeLazily(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if c = unhex(raw[i+1])<<4 | unhex(raw[i+2]); isUnreserved(c) {
				b.WriteString(raw[i : i+3])
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

// checkPath refuses a decoded path that servers read differently.
func checkPath(path string) ambiguity {
	if path == "" || path[0] != '/' {
		return "the path doesn't begin with a slash"
	}
	ascii := true
	last := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/':
			if last == '/' {
				return "an empty segment"
			}
			if last == '.' || last == ' ' {
				return "a segment that ends in a dot or a space"
			}
		case c < ' ' || c == 0x7f:
			return "a control character"
		case c == ' ' && last == '/':
			return "a segment that begins with a space"
		case c == '(' && last == '/' && isCookieless(path[i:]):
			return "a segment of ASP.NET's cookieless sessions"
		case c == '$' && last == ':':
			return "a stream of a file"
		case c == '\\':
			return "a backslash"
		case c == ';':
			return "path parameters"
		case c == '%':
			return "an escaped percent sign"
		case c == '?' || c == '#':
			return "an escaped delimiter of the path"
		case c >= utf8.RuneSelf:
			ascii = false
		}
		last = c
	}
	if last == '.' || last == ' ' {
		return "a segment that ends in a dot or a space"
	}
	if ascii {
		return ""
	}
	return checkRunes(path)
}

// isCookieless reports whether a segment begins like /(S(x))/, which ASP.NET takes out of a path, together with its slash,
// before it looks for a page: S is a session, A, F and X are other values that it keeps in the path in place of cookies,
// in any case and combined. It also counts a segment that goes on behind them.
func isCookieless(segment string) bool {
	return len(segment) > 2 && lower(segment[1]) >= 'a' && lower(segment[1]) <= 'z' && segment[2] == '('
}

// checkRunes refuses characters beyond ASCII that an upstream may drop, or turn into one that it takes for a delimiter.
func checkRunes(path string) ambiguity {
	if !utf8.ValidString(path) {
		return "bytes that are not UTF-8"
	}
	space, begins := false, false
	for _, c := range path {
		if c == '/' && space {
			return "a segment that ends in a dot or a space"
		}
		space = unicode.IsSpace(c)
		if space && begins {
			return "a segment that begins with a space"
		}
		begins = c == '/'
		if c < utf8.RuneSelf {
			continue
		}
		if unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return "an invisible character"
		}
		if c >= 0xff00 && c <= 0xffef || c >= 0xfe50 && c <= 0xfe6f || strings.ContainsRune(delimiterLike, c) {
			return "a character that some take for a delimiter"
		}
	}
	if space {
		return "a segment that ends in a dot or a space"
	}
	return ""
}

// delimiterLike becomes / \ . or ; (or holds one then) under Unicode normalization (UAX #15), or where Windows squeezes
// text into a code page. The full-width and small forms of ASCII do as well, and are looked for by their range.
const delimiterLike = "\u00a5\u20a9\u037e\u2024\u2025\u2026\u2044\u2215\u2216\u29f5\u2100\u2101\u2105\u2106"

// foldPath is path in lower case. Which characters beyond ASCII are one without case is a matter of taste (K, the sign
// of Kelvin, is k to some, ſ is s, İ is i), so those with more than one answer are refused.
func foldPath(path string) (string, ambiguity) {
	for _, c := range path {
		if c >= utf8.RuneSelf && !foldsPlainly(c) {
			return "", "a character whose lower case is disputed"
		}
	}
	return strings.ToLower(path), "" // by simple mapping, rune by rune
}

// foldsPlainly reports whether upper and lower case agree about which characters are one with c, and c is none of the
// odd ones among them: å and Å pass, and the sign of Ångström doesn't.
func foldsPlainly(c rune) bool {
	l, u := unicode.ToLower(c), unicode.ToUpper(c)
	return unicode.ToUpper(l) == u && unicode.ToLower(u) == l
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'f' }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// isUnreserved is RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return lower(c) >= 'a' && lower(c) <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
