package xenaauth

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/envvar"
	"github.com/xenaauth/xenaauth/internal/jose"
)

const (
	forever      = time.Duration(math.MaxInt64)
	maxClockSkew = 2 * time.Minute
)

// profiles maps the words for Config.Profile in an environment variable to the profiles, and
// clientAuths maps the words for Introspection.Auth to the methods of client authentication.
var (
	profiles = map[string]Profile{
		"identityserver": ProfileIdentityServer, "rfc9068": ProfileRFC9068,
	}
	clientAuths = map[string]ClientAuth{"basic": ClientSecretBasic, "post": ClientSecretPost}
)

// ConfigFromEnv reads a [Config] from the environment, so that a service can use another issuer
// without a change of its code:
//
//	XENA_ISSUER                            Issuer
//	XENA_METADATA_URL                      MetadataURL
//	XENA_JWKS_URL                          JWKSURL
//	XENA_AUDIENCE                          Audiences, a list
//	XENA_ALLOW_ANY_AUDIENCE                AllowAnyAudience
//	XENA_PROFILE                           Profile: identityserver or rfc9068
//	XENA_ALGORITHMS                        Algorithms, a list
//	XENA_CLOCK_SKEW                        ClockSkew
//	XENA_MAX_TOKEN_LIFETIME                MaxTokenLifetime
//	XENA_ALLOW_ANY_LIFETIME                AllowAnyLifetime
//	XENA_MAX_TOKEN_LENGTH                  MaxTokenLength
//	XENA_CLIENT_CLAIMS                     ClientClaims, a list
//	XENA_SCOPE_CLAIMS                      ScopeClaims, a list
//	XENA_ALLOW_MISSING_CLIENT_ID           AllowMissingClientID
//	XENA_ALLOW_CLIENT_AUDIENCE             AllowClientAudience
//	XENA_ALLOW_NONCE                       AllowNonce
//	XENA_ALLOW_CLIENT_TOKENS               AllowClientTokens
//	XENA_ALWAYS_INTROSPECT                 AlwaysIntrospect
//	XENA_REQUIRE_ACTIVE                    RequireActive
//	XENA_MAX_KEY_AGE                       MaxKeyAge
//	XENA_CACHE_SIZE                        CacheSize
//	XENA_CACHE_BYTES                       CacheBytes
//	XENA_ALLOW_HTTP                        AllowHTTP
//	XENA_INTROSPECTION_ENDPOINT            Introspection.Endpoint
//	XENA_INTROSPECTION_CLIENT_ID           Introspection.ClientID; XENA_INTROSPECTION_* need it
//	XENA_INTROSPECTION_CLIENT_SECRET       Introspection.ClientSecret
//	XENA_INTROSPECTION_CLIENT_SECRET_FILE  a file with the secret; one final line break is removed
//	XENA_INTROSPECTION_AUTH                Introspection.Auth: basic or post
//	XENA_INTROSPECTION_MAX_TOKEN_LENGTH    Introspection.MaxTokenLength
//	XENA_INTROSPECTION_CACHE_TTL           Introspection.CacheTTL; a negative duration: no cache
//	XENA_INTROSPECTION_NEGATIVE_TTL        Introspection.NegativeTTL; a negative duration: no cache
//	XENA_INTROSPECTION_CACHE_SIZE          Introspection.CacheSize
//	XENA_INTROSPECTION_CACHE_BYTES         Introspection.CacheBytes
//	XENA_INTROSPECTION_TIMEOUT             Introspection.Timeout
//	XENA_INTROSPECTION_MAX_CONCURRENT      Introspection.MaxConcurrent
//	XENA_INTROSPECTION_STALE_IF_ERROR      Introspection.StaleIfError
//
// [dpop.FromEnv] reads XENA_DPOP and XENA_PUBLIC_ORIGINS. If XENA_DPOP asks for proofs, and the
// program does not contain package dpop, ConfigFromEnv returns an error: the variable would have no
// effect.
//
// Lists are separated by commas or spaces. Durations are written as [time.ParseDuration] reads
// them, for example 90s or 1h30m. Switches are true or false. A variable that is empty counts as
// not set, and its field keeps its zero value. 0 is an error if the zero value of the field means a
// default other than 0.
//
// The error names every variable that cannot be used. It does not show its value, except the name
// of a claim that XENA_CLIENT_CLAIMS or XENA_SCOPE_CLAIMS must not contain, such as exp. Call
// [Config.Validate] to check the whole configuration.
//
// [dpop.FromEnv]: https://pkg.go.dev/github.com/xenaauth/xenaauth/dpop#FromEnv
func ConfigFromEnv() (Config, error) {
	e := environment{envvar.NewReader("xenaauth", os.Getenv)}
	c := Config{
		Issuer:               e.url("XENA_ISSUER"),
		MetadataURL:          e.url("XENA_METADATA_URL"),
		JWKSURL:              e.url("XENA_JWKS_URL"),
		Audiences:            e.List("XENA_AUDIENCE"),
		AllowAnyAudience:     e.Flag("XENA_ALLOW_ANY_AUDIENCE"),
		Profile:              envvar.Word(e.Reader, "XENA_PROFILE", profiles),
		Algorithms:           e.algorithms("XENA_ALGORITHMS"),
		ClockSkew:            e.Duration("XENA_CLOCK_SKEW", time.Nanosecond, maxClockSkew),
		MaxTokenLifetime:     e.Duration("XENA_MAX_TOKEN_LIFETIME", time.Second, forever),
		AllowAnyLifetime:     e.Flag("XENA_ALLOW_ANY_LIFETIME"),
		MaxTokenLength:       e.Number("XENA_MAX_TOKEN_LENGTH"),
		ClientClaims:         e.List("XENA_CLIENT_CLAIMS"),
		ScopeClaims:          e.List("XENA_SCOPE_CLAIMS"),
		AllowMissingClientID: e.Flag("XENA_ALLOW_MISSING_CLIENT_ID"),
		AllowClientAudience:  e.Flag("XENA_ALLOW_CLIENT_AUDIENCE"),
		AllowNonce:           e.Flag("XENA_ALLOW_NONCE"),
		AllowClientTokens:    e.Flag("XENA_ALLOW_CLIENT_TOKENS"),
		AlwaysIntrospect:     e.Flag("XENA_ALWAYS_INTROSPECT"),
		RequireActive:        e.Flag("XENA_REQUIRE_ACTIVE"),
		MaxKeyAge:            e.Duration("XENA_MAX_KEY_AGE", time.Nanosecond, forever),
		CacheSize:            e.Number("XENA_CACHE_SIZE"),
		CacheBytes:           e.Number("XENA_CACHE_BYTES"),
		AllowHTTP:            e.Flag("XENA_ALLOW_HTTP"),
	}
	e.checkClaimNames(c)
	c.Introspection = e.introspection()
	e.CheckSupported("XENA_DPOP", "off", "the program does not call dpop.FromEnv")
	return c, e.Err()
}

