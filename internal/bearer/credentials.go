// Package bearer is the grammar of RFC 6750 and of the schemes that are written like it: it reads
// credentials and writes challenges. It knows strings only.
package bearer

import "strings"

// Kind says what an Authorization field contains.
type Kind uint8

// The kinds.
const (
	Token     Kind = iota // a token of an accepted scheme. Its characters are not checked: see IsToken68
	None                  // no field
	Other                 // credentials of a scheme that is not accepted
	Malformed             // a repeated or too long field, or one that RFC 6750, section 2.1, does not allow
)

// Bounds of the text before a token. A field may be a megabyte long.
const (
	maxScheme = 64
	maxSpaces = 1024
)

// Credentials are the content of an Authorization field.
type Credentials struct {
	Line   string // the field, or "" if it is missing or repeated
	Kind   Kind
	Scheme uint8  // the place of the scheme in the list of accepted schemes, or 0
	start  uint32 // where the token begins in Line
}

// Token returns the token, or "" if the credentials are not of the kind Token.
func (c *Credentials) Token() string {
	if c.Kind != Token {
		return ""
	}
	return c.Line[c.start:]
}

// Same reports whether the lines of an Authorization field are those that c was parsed from. It
// never reports so for a repeated field.
func (c *Credentials) Same(lines []string) bool {
	if len(lines) == 0 {
		return c.Kind == None
	}
	return len(lines) == 1 && c.Kind != None && c.Line == lines[0]
}

// Parse reads the lines of an Authorization field. accepted are the names of the accepted schemes,
// at most 256. max bounds the length of the token, in bytes.
//
// Parse does not check the characters of the token: a caller who finds the token in a cache needn't
// look at them again.
func Parse(lines []string, accepted []string, max int) Credentials {
	if len(lines) == 0 {
		return Credentials{Kind: None}
	}
	if len(lines) > 1 {
		return Credentials{Kind: Malformed} // another server may choose another line
	}
	line := lines[0]
	// A longer scheme is not accepted, whatever follows.
	scheme, _, _ := strings.Cut(line[:min(len(line), maxScheme)], " ")
	if !IsToken(scheme) {
		return Credentials{Line: line, Kind: Malformed}
	}
	place := 0
	for place < len(accepted) && !strings.EqualFold(scheme, accepted[place]) {
		place++
	}
	if place == len(accepted) {
		return Credentials{Line: line, Kind: Other}
	}
	c := Credentials{Line: line, Kind: Malformed, Scheme: uint8(place)}
	start := len(scheme)
	for start < len(line) && line[start] == ' ' && start-len(scheme) < maxSpaces {
		start++
	}
	if start < len(line) && line[start] != ' ' && len(line)-start <= max {
		c.Kind, c.start = Token, uint32(start)
	}
	return c
}

// IsToken reports whether s is a token of RFC 9110, section 5.6.2.
func IsToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsToken68 reports whether s is a b64token of RFC 6750, section 2.1.
func IsToken68(s string) bool {
	n := len(s)
	for n > 0 && s[n-1] == '=' {
		n--
	}
	s = s[:n]
	for ; len(s) >= 8; s = s[8:] { // eight characters at a time take a third of the time, and tokens are long
		if foreign[s[0]]|foreign[s[1]]|foreign[s[2]]|foreign[s[3]]|foreign[s[4]]|foreign[s[5]]|foreign[s[6]]|foreign[s[7]] != 0 {
			return false
		}
	}
	for i := range len(s) {
		if foreign[s[i]] != 0 {
			return false
		}
	}
	return n > 0
}

// foreign has a 1 for each character that a token68 can't have before its padding.
var foreign = func() (table [256]uint8) {
	for c := range table {
		if !alphanumeric(byte(c)) && strings.IndexByte("-._~+/", byte(c)) < 0 {
			table[c] = 1
		}
	}
	return table
}()

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
