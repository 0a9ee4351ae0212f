package xenaauth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// ConfigFromEnv reads a [Config] from the environment, so that a service needs no code to be pointed at another issuer:
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
//	XENA_INTROSPECTION_CLIENT_ID           Introspection.ClientID, and that there is an Introspection at all
//	XENA_INTROSPECTION_CLIENT_SECRET       Introspection.ClientSecret
//	XENA_INTROSPECTION_CLIENT_SECRET_FILE  a file that holds it, one trailing line break not counted
//	XENA_INTROSPECTION_AUTH                Introspection.Auth: basic or post
//	XENA_INTROSPECTION_MAX_TOKEN_LENGTH    Introspection.MaxTokenLength
//	XENA_INTROSPECTION_CACHE_TTL           Introspection.CacheTTL; a negative duration keeps nothing
//	XENA_INTROSPECTION_NEGATIVE_TTL        Introspection.NegativeTTL; a negative duration keeps nothing
//	XENA_INTROSPECTION_CACHE_SIZE          Introspection.CacheSize
//	XENA_INTROSPECTION_CACHE_BYTES         Introspection.CacheBytes
//	XENA_INTROSPECTION_TIMEOUT             Introspection.Timeout
//	XENA_INTROSPECTION_MAX_CONCURRENT      Introspection.MaxConcurrent
//	XENA_INTROSPECTION_STALE_IF_ERROR      Introspection.StaleIfError
//
// Lists are separated by commas or spaces. Durations are written as [time.ParseDuration] reads them, 90s or 1h30m.
// Switches are true or false. A variable that is empty counts as not set, and its field keeps its zero value. 0 is an
// error where the zero value of the field is a default other than 0.
//
// The error tells every variable that can't be used, by its name and without its value. Whether the whole makes sense
// is for [Config.Validate] to tell.
func ConfigFromEnv() (Config, error) {
	e := new(environment)
	c := Config{
		Issuer:               e.url("XENA_ISSUER"),
		MetadataURL:          e.url("XENA_METADATA_URL"),
		JWKSURL:              e.url("XENA_JWKS_URL"),
		Audiences:            e.list("XENA_AUDIENCE"),
		AllowAnyAudience:     e.flag("XENA_ALLOW_ANY_AUDIENCE"),
		Profile:              word(e, "XENA_PROFILE", profiles),
		Algorithms:           e.algorithms("XENA_ALGORITHMS"),
		ClockSkew:            e.duration("XENA_CLOCK_SKEW", time.Nanosecond, maxClockSkew),
		MaxTokenLifetime:     e.duration("XENA_MAX_TOKEN_LIFETIME", time.Second, forever),
		AllowAnyLifetime:     e.flag("XENA_ALLOW_ANY_LIFETIME"),
		MaxTokenLength:       e.number("XENA_MAX_TOKEN_LENGTH"),
		ClientClaims:         e.list("XENA_CLIENT_CLAIMS"),
		ScopeClaims:          e.list("XENA_SCOPE_CLAIMS"),
		AllowMissingClientID: e.flag("XENA_ALLOW_MISSING_CLIENT_ID"),
		AllowClientAudience:  e.flag("XENA_ALLOW_CLIENT_AUDIENCE"),
		AllowNonce:           e.flag("XENA_ALLOW_NONCE"),
		AllowClientTokens:    e.flag("XENA_ALLOW_CLIENT_TOKENS"),
		AlwaysIntrospect:     e.flag("XENA_ALWAYS_INTROSPECT"),
		RequireActive:        e.flag("XENA_REQUIRE_ACTIVE"),
		MaxKeyAge:            e.duration("XENA_MAX_KEY_AGE", time.Nanosecond, forever),
		CacheSize:            e.number("XENA_CACHE_SIZE"),
		CacheBytes:           e.number("XENA_CACHE_BYTES"),
		AllowHTTP:            e.flag("XENA_ALLOW_HTTP"),
	}
	e.claimNames(c)
	c.Introspection = e.introspection()
	return c, errors.Join(e.errs...)
}

// introspection returns nil if the environment says nothing about introspection.
func (e *environment) introspection() *Introspection {
	const prefix = "XENA_INTROSPECTION_"
	i := Introspection{
		Endpoint:       e.url(prefix + "ENDPOINT"),
		ClientID:       e.text(prefix + "CLIENT_ID"),
		ClientSecret:   e.text(prefix + "CLIENT_SECRET"),
		Auth:           word(e, prefix+"AUTH", clientAuths),
		MaxTokenLength: e.number(prefix + "MAX_TOKEN_LENGTH"),
		CacheTTL:       e.ttl(prefix + "CACHE_TTL"),
		NegativeTTL:    e.ttl(prefix + "NEGATIVE_TTL"),
		CacheSize:      e.number(prefix + "CACHE_SIZE"),
		CacheBytes:     e.number(prefix + "CACHE_BYTES"),
		Timeout:        e.duration(prefix+"TIMEOUT", time.Nanosecond, forever),
		MaxConcurrent:  e.number(prefix + "MAX_CONCURRENT"),
		StaleIfError:   e.duration(prefix+"STALE_IF_ERROR", 0, forever),
	}
	if file := e.text(prefix + "CLIENT_SECRET_FILE"); file != "" {
		if i.ClientSecret != "" {
			e.wrong(prefix+"CLIENT_SECRET", "and %sCLIENT_SECRET_FILE exclude each other", prefix)
		}
		secret, err := os.ReadFile(file)
		if err, ok := errors.AsType[*fs.PathError](err); ok { // without the path, which may be a secret put there by mistake
			e.errs = append(e.errs, fmt.Errorf("xenaauth: %sCLIENT_SECRET_FILE: the file is unreadable: %w", prefix, err.Err))
		}
		i.ClientSecret = strings.TrimSuffix(strings.TrimSuffix(string(secret), "\n"), "\r")
	}
	switch {
	case i.ClientID != "":
		return &i
	case e.found[prefix]:
		e.wrong(prefix+"CLIENT_ID", "is missing")
	}
	return nil
}
