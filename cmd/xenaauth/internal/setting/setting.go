// Package setting names the fields of a Config as the environment does, and shows errors and values
// to the person who can correct them.
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

// field is the name of a field in the text of an error.
var field = regexp.MustCompile(`\b(?:Config\.(?:Introspection\.)?|Introspection\.)[A-Z][A-Za-z]*`)

// Variables returns text with the variable of the environment in place of each field of Config.
func Variables(text string) string {
	return field.ReplaceAllStringFunc(text, func(name string) string {
		return Variable(strings.TrimPrefix(name, "Config."))
	})
}

// other lists fields whose variable is not their name.
var other = map[string]string{
	"Audiences": "XENA_AUDIENCE",
	"Subject":   "Config.Subject", // a function, so no variable can set it
}

// Variable returns the variable of a field of Config. Fields of Introspection have that prefix.
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

// bareField is the name of a field of more than one word, as the errors of Config.Validate refer to
// other fields.
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

// Mistakes returns the texts of the errors that err joins, with variables in place of fields.
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

// Cause returns the text of the cause of a refusal, without its reason.
func Cause(err error) string {
	if e, ok := errors.AsType[*xenaauth.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// maxShown bounds the part of a foreign value that is shown, in bytes.
const maxShown = 80

// Shown quotes a value that a token or a server contains, and cuts it.
func Shown(s string) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
