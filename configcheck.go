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
	addMistake := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("xenaauth: Config.%s %s", field, fmt.Sprintf(format, args...)))
	}
	if c.AllowAnyLifetime && c.MaxTokenLifetime != 0 {
		addMistake("MaxTokenLifetime", "and AllowAnyLifetime exclude each other")
	}
	c = c.withDefaults()
	for _, u := range []struct{ field, value string }{
		{"Issuer", c.Issuer}, {"MetadataURL", c.MetadataURL}, {"JWKSURL", c.JWKSURL},
	} {
		if u.value != "" || u.field == "Issuer" {
			if err := c.checkURL(u.value); err != nil {
				addMistake(u.field, "%v", err)
			}
		}
	}
	if strings.ContainsAny(c.Issuer, "?#") {
		addMistake("Issuer", "has a query or a fragment (RFC 8414, section 2)")
	}
	switch {
	case len(c.Audiences) == 0 && !c.AllowAnyAudience:
		addMistake("Audiences", "(XENA_AUDIENCE) is empty: name this API, or set AllowAnyAudience")
	case len(c.Audiences) > 0 && c.AllowAnyAudience:
		addMistake("Audiences", "and AllowAnyAudience exclude each other")
	case slices.Contains(c.Audiences, ""):
		addMistake("Audiences", "holds an empty name")
	}
	if c.Profile != ProfileIdentityServer && c.Profile != ProfileRFC9068 {
		addMistake("Profile", "is unknown")
	}
	for _, a := range c.Algorithms {
		if !jose.SupportsAlgorithm(a) {
			addMistake("Algorithms", "holds %q, which is not supported", a)
		}
	}
	c.checkNames(addMistake)
	if c.ClockSkew < 0 || c.ClockSkew > maxClockSkew {
		addMistake("ClockSkew", "is not within 0 and 2 minutes")
	}
	if c.MaxTokenLifetime < time.Second && !c.AllowAnyLifetime {
		addMistake("MaxTokenLifetime", "is under a second")
	}
	if c.MaxTokenLength < 0 {
		addMistake("MaxTokenLength", "is negative")
	}
	if c.MaxKeyAge < 0 {
		addMistake("MaxKeyAge", "is negative")
	}
	if c.CacheSize < 0 {
		addMistake("CacheSize", "is negative")
	}
	if c.Introspection == nil && (c.AlwaysIntrospect || c.RequireActive) {
		addMistake("Introspection", "is required by AlwaysIntrospect and RequireActive")
	}
	if c.AlwaysIntrospect && c.RequireActive {
		addMistake("RequireActive", "and AlwaysIntrospect exclude each other")
	}
	if i := c.Introspection; i != nil {
		if i.Endpoint != "" {
			if err := c.checkURL(i.Endpoint); err != nil {
				addMistake("Introspection.Endpoint", "%v", err)
			}
		}
		switch _, secret := i.Auth.(clientSecret); {
		case secret && (i.ClientID == "" || i.ClientSecret == ""):
			addMistake("Introspection", "needs a ClientID and a ClientSecret")
		case i.ClientID == "":
			addMistake("Introspection", "needs a ClientID")
		}
		if c.MaxTokenLength >= 0 && (i.MaxTokenLength < 0 || i.MaxTokenLength > c.MaxTokenLength) {
			addMistake("Introspection.MaxTokenLength", "is not within 1 and MaxTokenLength, which is %d", c.MaxTokenLength)
		}
		if i.CacheSize < 0 {
			addMistake("Introspection.CacheSize", "is negative")
		}
		if i.Timeout < 0 {
			addMistake("Introspection.Timeout", "is negative")
		}
		if i.MaxConcurrent < 0 {
			addMistake("Introspection.MaxConcurrent", "is negative")
		}
		if i.StaleIfError < 0 {
			addMistake("Introspection.StaleIfError", "is negative")
		}
		if i.StaleIfError > 0 && i.CacheTTL <= 0 {
			addMistake("Introspection.StaleIfError", "needs a CacheTTL: what isn't kept can't be used")
		}
		if i.Cache != nil && i.CacheTTL <= 0 {
			addMistake("Introspection.Cache", "needs a CacheTTL: what isn't kept can't be shared")
		}
	}
	c.checkBounds(addMistake)
	return errors.Join(errs...)
}

// checkURL returns nil if text is an https URL, or an http URL whose host is loopback. The URL must
// have no user and no fragment. Traffic on loopback does not leave the machine, so other machines
// can't read it. With AllowHTTP, checkURL accepts http URLs with any host. For every other text,
// checkURL returns an error.
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

// These constants limit the durations and sizes in a Config. Without a maximum, a calculation with
// two large values could overflow.
const (
	maxDuration   = 100 * 365 * 24 * time.Hour
	maxCacheSize  = 1 << 30
	minCacheBytes = 1 << 20
	maxConcurrent = 100_000
)

// checkBounds checks that the durations and sizes in a Config are within fixed limits, such as
// maxDuration. For each value outside its limit, checkBounds calls the function addMistake.
// checkBounds does not look for negative values, because Config.Validate itself refuses them.
func (c Config) checkBounds(addMistake func(field, format string, args ...any)) {
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
		addMistake("CacheBytes", "is under 1 MiB")
	}
	if c.Introspection != nil && c.Introspection.CacheBytes < minCacheBytes {
		addMistake("Introspection.CacheBytes", "is under 1 MiB")
	}
	for _, d := range durations {
		if d.value > maxDuration {
			addMistake(d.field, "is over 100 years")
		}
	}
	for _, s := range sizes {
		if s.value > s.most {
			addMistake(s.field, "is over %d", s.most)
		}
	}
}

// unsuitableClaims lists the claims that Config.ClientClaims and Config.ScopeClaims must not
// contain, because the values of these claims are neither clients nor scopes.
var unsuitableClaims = []string{
	"iss", "sub", "exp", "nbf", "iat", "jti", "sid", "nonce", "at_hash", "c_hash", "cnf", "events", "active",
	"token_type", "token_use", "typ", "auth_time", "acr", "amr", "idp",
}

// checkNames checks the names in Config.ClientClaims and Config.ScopeClaims. For each mistake, it
// calls the function addMistake. One kind of mistake is a name that must not be listed. Another is
// a list together with ProfileRFC9068, because this profile says which claims name the client and
// the scopes.
func (c Config) checkNames(addMistake func(field, format string, args ...any)) {
	check := func(field string, names, never []string) {
		if names != nil && len(names) == 0 {
			addMistake(field, "is an empty list: nil is the default")
		}
		for i, name := range names {
			switch {
			case name == "" || slices.Contains(names[:i], name):
				addMistake(field, "holds an empty or a repeated name")
			case slices.Contains(never, name) || slices.Contains(unsuitableClaims, name):
				addMistake(field, "holds %q, which has another meaning", name)
			}
		}
		if names != nil && c.Profile == ProfileRFC9068 {
			addMistake(field, "and ProfileRFC9068 exclude each other")
		}
	}
	check("ClientClaims", c.ClientClaims, []string{"scope", "scp"})
	check("ScopeClaims", c.ScopeClaims, []string{"aud", "client_id", "azp"})
	if slices.Contains(c.ClientClaims, "aud") && !c.AllowClientAudience {
		addMistake("ClientClaims", "holds aud, which needs AllowClientAudience: the client is then the only audience")
	}
	if c.AllowMissingClientID && c.Introspection == nil {
		addMistake("AllowMissingClientID", "is about introspection, which is not configured")
	}
}
