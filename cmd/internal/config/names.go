package config

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/internal/envvar"
)

// KeyOf returns the key of the configuration file that sets a field of [xenaauth.Config]. If the
// field belongs to Config.Introspection, its name begins with "Introspection.". ok is false if no
// key sets the field.
func KeyOf(field string) (key string, ok bool) {
	key, ok = keysByField[field]
	return key, ok
}

// keysByField maps the name of a field of [xenaauth.Config] to the key of the configuration file
// that sets the field.
var keysByField = func() map[string]string {
	keys := map[string]string{
		"Introspection":              "tokens.introspection",
		"Introspection.ClientSecret": "tokens.introspection.client_secret_file",
	}
	addKeysByField(keys, "tokens.", "", tokenKeys)
	addKeysByField(keys, "tokens.introspection.", "Introspection.", introspectionKeys)
	return keys
}()

// addKeysByField adds the keys of one section of the configuration file to the map fieldKeys. This
// map contains the key for the name of each Go field. A fileKey does not know the name of its
// field, and returns only a pointer to the field. To find the name, addKeysByField compares this
// pointer with the pointers to all fields of the struct.
func addKeysByField[T any](fieldKeys map[string]string, section, prefix string, keys []fileKey[T]) {
	values := new(T)
	fields := reflect.ValueOf(values).Elem()
	for _, k := range keys {
		at := reflect.ValueOf(k.field(values)).Pointer()
		for i := range fields.NumField() {
			if fields.Field(i).Addr().Pointer() == at {
				fieldKeys[prefix+fields.Type().Field(i).Name] = section + k.name
			}
		}
	}
}

// NameOf returns the name of the setting with which the operator has set a field of
// [xenaauth.Config]. If no key of the configuration file sets the field, NameOf returns the name of
// the environment variable. If the file lacks the key and the environment variable is set, NameOf
// also returns the name of the variable. Otherwise it returns the key.
func (c *Config) NameOf(field string) string {
	key, ok := KeyOf(field)
	if variable := envvar.VariableName(field); !ok || !c.Has(key) && os.Getenv(variable) != "" {
		return variable
	}
	return key
}

// fieldName is a regular expression for the name of a Go field in an error of
// [xenaauth.Config.Validate]. The name has the prefix "Config." or "Introspection.", or it consists
// of several words, such as ClientID. A name of one word without the prefix could also be an
// English word.
var fieldName = regexp.MustCompile(
	`\bConfig\.(?:Introspection\.)?[A-Z]\w*|\bIntrospection\.[A-Z]\w*|\b[A-Z][a-z]+(?:[A-Z]+[a-z]*)+\b`)

// Config.withKeyNames translates err, an error of [xenaauth.Config.Validate], for the operator. In
// the text of the error, it replaces each name of a Go field by the key of the configuration file
// or by the environment variable. If the text begins with a key, withKeyNames adds the line of the
// key. If it begins with neither a key nor a variable, withKeyNames adds the line of the section.
// If err joins several errors, withKeyNames translates each of them.
func (c *Config) withKeyNames(section string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range joined.Unwrap() {
			errs = append(errs, c.withKeyNames(section, one))
		}
		return errors.Join(errs...)
	}
	if err == nil {
		return nil
	}
	text := envvar.WithoutVariable(strings.TrimPrefix(err.Error(), "xenaauth: "))
	text = fieldName.ReplaceAllStringFunc(text, func(name string) string {
		name = strings.TrimPrefix(name, "Config.")
		for _, field := range []string{name, "Introspection." + name} {
			if _, ok := KeyOf(field); ok {
				return c.NameOf(field)
			}
		}
		return name
	})
	name, rest, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(name, "XENA_"):
		// an environment variable has set the value, so the configuration file has no line for it
		return errors.New(text)
	case name == "tokens.introspection" || slices.Contains(Keys(), name):
		return c.AddPlace(name, errors.New(rest))
	}
	return c.AddPlace(section, errors.New(text))
}
