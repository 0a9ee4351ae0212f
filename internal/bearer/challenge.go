package bearer

import "strings"

// Param is one attribute of a challenge.
type Param struct{ Name, Value string }

// Challenge writes a WWW-Authenticate value of the Bearer scheme. Attributes without a value are left out; characters
// that RFC 6750, section 3, doesn't allow in one are dropped, so that no value can end its string or its header field.
func Challenge(params ...Param) string {
	var b strings.Builder
	b.Grow(160)
	b.WriteString("Bearer")
	separator := " "
	for _, p := range params {
		if p.Value == "" {
			continue
		}
		b.WriteString(separator)
		b.WriteString(p.Name)
		b.WriteString(`="`)
		for i := range len(p.Value) {
			if c := p.Value[i]; c >= 0x20 && c <= 0x7e && c != '"' && c != '\\' {
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
		separator = ", "
	}
	return b.String()
}

// IsScopeToken reports whether s is one scope token of RFC 6749, section 3.3.
func IsScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
