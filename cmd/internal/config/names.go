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

// keysByField contains the keys of the file by the names of the fields that they set.
var keysByField = func() map[string]string {
	keys := map[string]string{
		"Introspection":              "tokens.introspection",
		"Introspection.ClientSecret": "tokens.introspection.client_secret_file",
	}
	addNames(keys, "tokens.", "", tokenKeys)
	addNames(keys, "tokens.introspection.", "Introspection.", introspectionKeys)
	return keys
}()

// addNames adds the keys of one section to the map names. To find the name of the field that a key
// sets, it compares the addresses of the fields.
func addNames[T any](names map[string]string, section, prefix string, keys []key[T]) {
	values := new(T)
	fields := reflect.ValueOf(values).Elem()
	for _, k := range keys {
		at := reflect.ValueOf(k.field(values)).Pointer()
		for i := range fields.NumField() {
			if fields.Field(i).Addr().Pointer() == at {
				names[prefix+fields.Type().Field(i).Name] = section + k.name
			}
		}
	}
}

// NameOf returns the name under which the operator has set a field of [xenaauth.Config]: the
// variable if the environment has set the field, and otherwise the key of the file.
func (c *Config) NameOf(field string) string {
	key, ok := KeyOf(field)
	if variable := envvar.OfField(field); !ok || !c.Has(key) && os.Getenv(variable) != "" {
		return variable
	}
	return key
}

// fieldName matches the name of a field in an error of [xenaauth.Config.Validate]. Without the
// prefix "Config." it matches only names of several words, because one word can be an English word.
var fieldName = regexp.MustCompile(
	`\bConfig\.(?:Introspection\.)?[A-Z]\w*|\bIntrospection\.[A-Z]\w*|\b[A-Z][a-z]+(?:[A-Z]+[a-z]*)+\b`)

// The method named translates err, an error of [xenaauth.Config.Validate]. In the text of the
// error, it replaces the names of Go fields by the keys and variables that the operator uses. If
// err joins several errors, the method adds the line of the key to each of them.
func (c *Config) named(section string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, one := range joined.Unwrap() {
			errs = append(errs, c.named(section, one))
		}
		return errors.Join(errs...)
	}
	if err == nil {
		return nil
	}
	text := fieldName.ReplaceAllStringFunc(strings.TrimPrefix(err.Error(), "xenaauth: "), func(name string) string {
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
		// the environment has set the value, so there is no line in the file
		return errors.New(text)
	case name == "tokens.introspection" || slices.Contains(Keys(), name):
		return c.At(name, errors.New(rest))
	}
	return c.At(section, errors.New(text))
}
