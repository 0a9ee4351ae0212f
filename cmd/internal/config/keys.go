package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// key is a key of the YAML file. Its value sets a field of T, a struct in another package.
type key[T any] struct {
	name  string
	field func(*T) any // field is a function that returns a pointer to the field
	// pair is the name of another key. The field of this key and the field of pair can't both be
	// set. If the file contains one of the two keys, the environment sets neither of the two
	// fields.
	pair string
}

// tables contains the keys of the file that set fields of structs in other packages. The map key is
// the type of a section. This type has no fields for the keys in the table.
var tables = map[reflect.Type]map[string]reflect.Type{
	reflect.TypeFor[Tokens]():            typesOf(tokenKeys),
	reflect.TypeFor[Introspection]():     typesOf(introspectionKeys),
	reflect.TypeFor[DPoP]():              typesOf(dpopKeys),
	reflect.TypeFor[ClientCertificate](): typesOf(clientCertificateKeys),
	reflect.TypeFor[Identity]():          typesOf(identityKeys),
	reflect.TypeFor[Assertion]():         typesOf(assertionKeys),
}

// identityKeys are the keys under identity that set fields of [identity.Config].
var identityKeys = []key[identity.Config]{
	{name: "user_header", field: func(c *identity.Config) any { return &c.UserHeader }},
	{name: "client_header", field: func(c *identity.Config) any { return &c.ClientHeader }},
	{name: "scopes_header", field: func(c *identity.Config) any { return &c.ScopesHeader }},
	{name: "issuer_header", field: func(c *identity.Config) any { return &c.IssuerHeader }},
	{name: "claim_headers", field: func(c *identity.Config) any { return &c.ClaimHeaders }},
	{name: "max_bytes", field: func(c *identity.Config) any { return &c.MaxBytes }},
}

// assertionKeys are the keys under identity.assertion that set fields of
// [identity.AssertionConfig].
var assertionKeys = []key[identity.AssertionConfig]{
	{name: "header", field: func(c *identity.AssertionConfig) any { return &c.Header }},
	{name: "issuer", field: func(c *identity.AssertionConfig) any { return &c.Issuer }},
	{name: "audience", field: func(c *identity.AssertionConfig) any { return &c.Audience }},
	{name: "lifetime", field: func(c *identity.AssertionConfig) any { return &c.Lifetime }},
	{name: "claims", field: func(c *identity.AssertionConfig) any { return &c.Claims }},
	{name: "with_headers", field: func(c *identity.AssertionConfig) any { return &c.WithHeaders }},
}

// typesOf returns, for each of the keys, the type of its value.
func typesOf[T any](keys []key[T]) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, k := range keys {
		types[k.name] = reflect.TypeOf(k.field(new(T))).Elem()
	}
	return types
}

// fieldsOf returns the keys that a mapping of the type t may contain, with the types of their
// values. It returns nil if t is not a struct: a mapping of that type may contain any key, or it is
// a mistake that decoding reports.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	fields := make(map[string]reflect.Type)
	for name, of := range tables[t] {
		fields[name] = of
	}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			fields[name] = t.Field(i).Type
		}
	}
	return fields
}

// Keys returns the dotted names of all keys that a file may have. An element of a list has no name
// of its own: "upstreams.url" is the key url of each upstream.
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

// decodeKeys decodes the values of some keys in a section of the file. For each key in keys that
// the file contains, decodeKeys sets the field of to that belongs to the key.
func decodeKeys[T any](s *source, section string, keys []key[T], to *T) {
	for _, k := range keys {
		name := section + "." + k.name
		n, ok := s.values[name]
		if !ok {
			continue
		}
		switch field := k.field(to).(type) {
		case *xenaauth.Profile:
			decodeWord(s, name, n, field, profiles)
		case *xenaauth.ClientAuth:
			decodeWord(s, name, n, field, clientAuths)
		default:
			s.decode(n, field)
		}
	}
}

// decodeWord sets a field from a word in the file. The map words contains the value for each
// allowed word.
func decodeWord[V any](s *source, name string, n *yaml.Node, field *V, words map[string]V) {
	var text string
	if !s.decode(n, &text) {
		return
	}
	value, ok := words[text]
	if !ok {
		s.wrongAt(name, "is neither %s", strings.Join(sortedKeys(words), " nor "))
		return
	}
	*field = value
}

func sortedKeys[V any](words map[string]V) []string {
	list := make([]string, 0, len(words))
	for w := range words {
		list = append(list, w)
	}
	slices.Sort(list)
	return list
}

// The function override copies fields from file to to. It copies the fields whose keys the
// configuration file contains. So the file overrides the environment, which has set the fields of
// to before.
func override[T any](c *Config, section string, keys []key[T], to, file *T) {
	for _, k := range keys {
		if c.Has(section+"."+k.name) || k.pair != "" && c.Has(section+"."+k.pair) {
			reflect.ValueOf(k.field(to)).Elem().Set(reflect.ValueOf(k.field(file)).Elem())
		}
	}
}
