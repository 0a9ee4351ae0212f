package bearer

import (
	"slices"
	"strings"
)

// Param is the name and the value of one parameter of a challenge.
type Param struct{ Name, Value string }

// Challenge returns a challenge for the field WWW-Authenticate (RFC 9110, section 11.6.1). It
// leaves out parameters without a value. In a value, it drops each character that RFC 6750, section
// 3, does not allow. So no value can end its quoted string or the header field.
func Challenge(scheme string, params ...Param) string {
	var b strings.Builder
	b.Grow(160)
	b.WriteString(scheme)
	separator := " "
	for _, p := range params {
		if p.Value == "" {
			continue
		}
		b.WriteString(separator)
		b.WriteString(p.Name)
		b.WriteString(`="`)
		for i := range len(p.Value) {
			if isParamByte(p.Value[i]) {
				b.WriteByte(p.Value[i])
			}
		}
		b.WriteByte('"')
		separator = ", "
	}
	return b.String()
}

// These constants are the limits for the parameters that the function Params returns.
const (
	maxParams     = 8
	maxParamName  = 64
	maxParamValue = 512
)

// reservedParams are the challenge parameters that only the middleware sets. Error.Params can
// replace the text of error and error_description, but it can't add a second such parameter.
var reservedParams = []string{"realm", "error", "error_description", "scope", "resource_metadata"}

// Params returns the parameters of a challenge, in the order of their names. It takes them from the
// map m, and leaves out each parameter that a challenge cannot contain. It returns at most 8
// parameters, with names of at most 64 bytes and values of at most 512 bytes. It leaves out the
// names in reservedParams, because the middleware itself sets these parameters. It leaves out names
// with capital letters, because two names that differ only in case are equal (RFC 9110, section
// 11.2). It also leaves out names and values with a character that a challenge does not allow, and
// empty values.
func Params(m map[string]string) []Param {
	if len(m) == 0 {
		return nil
	}
	var params []Param
	for name, value := range m {
		if IsParamName(name) && value != "" && IsParamValue(value) && !slices.Contains(reservedParams, name) {
			params = append(params, Param{name, value})
		}
	}
	slices.SortFunc(params, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	return params[:min(len(params), maxParams):min(len(params), maxParams)]
}

// IsParamName reports whether s has the form of a parameter name that the function Params accepts.
// It does not check whether s is one of the reservedParams. Params never returns those.
func IsParamName(s string) bool {
	return len(s) <= maxParamName && IsToken(s) && strings.ToLower(s) == s
}

// IsParamValue reports whether the function Params accepts s as the value of a parameter. It also
// returns true if s is empty.
func IsParamValue(s string) bool { return len(s) <= maxParamValue && IsParamText(s) }

// IsParamText reports whether each character of s may occur in the value of a parameter of a
// challenge (RFC 6750, section 3).
func IsParamText(s string) bool {
	for i := range len(s) {
		if !isParamByte(s[i]) {
			return false
		}
	}
	return true
}

// isParamByte reports whether the byte c may occur in the value of a parameter of a challenge (RFC
// 6750, section 3). All printable ASCII characters except " and \ may occur.
func isParamByte(c byte) bool { return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\' }

// IsScopeToken reports whether s is a single scope (RFC 6749, section 3.3).
func IsScopeToken(s string) bool {
	for i := range len(s) {
		if s[i] == ' ' || !isParamByte(s[i]) {
			return false
		}
	}
	return s != ""
}
