package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/xenaauth/xenaauth"
)

// tokenSettings lists the keys in the section tokens of the configuration file, except
// introspection.client_id. A test sets each key by a value in the file, and then by an environment
// variable. Both must set the same field of the xenaauth.Config.
var tokenSettings = []struct {
	key, file     string
	variable, env string
	field         string
	want, wantEnv any
}{
	{"issuer", "https://a", "XENA_ISSUER", "https://b", "Issuer", "https://a", "https://b"},
	{"metadata_url", "https://a", "XENA_METADATA_URL", "https://b", "MetadataURL", "https://a", "https://b"},
	{"jwks_url", "https://a", "XENA_JWKS_URL", "https://b", "JWKSURL", "https://a", "https://b"},
	{"audiences", "[a]", "XENA_AUDIENCE", "b", "Audiences", []string{"a"}, []string{"b"}},
	{"allow_any_audience", "true", "XENA_ALLOW_ANY_AUDIENCE", "true", "AllowAnyAudience", true, true},
	{"profile", "identityserver", "XENA_PROFILE", "rfc9068", "Profile", xenaauth.ProfileIdentityServer, xenaauth.ProfileRFC9068},
	{"algorithms", "[ES256]", "XENA_ALGORITHMS", "PS256", "Algorithms", []string{"ES256"}, []string{"PS256"}},
	{"clock_skew", "1s", "XENA_CLOCK_SKEW", "2s", "ClockSkew", time.Second, 2 * time.Second},
	{"max_token_lifetime", "1m", "XENA_MAX_TOKEN_LIFETIME", "2m", "MaxTokenLifetime", time.Minute, 2 * time.Minute},
	{"allow_any_lifetime", "false", "XENA_ALLOW_ANY_LIFETIME", "true", "AllowAnyLifetime", false, true},
	{"max_token_length", "100", "XENA_MAX_TOKEN_LENGTH", "200", "MaxTokenLength", 100, 200},
	{"client_claims", "[cid]", "XENA_CLIENT_CLAIMS", "appid", "ClientClaims", []string{"cid"}, []string{"appid"}},
	{"scope_claims", "[roles]", "XENA_SCOPE_CLAIMS", "permissions", "ScopeClaims", []string{"roles"}, []string{"permissions"}},
	{"allow_missing_client_id", "false", "XENA_ALLOW_MISSING_CLIENT_ID", "true", "AllowMissingClientID", false, true},
	{"allow_client_audience", "false", "XENA_ALLOW_CLIENT_AUDIENCE", "true", "AllowClientAudience", false, true},
	{"allow_nonce", "false", "XENA_ALLOW_NONCE", "true", "AllowNonce", false, true},
	{"allow_client_tokens", "false", "XENA_ALLOW_CLIENT_TOKENS", "true", "AllowClientTokens", false, true},
	{"always_introspect", "false", "XENA_ALWAYS_INTROSPECT", "true", "AlwaysIntrospect", false, true},
	{"require_active", "false", "XENA_REQUIRE_ACTIVE", "true", "RequireActive", false, true},
	{"max_key_age", "1h", "XENA_MAX_KEY_AGE", "2h", "MaxKeyAge", time.Hour, 2 * time.Hour},
	{"cache_size", "1", "XENA_CACHE_SIZE", "2", "CacheSize", 1, 2},
	{"cache_bytes", "2000000", "XENA_CACHE_BYTES", "3000000", "CacheBytes", 2_000_000, 3_000_000},
	{"allow_http", "false", "XENA_ALLOW_HTTP", "true", "AllowHTTP", false, true},

	{"introspection.endpoint", "https://a", "XENA_INTROSPECTION_ENDPOINT", "https://b", "Endpoint", "https://a", "https://b"},
	{"introspection.auth", "basic", "XENA_INTROSPECTION_AUTH", "post", "Auth", xenaauth.ClientSecretBasic, xenaauth.ClientSecretPost},
	{"introspection.max_token_length", "100", "XENA_INTROSPECTION_MAX_TOKEN_LENGTH", "200", "MaxTokenLength", 100, 200},
	{"introspection.cache_ttl", "1s", "XENA_INTROSPECTION_CACHE_TTL", "2s", "CacheTTL", time.Second, 2 * time.Second},
	{"introspection.negative_ttl", "1s", "XENA_INTROSPECTION_NEGATIVE_TTL", "2s", "NegativeTTL", time.Second, 2 * time.Second},
	{"introspection.cache_size", "1", "XENA_INTROSPECTION_CACHE_SIZE", "2", "CacheSize", 1, 2},
	{"introspection.cache_bytes", "2000000", "XENA_INTROSPECTION_CACHE_BYTES", "3000000", "CacheBytes", 2_000_000, 3_000_000},
	{"introspection.timeout", "1s", "XENA_INTROSPECTION_TIMEOUT", "2s", "Timeout", time.Second, 2 * time.Second},
	{"introspection.max_concurrent", "1", "XENA_INTROSPECTION_MAX_CONCURRENT", "2", "MaxConcurrent", 1, 2},
	{"introspection.stale_if_error", "1s", "XENA_INTROSPECTION_STALE_IF_ERROR", "2s", "StaleIfError", time.Second, 2 * time.Second},
}

