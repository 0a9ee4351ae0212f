package xenaauth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
)

// Validate returns all mistakes in the configuration, joined by [errors.Join]. It returns nil if
// there are none. It does no I/O.
func (c Config) Validate() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("xenaauth: Config.%s %s", field, fmt.Sprintf(format, args...)))
	}
	if c.AllowAnyLifetime && c.MaxTokenLifetime != 0 {
		wrong("MaxTokenLifetime", "and AllowAnyLifetime exclude each other")
	}
	c = c.withDefaults()
	for _, u := range []struct{ field, value string }{
		{"Issuer", c.Issuer}, {"MetadataURL", c.MetadataURL}, {"JWKSURL", c.JWKSURL},
	} {
		if u.value != "" || u.field == "Issuer" {
			if err := c.checkURL(u.value); err != nil {
				wrong(u.field, "%v", err)
			}
		}
	}
	if strings.ContainsAny(c.Issuer, "?#") {
		wrong("Issuer", "has a query or a fragment (RFC 8414, section 2)")
	}
	switch {
	case len(c.Audiences) == 0 && !c.AllowAnyAudience:
		wrong("Audiences", "(XENA_AUDIENCE) is empty: name this API, or set AllowAnyAudience")
	case len(c.Audiences) > 0 && c.AllowAnyAudience:
		wrong("Audiences", "and AllowAnyAudience exclude each other")
	case slices.Contains(c.Audiences, ""):
		wrong("Audiences", "holds an empty name")
	}
	if c.Profile != ProfileIdentityServer && c.Profile != ProfileRFC9068 {
		wrong("Profile", "is unknown")
	}
	for _, a := range c.Algorithms {
		if !jose.Known(a) {
			wrong("Algorithms", "holds %q, which is not supported", a)
		}
	}
	c.checkNames(wrong)
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		wrong("ClockSkew", "is not within 0 and 2 minutes")
	}
	if c.MaxTokenLifetime < time.Second && !c.AllowAnyLifetime {
		wrong("MaxTokenLifetime", "is under a second")
	}
	if c.MaxTokenLength < 0 {
		wrong("MaxTokenLength", "is negative")
	}
	if c.MaxKeyAge < 0 {
		wrong("MaxKeyAge", "is negative")
	}
	if c.CacheSize < 0 {
		wrong("CacheSize", "is negative")
	}
	if c.Introspection == nil && (c.AlwaysIntrospect || c.RequireActive) {
		wrong("Introspection", "is required by AlwaysIntrospect and RequireActive")
	}
	if c.AlwaysIntrospect && c.RequireActive {
		wrong("RequireActive", "and AlwaysIntrospect exclude each other")
	}
	if i := c.Introspection; i != nil {
		if i.Endpoint != "" {
			if err := c.checkURL(i.Endpoint); err != nil {
				wrong("Introspection.Endpoint", "%v", err)
			}
		}
		switch _, secret := i.Auth.(clientSecret); {
		case secret && (i.ClientID == "" || i.ClientSecret == ""):
			wrong("Introspection", "needs a ClientID and a ClientSecret")
		case i.ClientID == "":
			wrong("Introspection", "needs a ClientID")
		}
		if c.MaxTokenLength >= 0 && (i.MaxTokenLength < 0 || i.MaxTokenLength > c.MaxTokenLength) {
			wrong("Introspection.MaxTokenLength", "is not within 1 and MaxTokenLength, which is %d", c.MaxTokenLength)
		}
		if i.CacheSize < 0 {
			wrong("Introspection.CacheSize", "is negative")
		}
		if i.Timeout < 0 {
			wrong("Introspection.Timeout", "is negative")
		}
		if i.MaxConcurrent < 0 {
			wrong("Introspection.MaxConcurrent", "is negative")
		}
		if i.StaleIfError < 0 {
			wrong("Introspection.StaleIfError", "is negative")
		}
		if i.StaleIfError > 0 && i.CacheTTL <= 0 {
			wrong("Introspection.StaleIfError", "needs a CacheTTL: what isn't kept can't be used")
		}
		if i.Cache != nil && i.CacheTTL <= 0 {
			wrong("Introspection.Cache", "needs a CacheTTL: what isn't kept can't be shared")
		}
	}
	c.checkBounds(wrong)
	return errors.Join(errs...)
}

