package config

import (
	"errors"

	"github.com/xenaauth/xenaauth"
)

// Validator is which tokens are accepted: what the file says and, for what it leaves out, the environment
// ([xenaauth.ConfigFromEnv]). The id and the secret for introspection come from one of them, not from both. The
// error tells every mistake.
func (c *Config) Validator() (xenaauth.Config, error) {
	t := c.Tokens
	v, err := xenaauth.ConfigFromEnv()
	if err != nil {
		return v, err
	}
	over(&v.Issuer, t.Issuer)
	over(&v.MetadataURL, t.MetadataURL)
	over(&v.KeySetURL, t.KeySetURL)
	if t.Audiences != nil || t.AllowAnyAudience {
		v.Audiences = t.Audiences
	}
	v.AllowAnyAudience = t.AllowAnyAudience
	v.Algorithms = t.Algorithms
	v.ClockSkew = t.ClockSkew
	v.MaxTokenLifetime = t.MaxTokenLifetime
	v.AllowAnyLifetime = t.AllowAnyLifetime
	v.AllowClientTokens = t.AllowClientTokens
	v.AlwaysIntrospect = t.AlwaysIntrospect
	v.RequireActive = t.RequireActive
	v.MaxKeyAge = t.MaxKeyAge
	v.CacheSize = t.CacheSize
	v.AllowHTTP = t.AllowHTTP
	var errs []error
	switch t.Profile {
	case "", "identityserver":
	case "rfc9068":
		v.Profile = xenaauth.ProfileRFC9068
	default:
		errs = append(errs, c.At("tokens.profile", errors.New("is neither identityserver nor rfc9068")))
	}
	if t.Introspection != nil {
		v.Introspection, err = c.introspection(v.Introspection)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return v, err
	}
	if err := v.Validate(); err != nil {
		return v, c.At("tokens", err)
	}
	return v, nil
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
	case "", "basic":
	case "post":
		i.Auth = xenaauth.ClientSecretPost
	default:
		errs = append(errs, c.At(key+".auth", errors.New("is neither basic nor post")))
	}
	over(&i.Endpoint, from.Endpoint)
	i.CacheTTL = from.CacheTTL
	i.NegativeTTL = from.NegativeTTL
	i.CacheSize = from.CacheSize
	i.Timeout = from.Timeout
	i.Concurrent = from.Concurrent
	i.StaleIfUnavailable = from.StaleIfUnavailable
	return &i, errors.Join(errs...)
}

// over replaces what the environment says, if the file says something.
func over(field *string, file string) {
	if file != "" {
		*field = file
	}
}
