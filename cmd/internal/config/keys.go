package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// A fileKey describes one key of the configuration file. This key sets a field of a struct in
// another package. The type parameter T is the type of this struct.
type fileKey[T any] struct {
	name string
	// field is a function. The caller passes a struct, and the function returns a pointer to the
	// field of this struct that the key sets.
	field func(*T) any
	// excludedKey is the name of another key of the file, or "". The two keys exclude each other.
	// If the file contains one of them, the environment variables for both are ignored.
	excludedKey string
	// mayBeZero says that 0 is a possible value of the key in the file. If mayBeZero is false, the
	// value 0 is a mistake, because the package that owns the field would use its default instead.
	// For the same reason, an empty text is a mistake for every fileKey.
	mayBeZero bool
	// hasNoDefault says that the file must contain the key. The error for an empty text then does
	// not say that the key can be left out.
	hasNoDefault bool
}

// foreignKeys lists the keys of the configuration file that set fields of structs in other
// packages. These structs have no yaml tags. So foreignKeys maps the Go type of a section of the
// file to the names of its foreign keys, and each name to the Go type of the value.
var foreignKeys = map[reflect.Type]map[string]reflect.Type{
	reflect.TypeFor[Tokens]():            typesOf(tokenKeys),
	reflect.TypeFor[Introspection]():     typesOf(introspectionKeys),
	reflect.TypeFor[DPoP]():              typesOf(dpopKeys),
	reflect.TypeFor[ClientCertificate](): typesOf(clientCertificateKeys),
	reflect.TypeFor[Identity]():          typesOf(identityKeys),
	reflect.TypeFor[Assertion]():         typesOf(assertionKeys),
}

// identityKeys are the keys in the section "identity" of the configuration file that set fields of
// [identity.Config].
var identityKeys = []fileKey[identity.Config]{
	{name: "user_header", field: func(c *identity.Config) any { return &c.UserHeader }},
	{name: "client_header", field: func(c *identity.Config) any { return &c.ClientHeader }},
	{name: "scopes_header", field: func(c *identity.Config) any { return &c.ScopesHeader }},
	{name: "issuer_header", field: func(c *identity.Config) any { return &c.IssuerHeader }},
	{name: "claim_headers", field: func(c *identity.Config) any { return &c.ClaimHeaders }},
	{name: "max_bytes", field: func(c *identity.Config) any { return &c.MaxBytes }},
}

// assertionKeys are the keys in the section "identity.assertion" of the configuration file that set
// fields of [identity.AssertionConfig].
var assertionKeys = []fileKey[identity.AssertionConfig]{
	{name: "header", field: func(c *identity.AssertionConfig) any { return &c.Header }},
	{
		name: "issuer", hasNoDefault: true,
		field: func(c *identity.AssertionConfig) any { return &c.Issuer },
	},
	{
		name: "audience", hasNoDefault: true,
		field: func(c *identity.AssertionConfig) any { return &c.Audience },
	},
	{name: "lifetime", field: func(c *identity.AssertionConfig) any { return &c.Lifetime }},
	{name: "claims", field: func(c *identity.AssertionConfig) any { return &c.Claims }},
	{name: "with_headers", field: func(c *identity.AssertionConfig) any { return &c.WithHeaders }},
}

// typesOf maps the name of each key in keys to the Go type of its value.
func typesOf[T any](keys []fileKey[T]) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, k := range keys {
		types[k.name] = reflect.TypeOf(k.field(new(T))).Elem()
	}
	return types
}

// fieldsOf returns the keys that a mapping in the configuration file may contain, with the types of
// their values. t is the Go type into which the mapping is decoded. If t is not a struct, fieldsOf
// returns nil. In that case either the mapping may contain any key, or the mapping is a mistake
// that the decoder reports.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	fields := make(map[string]reflect.Type)
	for name, of := range foreignKeys[t] {
		fields[name] = of
	}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			fields[name] = t.Field(i).Type
		}
	}
	return fields
}

// Keys returns the dotted names of all keys that a configuration file may have, without the
// sections that contain other keys. An element of a list has no name of its own: "upstreams.url" is
// the key url of each upstream.
func Keys() []string {
	var names []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		fields := fieldsOf(t)
		if fields == nil || t == reflect.TypeFor[yaml.Node]() {
			names = append(names, prefix)
			return
		}
		for name, of := range fields {
			walk(of, strings.TrimPrefix(prefix+"."+name, "."))
		}
	}
	walk(reflect.TypeFor[Config](), "")
	slices.Sort(names)
	return names
}

// decodeKeys decodes a section of the configuration file. For each key in keys that the section
// contains, it sets the field of target that belongs to the key. target points to a struct in
// another package.
func decodeKeys[T any](s *sourceFile, section string, keys []fileKey[T], target *T) {
	for _, k := range keys {
		name := section + "." + k.name
		n, ok := s.values[name]
		if !ok {
			continue
		}
		switch field := k.field(target).(type) {
		case *xenaauth.Profile:
			decodeWord(s, name, n, field, profileByWord)
		case *xenaauth.ClientAuth:
			decodeWord(s, name, n, field, clientAuthByWord)
		default:
			if !s.decode(n, field) {
				continue
			}
			switch {
			case isZeroNumber(field) && !k.mayBeZero:
				s.addMistakeAt(name, isZero)
			case isEmptyText(field) && k.hasNoDefault:
				s.addMistakeAt(name, "is empty")
			case isEmptyText(field):
				s.addMistakeAt(name, isEmpty)
			}
		}
	}
}

// isZeroNumber reports whether field points to a number or a duration that is 0.
func isZeroNumber(field any) bool {
	v := reflect.ValueOf(field).Elem()
	return v.CanInt() && v.Int() == 0
}

// isEmptyText reports whether field points to a text that is empty.
func isEmptyText(field any) bool {
	v := reflect.ValueOf(field).Elem()
	return v.Kind() == reflect.String && v.Len() == 0
}

// decodeWord decodes a value in the configuration file that must be one of several words. It sets
// the variable to which target points. The map valueOfWord says which Go value each word stands
// for.
func decodeWord[V any](s *sourceFile, name string, n *yaml.Node, target *V, valueOfWord map[string]V) {
	var text string
	if !s.decode(n, &text) {
		return
	}
	value, ok := valueOfWord[text]
	if !ok {
		s.addMistakeAt(name, "is neither %s", strings.Join(sortedKeys(valueOfWord), " nor "))
		return
	}
	*target = value
}

func sortedKeys[V any](words map[string]V) []string {
	list := make([]string, 0, len(words))
	for w := range words {
		list = append(list, w)
	}
	slices.Sort(list)
	return list
}

// overrideFromFile gives the configuration file priority over the environment variables. Before the
// call, target has the values of the environment variables, and fromFile has those of the file.
// overrideFromFile copies a field from fromFile to target if the file contains the key of this
// field.
//
// Some pairs of keys exclude each other. If the file contains one key of a pair, the environment
// variable for the second key must be ignored. So overrideFromFile also copies the field of the
// second key. This copy replaces the value of the environment variable.
func overrideFromFile[T any](c *Config, section string, keys []fileKey[T], target, fromFile *T) {
	for _, k := range keys {
		if c.Has(section+"."+k.name) || k.excludedKey != "" && c.Has(section+"."+k.excludedKey) {
			reflect.ValueOf(k.field(target)).Elem().Set(reflect.ValueOf(k.field(fromFile)).Elem())
		}
	}
}
