package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
)

// variables lists each environment variable that ConfigFromEnv reads, except
// XENA_INTROSPECTION_CLIENT_SECRET_FILE, with a valid value, the field of Config that the variable
// sets, and invalid values.
var variables = map[string]struct {
	good  string
	field string
	want  any
	wrong []string
}{
	"XENA_ISSUER":             {"https://a/b", "Issuer", "https://a/b", urlsThatAreNone},
	"XENA_METADATA_URL":       {"https://a/m", "MetadataURL", "https://a/m", urlsThatAreNone},
	"XENA_JWKS_URL":           {"http://identity/k", "JWKSURL", "http://identity/k", urlsThatAreNone},
	"XENA_AUDIENCE":           {"testapi, other", "Audiences", []string{"testapi", "other"}, []string{",", " , "}},
	"XENA_ALLOW_ANY_AUDIENCE": {"true", "AllowAnyAudience", true, flagsThatAreNone},
	"XENA_PROFILE": {"rfc9068", "Profile", xenaauth.ProfileRFC9068,
		[]string{"RFC9068", "hunter2", "0", "rfc9068 ", "ProfileRFC9068"}},
	"XENA_ALGORITHMS": {"ES256,EdDSA Ed25519", "Algorithms", []string{"ES256", "EdDSA", "Ed25519"},
		[]string{"hunter2", "ES256,hunter2", "rs256", "none", "HS256", ",", `"ES256"`}},
	"XENA_CLOCK_SKEW":         {"1m", "ClockSkew", time.Minute, append([]string{"2m1s", "-1s", "0", "0s"}, durationsThatAreNone...)},
	"XENA_MAX_TOKEN_LIFETIME": {"12h", "MaxTokenLifetime", 12 * time.Hour, append([]string{"0", "-1h", "1ms"}, durationsThatAreNone...)},
	"XENA_ALLOW_ANY_LIFETIME": {"true", "AllowAnyLifetime", true, flagsThatAreNone},
	"XENA_MAX_TOKEN_LENGTH":   {"4096", "MaxTokenLength", 4096, numbersThatAreNone},
	"XENA_CLIENT_CLAIMS": {"cid appid", "ClientClaims", []string{"cid", "appid"},
		[]string{",", "cid,cid", "sub", "scope", "cid,iss"}},
	"XENA_SCOPE_CLAIMS": {"permissions", "ScopeClaims", []string{"permissions"},
		[]string{",", "roles roles", "aud", "client_id", "azp", "roles,sub"}},
	"XENA_ALLOW_MISSING_CLIENT_ID": {"true", "AllowMissingClientID", true, flagsThatAreNone},
	"XENA_ALLOW_CLIENT_AUDIENCE":   {"true", "AllowClientAudience", true, flagsThatAreNone},
	"XENA_ALLOW_NONCE":             {"true", "AllowNonce", true, flagsThatAreNone},
	"XENA_ALLOW_CLIENT_TOKENS":     {"true", "AllowClientTokens", true, flagsThatAreNone},
	"XENA_ALWAYS_INTROSPECT":       {"true", "AlwaysIntrospect", true, flagsThatAreNone},
	"XENA_REQUIRE_ACTIVE":          {"true", "RequireActive", true, flagsThatAreNone},
	"XENA_MAX_KEY_AGE":             {"48h", "MaxKeyAge", 48 * time.Hour, append([]string{"0", "-1h"}, durationsThatAreNone...)},
	"XENA_CACHE_SIZE":              {"500", "CacheSize", 500, numbersThatAreNone},
	"XENA_CACHE_BYTES":             {"1048576", "CacheBytes", 1048576, numbersThatAreNone},
	"XENA_ALLOW_HTTP":              {"true", "AllowHTTP", true, flagsThatAreNone},

	"XENA_INTROSPECTION_ENDPOINT":      {"https://a/i", "Introspection.Endpoint", "https://a/i", urlsThatAreNone},
	"XENA_INTROSPECTION_CLIENT_ID":     {"api", "Introspection.ClientID", "api", nil},
	"XENA_INTROSPECTION_CLIENT_SECRET": {"s", "Introspection.ClientSecret", "s", nil},
	"XENA_INTROSPECTION_AUTH": {"post", "Introspection.Auth", xenaauth.ClientSecretPost,
		[]string{"hunter2", "Basic", "client_secret_post"}},
	"XENA_INTROSPECTION_CACHE_TTL":        {"-1s", "Introspection.CacheTTL", -time.Second, append([]string{"0", "0s"}, durationsThatAreNone...)},
	"XENA_INTROSPECTION_NEGATIVE_TTL":     {"5s", "Introspection.NegativeTTL", 5 * time.Second, append([]string{"0"}, durationsThatAreNone...)},
	"XENA_INTROSPECTION_CACHE_SIZE":       {"7", "Introspection.CacheSize", 7, numbersThatAreNone},
	"XENA_INTROSPECTION_MAX_TOKEN_LENGTH": {"9", "Introspection.MaxTokenLength", 9, numbersThatAreNone},
	"XENA_INTROSPECTION_TIMEOUT":          {"2s", "Introspection.Timeout", 2 * time.Second, append([]string{"0", "-1s"}, durationsThatAreNone...)},
	"XENA_INTROSPECTION_MAX_CONCURRENT":   {"8", "Introspection.MaxConcurrent", 8, numbersThatAreNone},
	"XENA_INTROSPECTION_CACHE_BYTES":      {"2097152", "Introspection.CacheBytes", 2097152, numbersThatAreNone},
	"XENA_INTROSPECTION_STALE_IF_ERROR": {"1m", "Introspection.StaleIfError", time.Minute,
		append([]string{"-1s"}, durationsThatAreNone...)},
}

