package envvar

import (
	"regexp"
	"strings"
	"unicode"
)

// VariableName returns the name of the environment variable that sets a field of xenaauth.Config.
// fieldPath is the name of the field. For a field of Config.Introspection, it begins with
// "Introspection.".
func VariableName(fieldPath string) string {
	if fieldPath == "Audiences" {
		return "XENA_AUDIENCE"
	}
	name := strings.ReplaceAll(fieldPath, "JWKSURL", "JwksUrl")
	name = strings.NewReplacer("URL", "Url", "HTTP", "Http", "TTL", "Ttl", "ID", "Id").Replace(name)
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && name[i-1] != '.' {
			b.WriteByte('_')
		}
		if r == '.' {
			r = '_'
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return "XENA_" + b.String()
}

// WithoutVariable returns the text of an error of xenaauth.Config.Validate without the environment
// variable in parentheses that follows the name of a field.
func WithoutVariable(text string) string { return inParentheses.ReplaceAllString(text, "") }

var inParentheses = regexp.MustCompile(` \(XENA_[A-Z_]+\)`)
