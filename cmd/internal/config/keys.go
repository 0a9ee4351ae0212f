package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// A value of the type key describes one key of the configuration file. The value of this key sets a
// field of T, a struct in another package.
type key[T any] struct {
	name  string
	field func(*T) any // this function returns a pointer to the field of T
	// The field pair is the name of another key of the file, or "". The fields of the two keys
	// can't both be set. If the file contains one of the two keys, the environment variables for
	// both fields are ignored.
	pair string
}

// The variable tables contains the keys of the configuration file that set fields of structs in
// other packages. The map key is the Go type of a section of the file. This type itself has no
// fields for these keys of the section.
var tables = map[reflect.Type]map[string]reflect.Type{
	reflect.TypeFor[Tokens]():            typesOf(tokenKeys),
	reflect.TypeFor[Introspection]():     typesOf(introspectionKeys),
	reflect.TypeFor[DPoP]():              typesOf(dpopKeys),
	reflect.TypeFor[ClientCertificate](): typesOf(clientCertificateKeys),
	reflect.TypeFor[Identity]():          typesOf(identityKeys),
	reflect.TypeFor[Assertion]():         typesOf(assertionKeys),
}

// identityKeys are the keys under identity in the configuration file that set fields of
// [identity.Config].
var identityKeys = []key[identity.Config]{
	{name: "user_header", field: func(c *identity.Config) any { return &c.UserHeader }},
	{name: "client_header", field: func(c *identity.Config) any { return &c.ClientHeader }},
	{name: "scopes_header", field: func(c *identity.Config) any { return &c.ScopesHeader }},
	{name: "issuer_header", field: func(c *identity.Config) any { return &c.IssuerHeader }},
	{name: "claim_headers", field: func(c *identity.Config) any { return &c.ClaimHeaders }},
	{name: "max_bytes", field: func(c *identity.Config) any { return &c.MaxBytes }},
}

// assertionKeys are the keys under identity.assertion in the configuration file that set fields of
// [identity.AssertionConfig].
var assertionKeys = []key[identity.AssertionConfig]{
	{name: "header", field: func(c *identity.AssertionConfig) any { return &c.Header }},
	{name: "issuer", field: func(c *identity.AssertionConfig) any { return &c.Issuer }},
	{name: "audience", field: func(c *identity.AssertionConfig) any { return &c.Audience }},
	{name: "lifetime", field: func(c *identity.AssertionConfig) any { return &c.Lifetime }},
	{name: "claims", field: func(c *identity.AssertionConfig) any { return &c.Claims }},
	{name: "with_headers", field: func(c *identity.AssertionConfig) any { return &c.WithHeaders }},
}

// typesOf returns the Go type of the value of each key in keys. The map key is the name of the key.
func typesOf[T any](keys []key[T]) map[string]reflect.Type {
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

// Keys returns the dotted names of all keys that a configuration file may have. An element of a
// list has no name of its own: "upstreams.url" is the key url of each upstream.
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

// decodeKeys decodes a section of the configuration file into the struct to. For each key in keys
// that the section contains, decodeKeys sets the field of this struct that belongs to the key.
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

// decodeWord sets a field to the value that a word in the configuration file stands for. The map
// words contains each allowed word and its value.
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

// The function override copies fields from the struct file to the struct to. It copies a field only
// if the configuration file contains the key of the field. The environment variables have already
// set the fields of to, so the file overrides the environment.
func override[T any](c *Config, section string, keys []key[T], to, file *T) {
	for _, k := range keys {
		if c.Has(section+"."+k.name) || k.pair != "" && c.Has(section+"."+k.pair) {
			reflect.ValueOf(k.field(to)).Elem().Set(reflect.ValueOf(k.field(file)).Elem())
		}
	}
}