var (
	urlsThatAreNone      = []string{"hunter2", "/hunter2", "ftp://hunter2", "https://u:hunter2@host", "https://%zz", "https://host/#hunter2"}
	flagsThatAreNone     = []string{"hunter2", "1", "yes", "True", "TRUE", "true ", "on"}
	numbersThatAreNone   = []string{"hunter2", "0", "-1", "1.5", "1e3", "10k", " 1", "99999999999999999999"}
	durationsThatAreNone = []string{"hunter2", "60", "1 m", "1d", "9999999h", "PT1M"}
)

// notFromEnv lists the fields of Config that no environment variable sets. The map key is the name
// of the field, and the map value says why no variable sets the field.
var notFromEnv = map[string]string{
	"Subject":             "a function",
	"HTTPClient":          "a client of the program's own; proxies and CA files have their usual variables",
	"Logger":              "a logger of the program's own",
	"BeforeIssuerCall":    "a function",
	"IssuerCall":          "a function",
	"RevocationBus":       "an interface",
	"Replay":              "an interface",
	"Introspection.Cache": "an interface",
}

// configFields returns the exported fields of c and of c.Introspection in one map. The map key is
// the name of the field.
func configFields(c xenaauth.Config) map[string]any {
	fields := make(map[string]any)
	add := func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			fields[prefix+v.Type().Field(i).Name] = v.Field(i).Interface()
		}
	}
	add("", reflect.ValueOf(c))
	delete(fields, "Introspection")
	i := c.Introspection
	if i == nil {
		i = new(xenaauth.Introspection)
	}
	add("Introspection.", reflect.ValueOf(*i))
	return fields
}

func TestConfigFromEnv_EveryField(t *testing.T) {
	set := make(map[string]bool)
	for _, v := range variables {
		set[v.field] = true
	}
	for field := range configFields(xenaauth.Config{}) {
		if reason, ok := notFromEnv[field]; ok == set[field] {
			t.Errorf("%s: either a variable sets it, or notFromEnv says why not (%q)", field, reason)
		}
	}
	for name, v := range variables {
		t.Run(name, func(t *testing.T) {
			harness.ClearEnv(t)
			if strings.HasPrefix(name, "XENA_INTROSPECTION_") {
				t.Setenv("XENA_INTROSPECTION_CLIENT_ID", "other")
			}
			base, err := xenaauth.ConfigFromEnv()
			require.NoError(t, err)
			t.Setenv(name, v.good)
			got, err := xenaauth.ConfigFromEnv()
			require.NoError(t, err)
			want := configFields(base)
			want[v.field] = v.want
			require.Equal(t, want, configFields(got), "the variable must set exactly one field")
			require.NotEqual(t, configFields(base), configFields(got))
		})
	}
}

