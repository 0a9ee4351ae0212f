package otelauth

import (
	"context"
	"errors"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/xenaauth/xenaauth"
)

// Watch measures the state of a Validator whenever metrics are collected. To watch several
// Validators, make one Telemetry for each, with different Attributes. The method Unregister of the
// returned Registration ends the measurements; most services do not call it.
func (t *Telemetry) Watch(v *xenaauth.Validator) (metric.Registration, error) {
	if v == nil {
		return nil, errors.New("otelauth: the Validator is nil")
	}
	g, err := newGauges(t.meter)
	if err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.setGauges(o, g, v.Status())
		return nil
	}, g.ready, g.keys, g.hash, g.failing, g.success, g.open, g.revocations, g.entries, g.size,
		g.lookups)
}

// stateGauges are the OpenTelemetry instruments that show the state of a Validator.
type stateGauges struct {
	ready, keys, hash, failing, open metric.Int64ObservableGauge
	revocations, entries, size       metric.Int64ObservableGauge
	success                          metric.Float64ObservableGauge
	lookups                          metric.Int64ObservableCounter
}

func newGauges(m metric.Meter) (g stateGauges, err error) {
	var errs []error
	gauge := func(name, unit, text string) metric.Int64ObservableGauge {
		i, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		errs = append(errs, err)
		return i
	}
	g.ready = gauge("xenaauth.issuer.ready", "1", "1 if tokens can be checked, 0 if not.")
	g.keys = gauge("xenaauth.issuer.keys", "{key}", "Usable keys of the issuer.")
	g.hash = gauge("xenaauth.key_set.hash", "1", "A hash of the usable keys of the issuer.")
	g.failing = gauge("xenaauth.issuer.failing", "1",
		"1 if the latest attempt to fetch a document of the issuer failed, 0 if not.")
	g.open = gauge("xenaauth.introspection.open", "1",
		"1 while the circuit breaker makes no introspection calls, 0 otherwise.")
	g.revocations = gauge("xenaauth.revocations", "{revocation}", "Revocations in force.")
	g.entries = gauge("xenaauth.cache.entries", "{entry}", "Entries of a cache.")
	g.size = gauge("xenaauth.cache.size", "By", "Memory of a cache.")
	g.success, err = m.Float64ObservableGauge("xenaauth.issuer.last_success", metric.WithUnit("s"),
		metric.WithDescription("When a document was last fetched or found unchanged, since 1970."))
	errs = append(errs, err)
	g.lookups, err = m.Int64ObservableCounter("xenaauth.cache.lookups",
		metric.WithUnit("{lookup}"), metric.WithDescription("Lookups in a cache."))
	return g, errors.Join(append(errs, err)...)
}

// Telemetry.setGauges sets the gauges to the values in s, the state of a Validator.
func (t *Telemetry) setGauges(o metric.Observer, g stateGauges, s xenaauth.Status) {
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(t.cfg.Attributes, more...)...)
	}
	o.ObserveInt64(g.ready, bit(s.Ready), with())
	o.ObserveInt64(g.keys, int64(s.Keys), with())
	o.ObserveInt64(g.revocations, int64(s.Revocations), with())
	if hash, err := strconv.ParseInt(s.KeySetHash, 16, 64); err == nil {
		o.ObserveInt64(g.hash, hash, with())
	}
	for name, f := range map[string]xenaauth.FetchStatus{"jwks": s.JWKS, "metadata": s.Metadata} {
		document := documentKey.String(name)
		o.ObserveInt64(g.failing, bit(f.LastError != ""), with(document))
		if at := f.LastSuccess; !at.IsZero() {
			o.ObserveFloat64(g.success, float64(at.UnixNano())/1e9, with(document))
		}
	}
	cache := func(name string, c xenaauth.CacheStatus) {
		label := cacheKey.String(name)
		for result, n := range map[string]uint64{
			"hit": c.Hits, "miss": c.Misses, "failure": c.Failures,
		} {
			if result != "failure" || name == "shared" {
				//nolint:gosec // a counter does not reach 2^63
				o.ObserveInt64(g.lookups, int64(n), with(label, cacheResultKey.String(result)))
			}
		}
		if name != "shared" { // the shared cache has no size that the Validator knows
			o.ObserveInt64(g.entries, int64(c.Entries), with(label))
			o.ObserveInt64(g.size, int64(c.Bytes), with(label))
		}
	}
	cache("tokens", s.Tokens)
	if s.Introspection == "" {
		return // a Validator without introspection has no further metrics
	}
	failed := s.IntrospectionError != ""
	o.ObserveInt64(g.failing, bit(failed), with(documentKey.String("introspection")))
	o.ObserveInt64(g.open, bit(s.Introspection == "open"), with())
	cache("active", s.Active)
	cache("inactive", s.Inactive)
	if s.Shared != (xenaauth.CacheStatus{}) {
		cache("shared", s.Shared)
	}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