// environment.introspection returns the Introspection that the environment variables describe. It
// returns nil if XENA_INTROSPECTION_CLIENT_ID is not set. If another variable whose name begins
// with XENA_INTROSPECTION is set then, it reports an error.
func (e environment) introspection() *Introspection {
	const prefix = "XENA_INTROSPECTION_"
	i := Introspection{
		Endpoint:       e.url(prefix + "ENDPOINT"),
		ClientID:       e.Text(prefix + "CLIENT_ID"),
		ClientSecret:   e.Text(prefix + "CLIENT_SECRET"),
		Auth:           envvar.Word(e.Reader, prefix+"AUTH", clientAuths),
		MaxTokenLength: e.Number(prefix + "MAX_TOKEN_LENGTH"),
		CacheTTL:       e.TTL(prefix + "CACHE_TTL"),
		NegativeTTL:    e.TTL(prefix + "NEGATIVE_TTL"),
		CacheSize:      e.Number(prefix + "CACHE_SIZE"),
		CacheBytes:     e.Number(prefix + "CACHE_BYTES"),
		Timeout:        e.Duration(prefix+"TIMEOUT", time.Nanosecond, forever),
		MaxConcurrent:  e.Number(prefix + "MAX_CONCURRENT"),
		StaleIfError:   e.Duration(prefix+"STALE_IF_ERROR", 0, forever),
	}
	if file := e.Text(prefix + "CLIENT_SECRET_FILE"); file != "" {
		if i.ClientSecret != "" {
			e.Wrong(prefix+"CLIENT_SECRET", "and %sCLIENT_SECRET_FILE exclude each other", prefix)
		}
		secret, err := os.ReadFile(file)
		// The error must not contain the path of the file with the secret. Someone may have put the
		// secret itself, and not the path, into the variable by mistake.
		if err, ok := errors.AsType[*fs.PathError](err); ok {
			e.Wrong(prefix+"CLIENT_SECRET_FILE", "names a file that cannot be read: %w", err.Err)
		}
		i.ClientSecret = strings.TrimSuffix(strings.TrimSuffix(string(secret), "\n"), "\r")
	}
	switch {
	case i.ClientID != "":
		return &i
	case e.AnySet(prefix):
		e.Wrong(prefix+"CLIENT_ID", "is missing")
	}
	return nil
}

// environment reads the environment variables for a Config. Its methods read the variables whose
// values have a type of this package, for example the profile.
type environment struct{ *envvar.Reader }

// environment.url reads a URL from the environment variable with the given name. It accepts http
// and https: [Config.Validate] checks later whether http is allowed.
func (e environment) url(name string) string {
	value := e.Text(name)
	if value != "" {
		if err := (Config{AllowHTTP: true}).checkURL(value); err != nil {
			e.Wrong(name, "%v", err)
		}
	}
	return value
}

func (e environment) algorithms(name string) []string {
	list := e.List(name)
	for i, algorithm := range list {
		if !jose.SupportsAlgorithm(algorithm) {
			e.Wrong(name, "has an algorithm that is not supported: number %d of the list", i+1)
		}
	}
	return list
}

// environment.checkClaimNames checks the names of claims in XENA_CLIENT_CLAIMS and
// XENA_SCOPE_CLAIMS. It reports an error for each name that must not be in these lists, for example
// exp.
func (e environment) checkClaimNames(c Config) {
	claimConfig := Config{
		ClientClaims: c.ClientClaims, ScopeClaims: c.ScopeClaims, AllowClientAudience: true,
	}
	variableNames := map[string]string{
		"ClientClaims": "XENA_CLIENT_CLAIMS", "ScopeClaims": "XENA_SCOPE_CLAIMS",
	}
	claimConfig.checkNames(func(field, format string, args ...any) {
		e.Wrong(variableNames[field], format, args...)
	})
}
