package promauth

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xenaauth/xenaauth"
)

// stateDescs has the description of each Prometheus metric that shows the state of a Validator.
var stateDescs []*prometheus.Desc

var (
	readyDesc       = addDesc("issuer_ready", "Whether tokens can be checked now.")
	failingDesc     = addDesc("issuer_failing", "Whether the latest attempt to get the document failed.", "document")
	lastSuccessDesc = addDesc("issuer_last_success_timestamp_seconds",
		"When the document was last fetched or found unchanged, in Unix time.", "document")
	keysDesc        = addDesc("issuer_keys", "Usable keys that the issuer publishes.")
	hashDesc        = addDesc("key_set_hash", "A hash of the usable keys: replicas with the same keys have the same value.")
	openDesc        = addDesc("introspection_open", "Whether the circuit breaker makes no introspection calls.")
	revocationsDesc = addDesc("revocations", "Revocations in force.")
	entriesDesc     = addDesc("cache_entries", "Entries of a cache.", "cache")
	bytesDesc       = addDesc("cache_bytes", "About how much memory the entries of a cache take.", "cache")
	hitsDesc        = addDesc("cache_hits_total", "Lookups that found an entry.", "cache")
	missesDesc      = addDesc("cache_misses_total", "Lookups that found no entry.", "cache")
	sharedDesc      = addDesc("shared_cache_lookups_total", "Lookups in the cache that instances share, by result.", "result")
)

// addDesc makes the description of a Prometheus metric about a Validator's state, and appends it to
// the list stateDescs.
func addDesc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(prefix+name, help, labels, nil)
	stateDescs = append(stateDescs, d)
	return d
}

// collectState sends to Prometheus the metrics that show the state s of a Validator.
func collectState(to chan<- prometheus.Metric, s xenaauth.Status) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	document := func(name string, f xenaauth.FetchStatus) {
		gauge(failingDesc, bit(f.LastError != ""), name)
		if !f.LastSuccess.IsZero() {
			gauge(lastSuccessDesc, unix(f.LastSuccess), name)
		}
	}
	cache := func(name string, c xenaauth.CacheStatus) {
		gauge(entriesDesc, float64(c.Entries), name)
		gauge(bytesDesc, float64(c.Bytes), name)
		counter(hitsDesc, c.Hits, name)
		counter(missesDesc, c.Misses, name)
	}
	gauge(readyDesc, bit(s.Ready))
	document("metadata", s.Metadata)
	document("jwks", s.JWKS)
	gauge(keysDesc, float64(s.Keys))
	// The hash of the key set has 48 bits. Prometheus stores values as float64, which represents
	// every integer of 48 bits exactly.
	if hash, err := strconv.ParseUint(s.KeySetHash, 16, 48); err == nil {
		gauge(hashDesc, float64(hash))
	}
	gauge(revocationsDesc, float64(s.Revocations))
	cache("tokens", s.Tokens)
	if s.Introspection == "" {
		return
	}
	gauge(failingDesc, bit(s.IntrospectionError != ""), "introspection")
	gauge(openDesc, bit(s.Introspection == "open"))
	cache("active", s.Active)
	cache("inactive", s.Inactive)
	counter(sharedDesc, s.Shared.Hits, "hit")
	counter(sharedDesc, s.Shared.Misses, "miss")
	counter(sharedDesc, s.Shared.Failures, "failure")
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
