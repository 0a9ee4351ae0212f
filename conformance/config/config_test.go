package config_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

func TestConfigReportsAllMistakes(t *testing.T) {
	err := xenaauth.Config{
		Issuer:           "http://login.example",
		MetadataURL:      "ftp://login.example",
		JWKSURL:          "https://user:pass@login.example/keys",
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
			Endpoint: "/relative", CacheSize: -1, Timeout: -1, MaxConcurrent: -1, StaleIfError: -1,
		},
	}.Validate()
	require.Error(t, err)
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "the errors must be joined")
	for _, field := range []string{
		"Issuer", "MetadataURL", "JWKSURL", "Audiences", "Profile", "Algorithms", "ClockSkew", "MaxTokenLifetime",
		"MaxTokenLength", "MaxKeyAge", "CacheSize", "RequireActive", "Introspection.Endpoint", "Introspection needs",
		"Introspection.CacheSize", "Introspection.Timeout", "Introspection.MaxConcurrent",
		"Introspection.StaleIfError",
	} {
		require.Contains(t, err.Error(), "Config."+field)
	}
	require.GreaterOrEqual(t, len(joined.Unwrap()), 18)
	_, fromNew := xenaauth.NewValidator(xenaauth.Config{})
	require.ErrorContains(t, fromNew, "Config.Audiences (XENA_AUDIENCE) is empty: ")
}

func TestConfigValidate(t *testing.T) {
	api := []string{"testapi"}
	asked := &xenaauth.Introspection{ClientID: "testapi", ClientSecret: "s"}
	for name, tt := range map[string]struct {
		config    xenaauth.Config
		errorWord string // a word of the expected error; "" means no error
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
		"grace with nothing kept":          {xenaauth.Config{Audiences: api, AlwaysIntrospect: true, Introspection: &xenaauth.Introspection{ClientID: "a", ClientSecret: "b", StaleIfError: 1}}, "StaleIfError"},
		"the most skew":                    {xenaauth.Config{Audiences: api, ClockSkew: 2 * time.Minute}, ""},
		"any lifetime":                     {xenaauth.Config{Audiences: api, AllowAnyLifetime: true}, ""},
		"any lifetime, and a longest one":  {xenaauth.Config{Audiences: api, AllowAnyLifetime: true, MaxTokenLifetime: 1}, "exclude"},
		"algorithms of the allow-list":     {xenaauth.Config{Audiences: api, Algorithms: []string{"ES256", "EdDSA", "Ed25519"}}, ""},
		"an algorithm that doesn't exist":  {xenaauth.Config{Audiences: api, Algorithms: []string{"none"}}, "Algorithms"},
		"an algorithm in another spelling": {xenaauth.Config{Audiences: api, Algorithms: []string{"rs256"}}, "Algorithms"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.config.Validate()
			if tt.errorWord == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.errorWord)
		})
	}
}

// If a field of Config must contain a URL but contains another text, Config.Validate returns an
// error. The error does not contain the text.
func TestInvalidURLs(t *testing.T) {
	for _, text := range []string{
		"https://hunter2%zz/", "https://[::1", "https://host:hunter2", "https://hun ter2/", ":hunter2", "https://hunter2\x7f/",
		"https://", "https:hunter2", "//hunter2", "hunter2", "https://a:hunter2@host", "https://host/#hunter2", "https://host/\nhunter2",
	} {
		for field, set := range map[string]func(*xenaauth.Config){
			"Issuer":                 func(c *xenaauth.Config) { c.Issuer = text },
			"MetadataURL":            func(c *xenaauth.Config) { c.MetadataURL = text },
			"JWKSURL":                func(c *xenaauth.Config) { c.JWKSURL = text },
			"Introspection.Endpoint": func(c *xenaauth.Config) { c.Introspection.Endpoint = text },
		} {
			c := xenaauth.Config{
				Audiences: []string{"testapi"}, AllowHTTP: true,
				Introspection: &xenaauth.Introspection{ClientID: "a", ClientSecret: "b"},
			}
			set(&c)
			err := c.Validate()
			require.ErrorContains(t, err, "Config."+field+" is not an ", "%q", text)
			require.NotContains(t, err.Error(), "hunter2")
		}
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

func TestValidatorKeepsItsConfig(t *testing.T) {
	audiences := []string{"testapi"}
	asked := &xenaauth.Introspection{ClientID: "a", ClientSecret: "b"}
	_, err := xenaauth.NewValidator(xenaauth.Config{Audiences: audiences, Introspection: asked})
	require.NoError(t, err)
	require.Equal(t, xenaauth.Introspection{ClientID: "a", ClientSecret: "b"}, *asked, "NewValidator must not write defaults into the caller's struct")
}