func TestConfigFromEnv_WrongValues(t *testing.T) {
	for name, v := range variables {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range v.wrong {
				harness.ClearEnv(t)
				t.Setenv("XENA_INTROSPECTION_CLIENT_ID", "api")
				t.Setenv(name, wrong)
				_, err := xenaauth.ConfigFromEnv()
				require.ErrorContains(t, err, "xenaauth: "+name+" ", "%q", wrong)
				require.NotContains(t, err.Error(), "hunter2")
				require.NotRegexp(t, regexp.MustCompile("\n"), err.Error(), "the error must have one line")
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		harness.ClearEnv(t)
		want := 0
		for name, v := range variables {
			if len(v.wrong) > 0 {
				t.Setenv(name, v.wrong[0])
				want++
			}
		}
		t.Setenv("XENA_INTROSPECTION_CLIENT_ID", "api")
		_, err := xenaauth.ConfigFromEnv()
		require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), want)
	})
	t.Run("the good ones stay", func(t *testing.T) {
		harness.ClearEnv(t)
		t.Setenv("XENA_AUDIENCE", "testapi")
		t.Setenv("XENA_CACHE_SIZE", "many")
		c, err := xenaauth.ConfigFromEnv()
		require.Error(t, err)
		require.Equal(t, []string{"testapi"}, c.Audiences)
	})
}

func TestConfigFromEnv_Introspection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file\r\n"), 0o600))
	const p = "XENA_INTROSPECTION_"
	for name, tt := range map[string]struct {
		env   map[string]string
		want  *xenaauth.Introspection
		wrong string
	}{
		"nothing": {nil, nil, ""},
		"a secret in a file": {map[string]string{p + "CLIENT_ID": "testapi", p + "CLIENT_SECRET_FILE": file},
			&xenaauth.Introspection{ClientID: "testapi", ClientSecret: "from a file"}, ""},
		"two secrets": {map[string]string{p + "CLIENT_ID": "a", p + "CLIENT_SECRET": "hunter2", p + "CLIENT_SECRET_FILE": file}, nil, "exclude"},
		"no such file": {map[string]string{p + "CLIENT_ID": "a", p + "CLIENT_SECRET_FILE": "/nowhere/hunter2"}, nil,
			p + "CLIENT_SECRET_FILE names a file that cannot be read"},
		"a folder": {map[string]string{p + "CLIENT_ID": "a", p + "CLIENT_SECRET_FILE": filepath.Dir(file)}, nil,
			p + "CLIENT_SECRET_FILE names a file that cannot be read"},
		"a secret alone":     {map[string]string{p + "CLIENT_SECRET": "hunter2"}, nil, p + "CLIENT_ID is missing"},
		"a lifetime alone":   {map[string]string{p + "CACHE_TTL": "1m"}, nil, p + "CLIENT_ID is missing"},
		"a default, spelt":   {map[string]string{p + "AUTH": "basic"}, nil, p + "CLIENT_ID is missing"},
		"no grace, spelt":    {map[string]string{p + "CLIENT_ID": "a", p + "STALE_IF_ERROR": "0"}, &xenaauth.Introspection{ClientID: "a"}, ""},
		"switches of no use": {map[string]string{"XENA_REQUIRE_ACTIVE": "false", "XENA_PROFILE": "identityserver"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			harness.ClearEnv(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			got, err := xenaauth.ConfigFromEnv()
			if tt.wrong != "" {
				require.ErrorContains(t, err, tt.wrong)
				require.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Introspection)
			require.Equal(t, xenaauth.Config{Introspection: tt.want}, got)
		})
	}
}

// The documentation lists exactly the environment variables that ConfigFromEnv reads, each with the
// field of Config that it sets.
func TestConfigFromEnv_IsDocumented(t *testing.T) {
	source, err := os.ReadFile("../../env.go")
	require.NoError(t, err)
	listed := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^//\t(XENA_\w+) +([\w.]+)`).FindAllStringSubmatch(string(source), -1) {
		listed[m[1]] = m[2]
	}
	want := map[string]string{"XENA_INTROSPECTION_CLIENT_SECRET_FILE": "a"}
	for name, v := range variables {
		want[name] = v.field
	}
	require.Equal(t, want, listed)
}
