package config

import (
	"errors"

	"github.com/xenaauth/xenaauth"
)

// The types tokens and introspection are short names for xenaauth.Config and
// xenaauth.Introspection. The tables of keys in this file use the short names.
type (
	tokens        = xenaauth.Config
	introspection = xenaauth.Introspection
)

// tokenKeys are the keys in the section "tokens" of the configuration file that set fields of
// [xenaauth.Config].
var tokenKeys = []fileKey[xenaauth.Config]{
	{name: "issuer", field: func(c *tokens) any { return &c.Issuer }},
	{name: "metadata_url", field: func(c *tokens) any { return &c.MetadataURL }},
	{name: "jwks_url", field: func(c *tokens) any { return &c.JWKSURL }},
	{name: "audiences", field: func(c *tokens) any { return &c.Audiences }, excludedKey: "allow_any_audience"},
	{name: "allow_any_audience", field: func(c *tokens) any { return &c.AllowAnyAudience }, excludedKey: "audiences"},
	{name: "profile", field: func(c *tokens) any { return &c.Profile }},
	{name: "algorithms", field: func(c *tokens) any { return &c.Algorithms }},
	{name: "clock_skew", field: func(c *tokens) any { return &c.ClockSkew }},
	{name: "max_token_lifetime", field: func(c *tokens) any { return &c.MaxTokenLifetime }, excludedKey: "allow_any_lifetime"},
	{name: "allow_any_lifetime", field: func(c *tokens) any { return &c.AllowAnyLifetime }, excludedKey: "max_token_lifetime"},
	{name: "max_token_length", field: func(c *tokens) any { return &c.MaxTokenLength }},
	{name: "client_claims", field: func(c *tokens) any { return &c.ClientClaims }},
	{name: "scope_claims", field: func(c *tokens) any { return &c.ScopeClaims }},
	{name: "allow_missing_client_id", field: func(c *tokens) any { return &c.AllowMissingClientID }},
	{name: "allow_client_audience", field: func(c *tokens) any { return &c.AllowClientAudience }},
	{name: "allow_nonce", field: func(c *tokens) any { return &c.AllowNonce }},
	{name: "allow_client_tokens", field: func(c *tokens) any { return &c.AllowClientTokens }},
	{name: "always_introspect", field: func(c *tokens) any { return &c.AlwaysIntrospect }, excludedKey: "require_active"},
	{name: "require_active", field: func(c *tokens) any { return &c.RequireActive }, excludedKey: "always_introspect"},
	{name: "max_key_age", field: func(c *tokens) any { return &c.MaxKeyAge }},
	{name: "cache_size", field: func(c *tokens) any { return &c.CacheSize }},
	{name: "cache_bytes", field: func(c *tokens) any { return &c.CacheBytes }},
	{name: "allow_http", field: func(c *tokens) any { return &c.AllowHTTP }},
}

// introspectionKeys are the keys in the section "tokens.introspection" of the configuration file
// that set fields of [xenaauth.Introspection].
var introspectionKeys = []fileKey[xenaauth.Introspection]{
	{name: "endpoint", field: func(i *introspection) any { return &i.Endpoint }},
	{name: "client_id", field: func(i *introspection) any { return &i.ClientID }},
	{name: "auth", field: func(i *introspection) any { return &i.Auth }},
	{name: "cache_ttl", field: func(i *introspection) any { return &i.CacheTTL }},
	{name: "negative_ttl", field: func(i *introspection) any { return &i.NegativeTTL }},
	{name: "max_token_length", field: func(i *introspection) any { return &i.MaxTokenLength }},
	{name: "cache_size", field: func(i *introspection) any { return &i.CacheSize }},
	{name: "cache_bytes", field: func(i *introspection) any { return &i.CacheBytes }},
	{name: "timeout", field: func(i *introspection) any { return &i.Timeout }},
	{name: "max_concurrent", field: func(i *introspection) any { return &i.MaxConcurrent }},
	{name: "stale_if_error", field: func(i *introspection) any { return &i.StaleIfError }, mayBeZero: true},
}

// profileByWord lists the words that are possible as the value of the key tokens.profile in the
// configuration file, and clientAuthByWord those for tokens.introspection.auth. Each word stands
// for a constant of package xenaauth.
var (
	profileByWord = map[string]xenaauth.Profile{
		"identityserver": xenaauth.ProfileIdentityServer, "rfc9068": xenaauth.ProfileRFC9068,
	}
	clientAuthByWord = map[string]xenaauth.ClientAuth{
		"basic": xenaauth.ClientSecretBasic, "post": xenaauth.ClientSecretPost,
	}
)

// Validator returns the configuration of the xenaauth.Validator, which says which access tokens are
// accepted. A key in the configuration file overrides the environment variable for the same field
// ([xenaauth.ConfigFromEnv]). Two keys may exclude each other. If the file contains one of them,
// the environment variables of both are ignored. The client id and the client secret for
// introspection belong together: if the file contains them, both variables are ignored. The error
// lists all mistakes.
func (c *Config) Validator() (xenaauth.Config, error) {
	v, err := xenaauth.ConfigFromEnv()
	errs := []error{err}
	overrideFromFile(c, "tokens", tokenKeys, &v, &c.Tokens.Config)
	if c.Tokens.Introspection != nil {
		v.Introspection, err = c.introspectionConfig(v.Introspection)
		errs = append(errs, err)
	}
	if err := v.Validate(); err != nil {
		errs = append(errs, c.withKeyNames("tokens", err))
	}
	return v, errors.Join(errs...)
}

// Config.introspectionConfig returns the configuration of introspection. The values in the
// configuration file have priority over those in env. The parameter env contains the values from
// the environment variables. It is nil if the environment configures no introspection.
func (c *Config) introspectionConfig(env *xenaauth.Introspection) (*xenaauth.Introspection, error) {
	const section = "tokens.introspection"
	file := c.Tokens.Introspection
	i := xenaauth.Introspection{}
	if env != nil {
		i = *env
	}
	overrideFromFile(c, section, introspectionKeys, &i, &file.Config)
	var errs []error
	switch id := file.Config.ClientID; {
	case id != "" && file.ClientSecretFile != "":
		secret, err := c.readSecret(section+".client_secret_file", file.ClientSecretFile, 1)
		errs = append(errs, err)
		i.ClientSecret = string(secret)
	case id != "":
		errs = append(errs, c.AddPlace(section+".client_id", errors.New("needs a client_secret_file")))
	case file.ClientSecretFile != "":
		errs = append(errs, c.AddPlace(section+".client_secret_file", errors.New("needs a client_id")))
	case env == nil:
		errs = append(errs, c.AddPlace(section, errors.New("has no client_id, and XENA_INTROSPECTION_CLIENT_ID is not set")))
	}
	err := errors.Join(errs...)
	if err != nil && (i.ClientID == "" || i.ClientSecret == "") {
		// The client id or the secret is wrong, and the error says so. Valid values take their
		// place, so that Validate reports only mistakes in other fields.
		i.ClientID, i.ClientSecret = "placeholder", "placeholder"
	}
	return &i, err
}
