// Package setting knows under which names an operator sets the fields of a Config: environment
// variables, or keys of a configuration file. In texts, it replaces the names of fields by the
// names that the operator uses. The package also makes errors and values safe to show to an
// operator.
package setting

import (
	"errors"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/internal/envvar"
)

// Names are the names under which an operator sets the fields of a Config. The zero value stands
// for environment variables.
type Names struct {
	// File is the configuration file, or nil if there is none. If a key of the file sets a field,
	// NameOf returns this key. If the environment sets the field, NameOf returns the environment
	// variable.
	File interface{ NameOf(field string) string }
	// Issuer is the name of the setting for the field Issuer, for example "--issuer". If Issuer is
	// "", the name is found like the names of the other fields.
	Issuer string
}

// SettingOf returns the name of the setting for a field of [xenaauth.Config]. fieldPath is the name
// of the field. For a field of Config.Introspection, it begins with "Introspection.".
func (n Names) SettingOf(fieldPath string) string {
	switch {
	case fieldPath == "Subject": // a field with a function has no setting
		return "Config.Subject"
	case fieldPath == "Issuer" && n.Issuer != "":
		return n.Issuer
	case n.File != nil:
		return n.File.NameOf(fieldPath)
	}
	return envvar.VariableName(fieldPath)
}

// ReplaceFields makes a text clear to the operator, who knows settings but no Go fields. If the
// text contains the name of a field of [xenaauth.Config], ReplaceFields replaces it by the name of
// the setting that sets this field. If the text contains the name of an environment variable, but a
// flag or a key of the configuration file sets the same field, ReplaceFields replaces the variable
// by the name of this flag or key.
func (n Names) ReplaceFields(text string) string {
	text = envvar.WithoutVariable(text)
	text = fieldName.ReplaceAllStringFunc(text, func(field string) string {
		return n.SettingOf(strings.TrimPrefix(field, "Config."))
	})
	if n.File == nil && n.Issuer == "" {
		return text
	}
	return variableName.ReplaceAllStringFunc(text, func(found string) string {
		name, assigned := strings.CutSuffix(found, "=")
		field, ok := fieldByVariable[strings.TrimSuffix(name, "_FILE")]
		if !ok {
			return found
		}
		switch name = n.SettingOf(field); {
		case !assigned:
			return name
		case strings.HasPrefix(name, "XENA_"):
			return name + "="
		case strings.HasPrefix(name, "--"):
			return name + " "
		}
		return name + ": "
	})
}

// fieldName is a regular expression for the name of a field in the text of an error of package
// xenaauth. The name is preceded by "Config.", or it consists of several words, so that it can't be
// an English word.
var fieldName = func() *regexp.Regexp {
	var names []string
	for f := range reflect.TypeFor[xenaauth.Config]().Fields() {
		switch f.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Slice:
			if strings.ContainsFunc(f.Name[1:], unicode.IsUpper) {
				names = append(names, f.Name)
			}
		}
	}
	return regexp.MustCompile(`\b(?:(?:Config\.(?:Introspection\.)?|Introspection\.)[A-Z][A-Za-z]*|` +
		strings.Join(names, "|") + `)\b`)
}()

// variableName is a regular expression for the name of an environment variable such as XENA_ISSUER,
// together with a "=" that follows it.
var variableName = regexp.MustCompile(`\bXENA_[A-Z_]*[A-Z]=?`)

// fieldByVariable maps the name of an environment variable to the field of a Config that the
// variable sets.
var fieldByVariable = func() map[string]string {
	all := make(map[string]string)
	for f := range reflect.TypeFor[xenaauth.Config]().Fields() {
		all[envvar.VariableName(f.Name)] = f.Name
	}
	for f := range reflect.TypeFor[xenaauth.Introspection]().Fields() {
		all[envvar.VariableName("Introspection."+f.Name)] = "Introspection." + f.Name
	}
	return all
}()

// Mistakes returns the text of each error that err joins. The texts use the names of settings that
// the operator knows, in place of the fields of the Config.
func (n Names) Mistakes(err error) (texts []string) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			texts = append(texts, n.Mistakes(one)...)
		}
		return texts
	}
	return []string{n.ReplaceFields(strings.TrimPrefix(err.Error(), "xenaauth: "))}
}

// Cause returns the text that says why a token was refused, without the name of the reason. If err
// is not a refusal with a cause, Cause returns the whole text of err.
func Cause(err error) string {
	if e, ok := errors.AsType[*xenaauth.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// maxQuoted is the largest number of bytes of a value in the result of QuoteForOutput.
const maxQuoted = 80

// QuoteForOutput makes a value safe to print, for example a value from a token or from a server. It
// returns the value in quotes, and shortens it if it is long.
func QuoteForOutput(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
