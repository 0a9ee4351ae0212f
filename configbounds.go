package xenaauth

import "time"

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
