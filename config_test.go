package xenaauth_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

func TestConfigTellsEveryMistakeAtOnce(t *testing.T) {
	err := xenaauth.Config{
		Issuer:           "http://login.example",
		MetadataURL:      "ftp://login.example",
		KeySetURL:        "https://user:pass@login.example/keys",
		Audiences:        []string{""},
		Profile:          7,
		Algorithms:       []string{"RS256", "HS256"},
		ClockSkew:        3 * time.Minute,
		MaxTokenLifetime: -1,
		AllowAnyLifetime: true,
		MaxTokenLength:   -1,
		MaxKeyAge:        -1,
		CacheSize:        -1,
		AlwaysIntrospect: true,
		RequireActive:    true,
		Introspection: &xenaauth.Introspection{
			Endpoint: "/relative", Auth: 9, CacheSize: -1, Timeout: -1, Concurrent: -1, StaleIfUnavailable: -1,
		},
	}.Validate()
	require.Error(t, err)
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "mistakes are joined")
	for _, field := range []string{
		"Issuer", "MetadataURL", "KeySetURL", "Audiences", "Profile", "Algorithms", "ClockSkew", "MaxTokenLifetime",
		"MaxTokenLength", "MaxKeyAge", "CacheSize", "RequireActive", "Introspection.Endpoint", "Introspection needs",
		"Introspection.Auth", "Introspection.CacheSize", "Introspection.Timeout", "Introspection.Concurrent",
		"Introspection.StaleIfUnavailable",
	} {
		require.Contains(t, err.Error(), "Config."+field)
	}
	require.GreaterOrEqual(t, len(joined.Unwrap()), 19)
	_, fromNew := xenaauth.NewValidator(xenaauth.Config{})
	require.ErrorContains(t, fromNew, "Config.Audiences")
}

func TestConfigs(t *testing.T) {
	api := []string{"testapi"}
	asked := &xenaauth.Introspection{ClientID: "testapi", ClientSecret: "s"}
	for name, tt := range map[string]struct {
		config xenaauth.Config
		wrong  string // "" is right
	}{
		"the zero value and an audience":   {xenaauth.Config{Audiences: api}, ""},
		"no audience":                      {xenaauth.Config{}, "Audiences"},
		"any audience":                     {xenaauth.Config{AllowAnyAudience: true}, ""},
		"an audience and any":              {xenaauth.Config{Audiences: api, AllowAnyAudience: true}, "exclude"},
		"http on loopback":                 {xenaauth.Config{Audiences: api, Issuer: "http://127.0.0.1:5000"}, ""},
		"http on ::1":                      {xenaauth.Config{Audiences: api, Issuer: "http://[::1]:5000"}, ""},
		"http on localhost":                {xenaauth.Config{Audiences: api, Issuer: "http://localhost:5000"}, ""},
		"http elsewhere":                   {xenaauth.Config{Audiences: api, Issuer: "http://localhost.example"}, "https"},
		"http elsewhere, named":            {xenaauth.Config{Audiences: api, Issuer: "http://identity", AllowHTTP: true}, ""},
		"issuer with a query":              {xenaauth.Config{Audiences: api, Issuer: "https://login.example/?a=b"}, "query"},
		"issuer with a fragment":           {xenaauth.Config{Audiences: api, Issuer: "https://login.example/#a"}, "Issuer"},
		"issuer that is no URL":            {xenaauth.Config{Audiences: api, Issuer: "login.xena.biz"}, "Issuer"},
		"introspection":                    {xenaauth.Config{Audiences: api, Introspection: asked}, ""},
		"introspection without a secret":   {xenaauth.Config{Audiences: api, Introspection: &xenaauth.Introspection{ClientID: "a"}}, "ClientSecret"},
		"always, without introspection":    {xenaauth.Config{Audiences: api, AlwaysIntrospect: true}, "Introspection"},
		"active, without introspection":    {xenaauth.Config{Audiences: api, RequireActive: true}, "Introspection"},
		"always":                           {xenaauth.Config{Audiences: api, AlwaysIntrospect: true, Introspection: asked}, ""},
		"grace with nothing kept":          {xenaauth.Config{Audiences: api, AlwaysIntrospect: true, Introspection: &xenaauth.Introspection{ClientID: "a", ClientSecret: "b", StaleIfUnavailable: 1}}, "StaleIfUnavailable"},
		"the most skew":                    {xenaauth.Config{Audiences: api, ClockSkew: 2 * time.Minute}, ""},
		"any lifetime":                     {xenaauth.Config{Audiences: api, AllowAnyLifetime: true}, ""},
		"any lifetime, and a longest one":  {xenaauth.Config{Audiences: api, AllowAnyLifetime: true, MaxTokenLifetime: 1}, "exclude"},
		"algorithms of the allow-list":     {xenaauth.Config{Audiences: api, Algorithms: []string{"ES256", "EdDSA", "Ed25519"}}, ""},
		"an algorithm that doesn't exist":  {xenaauth.Config{Audiences: api, Algorithms: []string{"none"}}, "Algorithms"},
		"an algorithm in another spelling": {xenaauth.Config{Audiences: api, Algorithms: []string{"rs256"}}, "Algorithms"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.config.Validate()
			if tt.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.wrong)
		})
	}
}

