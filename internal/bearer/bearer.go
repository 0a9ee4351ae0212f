// Package bearer is the grammar of RFC 6750: credentials in, challenge out. It knows strings and nothing else.
package bearer

import "strings"

// Kind says what an Authorization field holds.
type Kind int

// The kinds.
const (
	Token     Kind = iota // a Bearer token of legal syntax
	None                  // no field
	Other                 // well-formed credentials of another scheme
	Malformed             // repeated, too long, or not what RFC 6750, section 2.1, allows
)

// Bounds of what may stand before a token. A field may be a megabyte long.
const (
	maxScheme = 64
	maxSpaces = 1024
)

// Parse reads the lines of the Authorization field. max bounds the length of the token, in bytes.
func Parse(lines []string, max int) (token string, kind Kind) {
	if token, kind = Cut(lines, max); kind == Token && !IsToken68(token) {
		return "", Malformed
	}
	return token, kind
}

// Cut is Parse but for the characters of the token, which a caller who knows the token already needn't look at again.
func Cut(lines []string, max int) (token string, kind Kind) {
	if len(lines) == 0 {
		return "", None
	}
	if len(lines) > 1 {
		return "", Malformed // which of them was meant is anybody's guess, and proxies guess otherwise than we do
	}
	line := lines[0]
	scheme, _, _ := strings.Cut(line[:min(len(line), maxScheme)], " ") // a longer one isn't ours, whatever follows
	if !IsToken(scheme) {
		return "", Malformed
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", Other
	}
	rest := line[len(scheme):]
	for spaces := 0; rest != "" && rest[0] == ' ' && spaces < maxSpaces; spaces++ {
		rest = rest[1:]
	}
	if rest == "" || rest[0] == ' ' || len(rest) > max {
		return "", Malformed
	}
	return rest, Token
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
	for ; len(s) >= 8; s = s[8:] { // tokens are long, and one test for eight characters takes a third of the time
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

// foreign has a 1 for each character that no token68 holds before its padding.
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
