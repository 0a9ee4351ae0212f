package config

import (
	"errors"

	"github.com/xenaauth/xenaauth"
)

// Validator returns which tokens are accepted: what the file says and, for each key that it leaves out, the environment
// ([xenaauth.ConfigFromEnv]). Two keys that exclude each other come from the same source, and so do the id and the
// secret for introspection. The error tells every mistake.
func (c *Config) Validator() (xenaauth.Config, error) {
	t := c.Tokens
	v, err := xenaauth.ConfigFromEnv()
	errs := []error{err}
	if c.Has("tokens.audiences") || c.Has("tokens.allow_any_audience") {
		v.Audiences, v.AllowAnyAudience = t.Audiences, t.AllowAnyAudience
	}
	if c.Has("tokens.max_token_lifetime") || c.Has("tokens.allow_any_lifetime") {
		v.MaxTokenLifetime, v.AllowAnyLifetime = t.MaxTokenLifetime, t.AllowAnyLifetime
	}
	if c.Has("tokens.always_introspect") || c.Has("tokens.require_active") {
		v.AlwaysIntrospect, v.RequireActive = t.AlwaysIntrospect, t.RequireActive
	}
	over(c, "tokens.issuer", &v.Issuer, t.Issuer)
	over(c, "tokens.metadata_url", &v.MetadataURL, t.MetadataURL)
	over(c, "tokens.jwks_url", &v.JWKSURL, t.JWKSURL)
	over(c, "tokens.algorithms", &v.Algorithms, t.Algorithms)
	over(c, "tokens.clock_skew", &v.ClockSkew, t.ClockSkew)
	over(c, "tokens.max_token_length", &v.MaxTokenLength, t.MaxTokenLength)
	over(c, "tokens.client_claims", &v.ClientClaims, t.ClientClaims)
	over(c, "tokens.scope_claims", &v.ScopeClaims, t.ScopeClaims)
	over(c, "tokens.allow_missing_client_id", &v.AllowMissingClientID, t.AllowMissingClientID)
	over(c, "tokens.allow_client_audience", &v.AllowClientAudience, t.AllowClientAudience)
	over(c, "tokens.allow_nonce", &v.AllowNonce, t.AllowNonce)
	over(c, "tokens.allow_client_tokens", &v.AllowClientTokens, t.AllowClientTokens)
	over(c, "tokens.max_key_age", &v.MaxKeyAge, t.MaxKeyAge)
	over(c, "tokens.cache_size", &v.CacheSize, t.CacheSize)
	over(c, "tokens.cache_bytes", &v.CacheBytes, t.CacheBytes)
	over(c, "tokens.allow_http", &v.AllowHTTP, t.AllowHTTP)
	switch t.Profile {
	case "": // what the environment says
	case "identityserver":
		v.Profile = xenaauth.ProfileIdentityServer
	case "rfc9068":
		v.Profile = xenaauth.ProfileRFC9068
	default:
		errs = append(errs, c.At("tokens.profile", errors.New("is neither identityserver nor rfc9068")))
	}
	if t.Introspection != nil {
		v.Introspection, err = c.introspection(v.Introspection)
		errs = append(errs, err)
	}
	if err := v.Validate(); err != nil {
		errs = append(errs, c.At("tokens", err))
	}
	return v, errors.Join(errs...)
}

// introspection is what the file says of it, over what the environment does, which is nil if it doesn't.
func (c *Config) introspection(env *xenaauth.Introspection) (*xenaauth.Introspection, error) {
	const key = "tokens.introspection"
	from := c.Tokens.Introspection
	i := xenaauth.Introspection{}
	if env != nil {
		i = *env
	}
	var errs []error
	switch {
	case from.ClientID != "" && from.ClientSecretFile != "":
		secret, err := c.secret(key+".client_secret_file", from.ClientSecretFile, 1)
		errs = append(errs, err)
		i.ClientID, i.ClientSecret = from.ClientID, string(secret)
	case from.ClientID != "":
		errs = append(errs, c.At(key+".client_id", errors.New("needs a client_secret_file")))
	case from.ClientSecretFile != "":
		errs = append(errs, c.At(key+".client_secret_file", errors.New("needs a client_id")))
	case env == nil:
		errs = append(errs, c.At(key, errors.New("has no client_id, and XENA_INTROSPECTION_CLIENT_ID isn't set")))
	}
	switch from.Auth {
	case "": // what the environment says
	case "basic":
		i.Auth = xenaauth.ClientSecretBasic
	case "post":
		i.Auth = xenaauth.ClientSecretPost
	default:
		errs = append(errs, c.At(key+".auth", errors.New("is neither basic nor post")))
	}
	over(c, key+".endpoint", &i.Endpoint, from.Endpoint)
	over(c, key+".cache_ttl", &i.CacheTTL, from.CacheTTL)
	over(c, key+".negative_ttl", &i.NegativeTTL, from.NegativeTTL)
	over(c, key+".max_token_length", &i.MaxTokenLength, from.MaxTokenLength)
	over(c, key+".cache_size", &i.CacheSize, from.CacheSize)
	over(c, key+".cache_bytes", &i.CacheBytes, from.CacheBytes)
	over(c, key+".timeout", &i.Timeout, from.Timeout)
	over(c, key+".max_concurrent", &i.MaxConcurrent, from.MaxConcurrent)
	over(c, key+".stale_if_error", &i.StaleIfError, from.StaleIfError)
	err := errors.Join(errs...)
	if err != nil && (i.ClientID == "" || i.ClientSecret == "") {
		i.ClientID, i.ClientSecret = "told", "told" // as a mistake, and the rest is checked
	}
	return &i, err
}

// over replaces what the environment says by what the file says, if the file has the key.
func over[T any](c *Config, key string, field *T, file T) {
	if c.Has(key) {
		*field = file
	}
}
