package otelauth

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/xenaauth/xenaauth"
)

// Watch measures the state of a Validator whenever metrics are collected. To watch several
// Validators, use a Telemetry with other Attributes for each. The returned Registration ends the
// measurements; most services don't need it.
func (t *Telemetry) Watch(v *xenaauth.Validator) (metric.Registration, error) {
	if v == nil {
		return nil, errors.New("otelauth: the Validator is nil")
	}
	g, err := newGauges(t.meter)
	if err != nil {
		return nil, err
	}
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.observe(o, g, v.Status())
		return nil
	}, g.ready, g.keys, g.fetched, g.open, g.revocations, g.entries, g.size, g.lookups)
}

// gauges are the instruments of the state of a Validator.
type gauges struct {
	ready, keys, open, revocations, entries, size metric.Int64ObservableGauge
	fetched                                       metric.Float64ObservableGauge
	lookups                                       metric.Int64ObservableCounter
}

func newGauges(m metric.Meter) (g gauges, err error) {
	var errs []error
	gauge := func(name, unit, text string) metric.Int64ObservableGauge {
		i, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
		errs = append(errs, err)
		return i
	}
	g.ready = gauge("xenaauth.ready", "1", "1 if tokens can be checked, 0 if not.")
	g.keys = gauge("xenaauth.keys", "{key}", "Usable keys of the issuer.")
	g.open = gauge("xenaauth.issuer.breaker.open", "1",
		"1 while no introspection call is made because the issuer failed, 0 otherwise.")
	g.revocations = gauge("xenaauth.revocations", "{revocation}", "Revocations in force.")
	g.entries = gauge("xenaauth.cache.entries", "{entry}", "Entries of a cache.")
	g.size = gauge("xenaauth.cache.size", "By", "Memory of a cache.")
	g.fetched, err = m.Float64ObservableGauge("xenaauth.issuer.document.fetched", metric.WithUnit("s"),
		metric.WithDescription("When a document of the issuer was last fetched, in seconds since 1970."))
	errs = append(errs, err)
	g.lookups, err = m.Int64ObservableCounter("xenaauth.cache.lookups", metric.WithUnit("{lookup}"),
		metric.WithDescription("Lookups in a cache."))
	return g, errors.Join(append(errs, err)...)
}

// observe measures a state.
func (t *Telemetry) observe(o metric.Observer, g gauges, s xenaauth.Status) {
	with := func(more ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributes(append(t.cfg.Attributes, more...)...)
	}
	o.ObserveInt64(g.ready, number(s.Ready), with())
	o.ObserveInt64(g.keys, int64(s.Keys), with())
	o.ObserveInt64(g.revocations, int64(s.Revocations), with())
	for document, f := range map[string]xenaauth.FetchStatus{"jwks": s.JWKS, "metadata": s.Metadata} {
		if at := f.LastSuccess; !at.IsZero() {
			o.ObserveFloat64(g.fetched, float64(at.UnixNano())/1e9, with(documentKey.String(document)))
		}
	}
	caches := map[string]xenaauth.CacheStatus{"tokens": s.Tokens}
	if s.Introspection != "" { // introspection is configured
		o.ObserveInt64(g.open, number(s.Introspection == "open"), with())
		caches["active"], caches["inactive"] = s.Active, s.Inactive
	}
	for name, c := range caches {
		cache := cacheKey.String(name)
		o.ObserveInt64(g.entries, int64(c.Entries), with(cache))
		o.ObserveInt64(g.size, int64(c.Bytes), with(cache))
		o.ObserveInt64(g.lookups, int64(c.Hits), with(cache, cacheResultKey.String("hit")))    //nolint:gosec // fits
		o.ObserveInt64(g.lookups, int64(c.Misses), with(cache, cacheResultKey.String("miss"))) //nolint:gosec // fits
	}
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
