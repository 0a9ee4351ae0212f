package target

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkRunes refuses a path with a character that is not ASCII, if some servers remove this
// character or treat it as a delimiter. It also refuses a path that is not UTF-8, or has a space of
// any kind at the beginning or the end of a segment.
func checkRunes(path string) error {
	if !utf8.ValidString(path) {
		return Ambiguity("the path is not UTF-8")
	}
	space, begins := false, false
	for _, c := range path {
		if c == '/' && space {
			return errEnd
		}
		space = unicode.IsSpace(c)
		if space && begins {
			return errBegin
		}
		begins = c == '/'
		if c < utf8.RuneSelf {
			continue
		}
		if unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return Ambiguity("the path contains an invisible character")
		}
		if c >= 0xff00 && c <= 0xffef || c >= 0xfe50 && c <= 0xfe6f ||
			strings.ContainsRune(delimiterLike, c) {
			return Ambiguity("the path contains a character that some servers take for a delimiter")
		}
	}
	if space {
		return errEnd
	}
	return nil
}

// delimiterLike contains characters that some servers turn into a text with one of the delimiters /
// \ . and ; when they normalize Unicode (UAX #15) or convert to a code page of Windows. The same
// happens to full-width and small forms of ASCII characters. These forms are not in the list,
// because checkRunes refuses all of them by their ranges.
const delimiterLike = "\u00a5\u20a9\u037e\u2024\u2025\u2026\u2044" +
	"\u2215\u2216\u29f5\u2100\u2101\u2105\u2106"

// FoldPath returns the path of a request in lower case. Servers disagree about the lower case of
// some characters that are not ASCII: some turn the Kelvin sign into k, ſ into s, and İ into i. A
// path with such a character is refused.
func FoldPath(path string) (string, error) {
	for _, c := range path {
		if c >= utf8.RuneSelf && !hasAgreedCase(c) {
			return "", Ambiguity("the path contains a character whose lower case is disputed")
		}
	}
	// ToLower converts each character separately, without regard to the characters before and after
	// it
	return strings.ToLower(path), nil
}

// hasAgreedCase reports whether servers agree about the lower case of the character c. Some servers
// compare texts in lower case, and others in upper case. Both must find the same characters equal
// to c. For å the result is true: both kinds of servers find it equal to Å. For the Ångström sign
// it is false: only a server that compares in lower case finds it equal to Å.
func hasAgreedCase(c rune) bool {
	l, u := unicode.ToLower(c), unicode.ToUpper(c)
	return unicode.ToUpper(l) == u && unicode.ToLower(u) == l
}
