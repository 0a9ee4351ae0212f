package xenaauth

import (
	"slices"
	"time"
)

// Values beyond these are mistakes, and sums of them would wrap around.
const (
	maxDuration   = 100 * 365 * 24 * time.Hour
	maxCacheSize  = 1 << 30
	minCacheBytes = 1 << 20
	maxConcurrent = 100_000
)

// checkBounds calls wrong for each value that is too large to calculate with.
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

// otherMeaning lists claims that ClientClaims and ScopeClaims must not name: they name no client
// and hold no scopes.
var otherMeaning = []string{
	"iss", "sub", "exp", "nbf", "iat", "jti", "sid", "nonce", "at_hash", "c_hash", "cnf", "events", "active",
	"token_type", "token_use", "typ", "auth_time", "acr", "amr", "idp",
}

// checkNames calls wrong for each claim that ClientClaims and ScopeClaims must not name, and for
// settings that the profile excludes.
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