// fieldsWithoutKey lists the fields of configuration structs for which the configuration file has
// no key. It says how the gateway sets each field instead, or why a key can't set the field.
var fieldsWithoutKey = map[string]string{
	"xenaauth.Config.Subject":             "a function",
	"xenaauth.Config.HTTPClient":          "the default",
	"xenaauth.Config.BeforeIssuerCall":    "a function",
	"xenaauth.Config.IssuerCall":          "a function",
	"xenaauth.Config.Logger":              "the gateway's logger",
	"xenaauth.Config.RevocationBus":       "the section redis",
	"xenaauth.Config.Replay":              "the section redis",
	"xenaauth.Config.Introspection":       "the section tokens.introspection",
	"xenaauth.Introspection.Cache":        "the section redis",
	"xenaauth.Introspection.ClientSecret": "client_secret_file",
	"dpop.Config.Replay":                  "the section redis",
	"dpop.Config.NonceSecrets":            "nonces, and the section redis",
	"mtls.Config.TrustedPeers":            "a list of networks in ClientCertificate",
	"identity.Config.Assertion":           "the section identity.assertion",
	"identity.AssertionConfig.Keys":       "key_files",
}

// The gateway sets some structs of other packages, such as xenaauth.Config, from its configuration
// file. The file has a key for each exported field of these structs, or the map fieldsWithoutKey
// says why it has none.
func TestEachFieldHasAKey(t *testing.T) {
	checkFields(t, tokenKeys)
	checkFields(t, introspectionKeys)
	checkFields(t, dpopKeys)
	checkFields(t, clientCertificateKeys)
	checkFields(t, identityKeys)
	checkFields(t, assertionKeys)
}

func checkFields[T any](t *testing.T, keys []fileKey[T]) {
	t.Helper()
	var c T
	byField := make(map[unsafe.Pointer]string)
	for _, k := range keys {
		p := reflect.ValueOf(k.field(&c)).UnsafePointer()
		if other, ok := byField[p]; ok {
			t.Errorf("%s and %s set the same field", other, k.name)
		}
		byField[p] = k.name
	}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		field := v.Type().String() + "." + v.Type().Field(i).Name
		_, hasKey := byField[v.Field(i).Addr().UnsafePointer()]
		if v.Type().Field(i).IsExported() && hasKey == (fieldsWithoutKey[field] != "") {
			t.Errorf("%s needs a key, or a line in fieldsWithoutKey that says why not", field)
		}
	}
}

// loadValidator writes a configuration file whose section "tokens" has the given keys, and reads
// the file. Until the test ends, the environment contains only those variables of xenaauth that are
// in env.
func loadValidator(t *testing.T, keys map[string]string, env map[string]string) (xenaauth.Config, error) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "XENA_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	text, nested := "tokens:\n", ""
	for key, value := range keys {
		if inner, ok := strings.CutPrefix(key, "introspection."); ok {
			nested += "    " + inner + ": " + value + "\n"
		} else {
			text += "  " + key + ": " + value + "\n"
		}
	}
	if len(keys) == 0 {
		text = ""
	}
	if nested != "" {
		text += "  introspection:\n" + nested
	}
	path := filepath.Join(t.TempDir(), "gate.yaml")
	text += "listen: 127.0.0.1:0\nupstreams: [{name: a, url: \"http://127.0.0.1:1\"}]\nroutes: {rules: []}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, errFile := Load(path)
	if c == nil {
		t.Fatalf("%v\n%s", errFile, text)
	}
	v, err := c.Validator()
	return v, errors.Join(errFile, err)
}