func TestConfigShowsNoSecret(t *testing.T) {
	c := xenaauth.Config{Introspection: &xenaauth.Introspection{ClientID: "testapi", ClientSecret: "hunter2"}}
	text, err := json.Marshal(c.Introspection)
	require.NoError(t, err)
	for _, shown := range []string{
		fmt.Sprint(*c.Introspection), fmt.Sprintf("%+v %#v %v", *c.Introspection, *c.Introspection, c.Introspection),
		fmt.Sprintf("%+v", c), string(text), c.Introspection.LogValue().String(),
	} {
		require.NotContains(t, shown, "hunter2")
	}
	require.Contains(t, string(text), "testapi")
}

func TestConfigFromEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file\r\n"), 0o600))
	const p = "XENA_INTROSPECTION_"
	for name, tt := range map[string]struct {
		env   map[string]string
		want  xenaauth.Config
		wrong string
	}{
		"nothing": {nil, xenaauth.Config{Audiences: []string{}}, ""},
		"everything": {
			map[string]string{
				"XENA_ISSUER": xenaauth.IssuerTest, "XENA_AUDIENCE": "testapi, other", "XENA_METADATA_URL": "https://a/m",
				"XENA_KEY_SET_URL": "https://a/k", p + "ENDPOINT": "https://a/i", p + "CLIENT_ID": "testapi", p + "CLIENT_SECRET": "s",
			},
			xenaauth.Config{
				Issuer: xenaauth.IssuerTest, Audiences: []string{"testapi", "other"}, MetadataURL: "https://a/m", KeySetURL: "https://a/k",
				Introspection: &xenaauth.Introspection{Endpoint: "https://a/i", ClientID: "testapi", ClientSecret: "s"},
			}, "",
		},
		"secret in a file": {
			map[string]string{p + "CLIENT_ID": "testapi", p + "CLIENT_SECRET_FILE": file},
			xenaauth.Config{Audiences: []string{}, Introspection: &xenaauth.Introspection{ClientID: "testapi", ClientSecret: "from a file"}}, "",
		},
		"two secrets":      {map[string]string{p + "CLIENT_ID": "a", p + "CLIENT_SECRET": "s", p + "CLIENT_SECRET_FILE": file}, xenaauth.Config{}, "exclude"},
		"no such file":     {map[string]string{p + "CLIENT_ID": "a", p + "CLIENT_SECRET_FILE": file + "x"}, xenaauth.Config{}, "CLIENT_SECRET_FILE"},
		"secret, nobody's": {map[string]string{p + "CLIENT_SECRET": "hunter2"}, xenaauth.Config{}, "CLIENT_ID is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{"XENA_ISSUER", "XENA_AUDIENCE", "XENA_METADATA_URL", "XENA_KEY_SET_URL",
				p + "ENDPOINT", p + "CLIENT_ID", p + "CLIENT_SECRET", p + "CLIENT_SECRET_FILE"} {
				t.Setenv(name, tt.env[name])
			}
			got, err := xenaauth.ConfigFromEnv()
			if tt.wrong != "" {
				require.ErrorContains(t, err, tt.wrong)
				require.False(t, strings.Contains(err.Error(), "hunter2"))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestValidatorKeepsItsConfig(t *testing.T) {
	audiences := []string{"testapi"}
	asked := &xenaauth.Introspection{ClientID: "a", ClientSecret: "b"}
	_, err := xenaauth.NewValidator(xenaauth.Config{Audiences: audiences, Introspection: asked})
	require.NoError(t, err)
	require.Equal(t, xenaauth.Introspection{ClientID: "a", ClientSecret: "b"}, *asked, "defaults are not written into the caller's struct")
}