// checkURL returns nil if text is an https URL, or an http URL whose host is loopback. Traffic on
// loopback does not leave the machine, so other machines can't read it. With AllowHTTP, checkURL
// accepts http URLs with any host. For every other text, checkURL returns an error.
func (c Config) checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("is not an absolute URL without user and fragment")
	}
	if u.Scheme == "https" || u.Scheme == "http" && (c.AllowHTTP || loopback(u.Hostname())) {
		return nil
	}
	return errors.New("is not an https URL (http is for loopback, or see AllowHTTP)")
}

// These are the largest values of the durations and sizes in a Config. Without these limits, a
// calculation with two large values could overflow.
const (
	maxDuration   = 100 * 365 * 24 * time.Hour
	maxCacheSize  = 1 << 30
	minCacheBytes = 1 << 20
	maxConcurrent = 100_000
)

// checkBounds checks that no setting of a Config is larger than its maximum. For each mistake, it
// calls the function wrong.
func (c Config) checkBounds(wrong func(field, format string, args ...any)) {
	type duration struct {
		field string
		value time.Duration
	}
	type size struct {
		field       string
		value, most int
	}
	durations := []duration{{"MaxTokenLifetime", c.MaxTokenLifetime}, {"MaxKeyAge", c.MaxKeyAge}}
	sizes := []size{{"CacheSize", c.CacheSize, maxCacheSize}}
	if i := c.Introspection; i != nil {
		durations = append(durations,
			duration{"Introspection.CacheTTL", i.CacheTTL}, duration{"Introspection.NegativeTTL", i.NegativeTTL},
			duration{"Introspection.Timeout", i.Timeout}, duration{"Introspection.StaleIfError", i.StaleIfError})
		sizes = append(sizes, size{"Introspection.CacheSize", i.CacheSize, maxCacheSize},
			size{"Introspection.MaxConcurrent", i.MaxConcurrent, maxConcurrent})
	}
	if c.CacheBytes < minCacheBytes {
		wrong("CacheBytes", "is under 1 MiB")
	}
	if c.Introspection != nil && c.Introspection.CacheBytes < minCacheBytes {
		wrong("Introspection.CacheBytes", "is under 1 MiB")
	}
	for _, d := range durations {
		if d.value > maxDuration {
			wrong(d.field, "is over 100 years")
		}
	}
	for _, s := range sizes {
		if s.value > s.most {
			wrong(s.field, "is over %d", s.most)
		}
	}
}

// otherMeaning lists the claims that Config.ClientClaims and Config.ScopeClaims must not contain,
// because the values of these claims are neither clients nor scopes.
var otherMeaning = []string{
	"iss", "sub", "exp", "nbf", "iat", "jti", "sid", "nonce", "at_hash", "c_hash", "cnf", "events", "active",
	"token_type", "token_use", "typ", "auth_time", "acr", "amr", "idp",
}

// checkNames checks the names in Config.ClientClaims and Config.ScopeClaims. For each mistake, it
// calls the function wrong. A name that must not be listed is a mistake. It is also a mistake to
// set one of the two lists if the profile does not allow a choice of claims.
func (c Config) checkNames(wrong func(field, format string, args ...any)) {
	check := func(field string, names, never []string) {
		if names != nil && len(names) == 0 {
			wrong(field, "is an empty list: nil is the default")
		}
		for i, name := range names {
			switch {
			case name == "" || slices.Contains(names[:i], name):
				wrong(field, "holds an empty or a repeated name")
			case slices.Contains(never, name) || slices.Contains(otherMeaning, name):
				wrong(field, "holds %q, which has another meaning", name)
			}
		}
		if names != nil && c.Profile == ProfileRFC9068 {
			wrong(field, "and ProfileRFC9068 exclude each other")
		}
	}
	check("ClientClaims", c.ClientClaims, []string{"scope", "scp"})
	check("ScopeClaims", c.ScopeClaims, []string{"aud", "client_id", "azp"})
	if slices.Contains(c.ClientClaims, "aud") && !c.AllowClientAudience {
		wrong("ClientClaims", "holds aud, which needs AllowClientAudience: the client is then the only audience")
	}
	if c.AllowMissingClientID && c.Introspection == nil {
		wrong("AllowMissingClientID", "is about introspection, which is not configured")
	}
}