// For each key in the section tokens of the configuration file there is an environment variable. If
// the file contains the key, the variable is ignored.
func TestTokens(t *testing.T) {
	// The table tokenSettings has no row for introspection.client_id, because the file may contain
	// this setting only together with a file for the client secret.
	have := map[string]bool{"introspection.client_id": true}
	for _, s := range tokenSettings {
		have[s.key] = true
		t.Run(s.key, func(t *testing.T) {
			read := func(keys, env map[string]string) any {
				t.Helper()
				if s.field != "Audiences" && s.field != "AllowAnyAudience" {
					env["XENA_AUDIENCE"] = "testapi"
				}
				env["XENA_INTROSPECTION_CLIENT_ID"], env["XENA_INTROSPECTION_CLIENT_SECRET"] = "testapi", "secret"
				if strings.HasSuffix(s.key, "stale_if_error") {
					env["XENA_INTROSPECTION_CACHE_TTL"] = "1m"
				}
				c, err := loadValidator(t, keys, env)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(s.key, "introspection.") {
					return reflect.ValueOf(*c.Introspection).FieldByName(s.field).Interface()
				}
				return reflect.ValueOf(c).FieldByName(s.field).Interface()
			}
			file, both := map[string]string{s.key: s.file}, map[string]string{s.variable: s.env}
			if got := read(file, map[string]string{}); !reflect.DeepEqual(got, s.want) && s.field != "AllowAnyAudience" {
				t.Errorf("the file alone: %v", got)
			}
			if got := read(file, both); !reflect.DeepEqual(got, s.want) {
				t.Errorf("both: %v", got)
			}
			if got := read(nil, map[string]string{s.variable: s.env}); !reflect.DeepEqual(got, s.wantEnv) {
				t.Errorf("the environment alone: %v", got)
			}
		})
	}
	for _, k := range tokenKeys {
		if !have[k.name] {
			t.Errorf("no test of tokens.%s", k.name)
		}
	}
	for _, k := range introspectionKeys {
		if !have["introspection."+k.name] {
			t.Errorf("no test of tokens.introspection.%s", k.name)
		}
	}
}

// Two keys of the configuration file may exclude each other. If the file contains one of them, the
// environment variable of the other key is ignored.
func TestTokens_Exclusive(t *testing.T) {
	secret := map[string]string{"XENA_INTROSPECTION_CLIENT_ID": "testapi", "XENA_INTROSPECTION_CLIENT_SECRET": "secret"}
	for key, c := range map[string]struct{ file, variable, value, field string }{
		"audiences":          {"[a]", "XENA_ALLOW_ANY_AUDIENCE", "true", "AllowAnyAudience"},
		"allow_any_audience": {"true", "XENA_AUDIENCE", "b", "Audiences"},
		"max_token_lifetime": {"1m", "XENA_ALLOW_ANY_LIFETIME", "true", "AllowAnyLifetime"},
		"allow_any_lifetime": {"true", "XENA_MAX_TOKEN_LIFETIME", "1m", "MaxTokenLifetime"},
		"always_introspect":  {"true", "XENA_REQUIRE_ACTIVE", "true", "RequireActive"},
		"require_active":     {"true", "XENA_ALWAYS_INTROSPECT", "true", "AlwaysIntrospect"},
	} {
		env := map[string]string{c.variable: c.value}
		for name, value := range secret {
			env[name] = value
		}
		if !strings.Contains(key, "audience") {
			env["XENA_AUDIENCE"] = "testapi"
		}
		got, err := loadValidator(t, map[string]string{key: c.file}, env)
		if err != nil {
			t.Errorf("%s: %v", key, err)
		} else if !reflect.ValueOf(got).FieldByName(c.field).IsZero() {
			t.Errorf("%s: %s is set", key, c.field)
		}
	}
}

// The error lists the mistakes in environment variables and the mistakes in the configuration file
// together.
func TestTokens_MistakesOfBoth(t *testing.T) {
	_, err := loadValidator(t, map[string]string{"profile": "mine"}, map[string]string{"XENA_CACHE_SIZE": "many"})
	for _, want := range []string{"XENA_CACHE_SIZE", "tokens.profile"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %s: %v", want, err)
		}
	}
}
