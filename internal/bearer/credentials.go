// Package bearer implements the grammar of RFC 6750, and of other authentication schemes with that
// grammar: it parses the value of an Authorization field and writes the value of a WWW-Authenticate
// field. It works on strings, and does not depend on net/http.
package bearer

import "strings"

// Kind says what kind of credentials an Authorization field contains.
type Kind uint8

// These constants are the kinds of credentials that an Authorization field can contain.
const (
	// Token means that the field contains a token of an accepted scheme. The characters of the
	// token are not checked: see IsToken68.
	Token       Kind = iota
	None             // None means that there is no Authorization field
	OtherScheme      // OtherScheme means that the scheme is not accepted
	// Malformed means that the Authorization field is repeated or too long, or that its syntax is
	// wrong (RFC 6750, section 2.1).
	Malformed
)

// These constants limit the Authorization field: the length of the name of the scheme, and the
// number of spaces in front of the token. Without these limits, Parse would read a field of a
// megabyte.
const (
	maxScheme = 64
	maxSpaces = 1024
)

// Credentials are the parsed content of an Authorization field.
type Credentials struct {
	// Line is the value of the Authorization field; "" if the field is missing or repeated
	Line string
	Kind Kind
	// Scheme is the index of the authentication scheme in the list of accepted schemes. It is 0 if
	// the scheme is not accepted.
	Scheme uint8
	start  uint32 // start is the index in Line at which the token begins
}

// Token returns the token of the Authorization field. It returns "" if the Kind is not Token.
func (c *Credentials) Token() string {
	if c.Kind != Token {
		return ""
	}
	return c.Line[c.start:]
}

// Same reports whether the Authorization field of a request still has the given value. fieldLines
// contains the lines of this field in the request: there must be exactly one line, and it must
// equal value. If value is "", Same reports instead whether the request has no Authorization field.
func Same(value string, fieldLines []string) bool {
	if len(fieldLines) == 0 {
		return value == ""
	}
	return len(fieldLines) == 1 && value != "" && value == fieldLines[0]
}

// Parse parses the lines of an Authorization field. accepted contains the names of the accepted
// schemes, at least one and at most 256. maxToken is the largest length of the token, in bytes.
//
// Parse does not check the characters of the token. A caller that finds the token in a cache of
// verified tokens does not need that check.
func Parse(lines []string, accepted []string, maxToken int) Credentials {
	if len(lines) == 0 {
		return Credentials{Kind: None}
	}
	if len(lines) > 1 {
		// if the Authorization field is repeated, two servers could read different lines of it
		return Credentials{Kind: Malformed}
	}
	line := lines[0]
	scheme, place := accepted[0], 0
	// Most clients write the name of the first accepted scheme exactly as it is in the list of
	// accepted schemes. For them, this comparison is enough. Otherwise upper and lower case are
	// ignored.
	if !strings.HasPrefix(line, scheme) || len(line) == len(scheme) || line[len(scheme)] != ' ' {
		// If the name of the scheme is longer than maxScheme, only its first maxScheme bytes are
		// compared. They equal no accepted scheme.
		scheme, _, _ = strings.Cut(line[:min(len(line), maxScheme)], " ")
		if !IsToken(scheme) {
			return Credentials{Line: line, Kind: Malformed}
		}
		for place < len(accepted) && !strings.EqualFold(scheme, accepted[place]) {
			place++
		}
		if place == len(accepted) {
			return Credentials{Line: line, Kind: OtherScheme}
		}
	}
	c := Credentials{Line: line, Kind: Malformed, Scheme: uint8(place)}
	start := len(scheme)
	for start < len(line) && line[start] == ' ' && start-len(scheme) < maxSpaces {
		start++
	}
	if start < len(line) && line[start] != ' ' && len(line)-start <= maxToken {
		c.Kind, c.start = Token, uint32(start)
	}
	return c
}

// IsToken reports whether s is a token as RFC 9110, section 5.6.2, defines this word: a name
// without spaces and separators.
func IsToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsToken68 reports whether s has the form of a bearer token (b64token in RFC 6750, section 2.1):
// one or more legal characters, and after them any number of "=".
func IsToken68(s string) bool {
	n := len(s)
	for n > 0 && s[n-1] == '=' {
		n--
	}
	s = s[:n]
	// Tokens are long. A loop that reads eight characters at a time takes a third of the time of a
	// loop that reads one character at a time.
	for ; len(s) >= 8; s = s[8:] {
		if illegalBytes[s[0]]|illegalBytes[s[1]]|illegalBytes[s[2]]|illegalBytes[s[3]]|illegalBytes[s[4]]|illegalBytes[s[5]]|illegalBytes[s[6]]|illegalBytes[s[7]] != 0 {
			return false
		}
	}
	for i := range len(s) {
		if illegalBytes[s[i]] != 0 {
			return false
		}
	}
	return n > 0
}

// illegalBytes maps each byte to 1 if it must not occur in a bearer token (RFC 6750, section 2.1),
// and otherwise to 0. It also maps "=" to 1, although this character may occur at the end of a
// token.
var illegalBytes = func() (table [256]uint8) {
	for c := range table {
		if !isAlphanumeric(byte(c)) && strings.IndexByte("-._~+/", byte(c)) < 0 {
			table[c] = 1
		}
	}
	return table
}()

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
