// Package setting replaces the names of Config fields in error texts by the environment variables
// that set these fields. The package also makes errors and values safe to show to an operator.
package setting

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/xenaauth/xenaauth"
)

// field matches the name of a Config field in the text of an error.
var field = regexp.MustCompile(`\b(?:Config\.(?:Introspection\.)?|Introspection\.)[A-Z][A-Za-z]*`)

// Variables returns text in which each name of a Config field is replaced by its environment
// variable.
func Variables(text string) string {
	return field.ReplaceAllStringFunc(text, func(name string) string {
		return Variable(strings.TrimPrefix(name, "Config."))
	})
}

// other has the fields whose variable is not derived from their name.
var other = map[string]string{
	"Audiences": "XENA_AUDIENCE",
	"Subject":   "Config.Subject", // no variable can set a function
}

// Variable returns the name of the environment variable that sets a Config field. For a field of
// Config.Introspection, the parameter name begins with "Introspection.".
func Variable(name string) string {
	if v, ok := other[name]; ok {
		return v
	}
	name = strings.ReplaceAll(name, "JWKSURL", "JwksUrl")
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

// bareField matches the name of a Config field that consists of several words. The errors of
// Config.Validate use such names when they mention another field.
var bareField = func() *regexp.Regexp {
	var names []string
	for f := range reflect.TypeFor[xenaauth.Config]().Fields() {
		switch f.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Slice:
			if strings.ContainsFunc(f.Name[1:], unicode.IsUpper) {
				names = append(names, f.Name)
			}
		}
	}
	return regexp.MustCompile(`\b(?:` + strings.Join(names, "|") + `)\b`)
}()

// Mistakes returns the texts of the errors that err joins. The texts name environment variables and
// not fields of the Config.
func Mistakes(err error) (texts []string) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			texts = append(texts, Mistakes(one)...)
		}
		return texts
	}
	text := Variables(strings.TrimPrefix(err.Error(), "xenaauth: "))
	return []string{bareField.ReplaceAllStringFunc(text, Variable)}
}

// Cause returns the text of the cause of a refusal. The text does not contain the reason.
func Cause(err error) string {
	if e, ok := errors.AsType[*xenaauth.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// maxShown is the largest length that Shown shows of a value, in bytes.
const maxShown = 80

// Shown quotes a value from a token or a server, and shortens it.
func Shown(s string) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
