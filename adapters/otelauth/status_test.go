package otelauth_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// valuesOf returns each value of a gauge or a counter as one text: the attributes of the value, a
// space, and the value itself.
func valuesOf(m metricdata.Metrics) (all []string) {
	add := func(set attribute.Set, value any) {
		all = append(all, fmt.Sprintf("%s %v", set.Encoded(attribute.DefaultEncoder()), value))
	}
	switch d := m.Data.(type) {
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			add(p.Attributes, p.Value)
		}
	}
	slices.Sort(all)
	return all
}

// After Watch, the gauges show the state of the Validator, for example whether it is ready and how
// many keys the issuer has.
func TestWatch(t *testing.T) {
	s := startService(t, nil)
	m := s.metrics(t)
	require.Equal(t, []string{" 0"}, valuesOf(m["xenaauth.issuer.ready"]))
	require.NotContains(t, m, "xenaauth.issuer.last_success", "nothing was fetched")
	for range 2 {
		jwt := "Bearer " + s.issuer.JWT(xenaauthtest.Token{})
		require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), jwt))
	}
	opaque := "Bearer " + s.issuer.Opaque(xenaauthtest.Token{})
	for range 2 {
		require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), opaque))
	}
	require.NoError(t, s.validator.Revoke(t.Context(), xenaauth.Revocation{Subject: "ann"}))
	m = s.metrics(t)
	require.Equal(t, []string{" 1"}, valuesOf(m["xenaauth.issuer.ready"]))
	keys := s.validator.Status().Keys
	require.Equal(t, []string{fmt.Sprintf(" %d", keys)}, valuesOf(m["xenaauth.issuer.keys"]))
	require.Equal(t, []string{" 0"}, valuesOf(m["xenaauth.introspection.open"]))
	require.Equal(t, []string{
		"xenaauth.document=introspection 0", "xenaauth.document=jwks 0", "xenaauth.document=metadata 0",
	}, valuesOf(m["xenaauth.issuer.failing"]))
	hash, err := strconv.ParseInt(s.validator.Status().KeySetHash, 16, 64)
	require.NoError(t, err)
	require.Equal(t, []string{fmt.Sprintf(" %d", hash)}, valuesOf(m["xenaauth.key_set.hash"]))
	require.Equal(t, []string{" 1"}, valuesOf(m["xenaauth.revocations"]))
	require.Equal(t, []string{
		"xenaauth.cache=active 1", "xenaauth.cache=inactive 0", "xenaauth.cache=tokens 2",
	}, valuesOf(m["xenaauth.cache.entries"]))
	require.Len(t, valuesOf(m["xenaauth.cache.size"]), 3)
	require.Contains(t, valuesOf(m["xenaauth.cache.lookups"]),
		"xenaauth.cache=active,xenaauth.cache.result=hit 1")
	fetched := m["xenaauth.issuer.last_success"].Data.(metricdata.Gauge[float64]).DataPoints
	require.Len(t, fetched, 2)
	for _, p := range fetched {
		require.WithinDuration(t, time.Now(), time.UnixMilli(int64(p.Value*1000)), time.Minute)
	}
}

// While the issuer is down, the gauges of the Validator's state show this outage.
func TestWatchOutage(t *testing.T) {
	s := startService(t, nil)
	jwt := "Bearer " + s.issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), jwt))
	s.issuer.Down()
	for range 10 {
		token := "Bearer " + s.issuer.Opaque(xenaauthtest.Token{})
		require.Equal(t, http.StatusServiceUnavailable, s.send(t, xenaauth.AnyUser(), token))
	}
	m := s.metrics(t)
	require.Equal(t, []string{" 1"}, valuesOf(m["xenaauth.introspection.open"]))
	require.Contains(t, valuesOf(m["xenaauth.issuer.failing"]), "xenaauth.document=introspection 1")
}

// Watch returns a Registration. Its method Unregister ends the measurements of its Validator, and
// not those of another Validator. Watch returns an error if the Validator is nil.
func TestUnwatch(t *testing.T) {
	config := otelauth.Config{}
	s := startService(t, func(cfg *otelauth.Config) {
		cfg.Attributes = []attribute.KeyValue{attribute.String("name", "first")}
		config = *cfg
	})
	config.Attributes = []attribute.KeyValue{attribute.String("name", "second")}
	telemetry, err := otelauth.New(config)
	require.NoError(t, err)
	_, err = telemetry.Watch(nil)
	require.Error(t, err)
	v, err := xenaauth.NewValidator(s.issuer.Config()) // this configuration has no introspection
	require.NoError(t, err)
	watched, err := telemetry.Watch(v)
	require.NoError(t, err)
	require.Equal(t, []string{"name=first 0", "name=second 0"},
		valuesOf(s.metrics(t)["xenaauth.issuer.ready"]))
	require.NoError(t, watched.Unregister())
	require.Equal(t, []string{"name=first 0"}, valuesOf(s.metrics(t)["xenaauth.issuer.ready"]))
}
