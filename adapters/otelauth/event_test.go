package otelauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Each check of a request makes a span. Its parent is the span of the request. If the request is
// refused, the span has the reason as an attribute. The status of the span is Error only if the
// request could not be checked because of an outage.
func TestSpanOfCheck(t *testing.T) {
	s := startService(t, nil)
	jwt := "Bearer " + s.issuer.JWT(xenaauthtest.Token{ClientID: "app"})
	user := xenaauth.AnyUser()
	for _, tt := range []struct {
		name          string
		requirement   xenaauth.Requirement
		authorization string
		down          bool
		want          map[string]string
		code          codes.Code
	}{
		{"new", user, jwt, false, map[string]string{
			"xenaauth.outcome": "allowed", "xenaauth.source": "jwt", "xenaauth.client_id": "app"}, codes.Unset},
		{"in use", user, jwt, false, map[string]string{
			"xenaauth.outcome": "allowed", "xenaauth.source": "cache", "xenaauth.client_id": "app"}, codes.Unset},
		{"none", user, "", false, map[string]string{"xenaauth.outcome": "refused",
			"error.type": "missing_token", "http.response.status_code": "401"}, codes.Unset},
		{"malformed", user, "Bearer", false, map[string]string{"xenaauth.outcome": "refused",
			"error.type": "malformed_request", "http.response.status_code": "400"}, codes.Unset},
		{"scope", xenaauth.AllScopes("admin"), jwt, false, map[string]string{"xenaauth.outcome": "refused",
			"error.type": "insufficient_scope", "http.response.status_code": "403",
			"xenaauth.source": "cache", "xenaauth.client_id": "app"}, codes.Unset},
		{"outage", user, "Bearer " + s.issuer.Opaque(xenaauthtest.Token{}), true, map[string]string{
			"xenaauth.outcome": "unavailable", "error.type": "unavailable",
			"http.response.status_code": "503"}, codes.Error},
	} {
		s.spans.Reset()
		if tt.down {
			s.issuer.Down()
		}
		s.send(t, tt.requirement, tt.authorization)
		spans, server := s.spansNamed("xenaauth.authenticate"), s.spansNamed("server")
		require.Len(t, spans, 1, tt.name)
		got := textsByName(spans[0].Attributes)
		delete(got, "xenaauth.upstream")
		tt.want["http.route"] = "/invoices/{id}"
		require.Equal(t, tt.want, got, tt.name)
		require.Equal(t, tt.code, spans[0].Status.Code, tt.name)
		require.Equal(t, server[0].SpanContext.SpanID(), spans[0].Parent.SpanID(), tt.name)
		require.False(t, spans[0].StartTime.Before(server[0].StartTime), tt.name)
		require.True(t, spans[0].EndTime.After(spans[0].StartTime), tt.name)
	}
}

// If the check of a request had to wait for a response of the issuer, the span of the check has an
// attribute that says how long it waited.
func TestUpstreamOnSpan(t *testing.T) {
	s := startService(t, nil)
	s.telemetry.Event(t.Context(), xenaauth.Event{
		Outcome: xenaauth.OutcomeAllowed, Duration: 3 * time.Second, Upstream: 1500 * time.Millisecond,
		Route: "example.com/a", TokenInQuery: true,
	})
	span := s.spansNamed("xenaauth.authenticate")[0]
	require.Equal(t, map[string]string{"xenaauth.outcome": "allowed", "xenaauth.upstream": "1.5",
		"http.route": "example.com/a", "xenaauth.token_in_query": "true"}, textsByName(span.Attributes))
	require.Equal(t, 3*time.Second, span.EndTime.Sub(span.StartTime))
}

// The metrics about checks of requests have the attributes outcome, source and reason. They have no
// attribute whose value a client or the service can choose.
func TestMetricsOfChecks(t *testing.T) {
	s := startService(t, nil)
	jwt := "Bearer " + s.issuer.JWT(xenaauthtest.Token{ClientID: "app"})
	for range 3 {
		require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), jwt))
	}
	require.Equal(t, http.StatusForbidden, s.send(t, xenaauth.AllScopes("admin"), jwt))
	require.Equal(t, http.StatusUnauthorized, s.send(t, xenaauth.AnyUser(), ""))
	own := xenaauth.Where("own", func(_ context.Context, u *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.Reason("own-" + u.Subject()), Err: errors.New("x")}
	})
	require.Equal(t, http.StatusServiceUnavailable, s.send(t, own, jwt))
	m := s.metrics(t)
	require.Equal(t, map[string]uint64{
		"xenaauth.outcome=allowed,xenaauth.source=jwt":                                 1,
		"xenaauth.outcome=allowed,xenaauth.source=cache":                               2,
		"error.type=insufficient_scope,xenaauth.outcome=refused,xenaauth.source=cache": 1,
		"error.type=missing_token,xenaauth.outcome=refused":                            1,
		"error.type=unavailable,xenaauth.outcome=unavailable,xenaauth.source=cache":    1,
	}, countsOf(m["xenaauth.authenticate.duration"]))
	points := m["xenaauth.forbids"].Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, points, 1)
	require.Equal(t, int64(1), points[0].Value)
	require.Equal(t, map[string]string{"error.type": "insufficient_scope"},
		textsByName(points[0].Attributes.ToSlice()))
	checks := m["xenaauth.authenticate.duration"].Data.(metricdata.Histogram[float64])
	require.InDelta(t, 1e-5, checks.DataPoints[0].Bounds[0], 1e-9)
}

// The span of a check contains the user's subject only if the service adds it with
// Config.SpanAttributes. All spans and metrics have the attributes in Config.Attributes.
func TestFurtherAttributes(t *testing.T) {
	s := startService(t, func(c *otelauth.Config) {
		c.Attributes = []attribute.KeyValue{attribute.String("api", "invoices")}
		c.SpanAttributes = func(e xenaauth.Event) []attribute.KeyValue {
			if e.User == nil {
				return nil
			}
			return []attribute.KeyValue{attribute.String("enduser.pseudo.id", "hash of "+e.User.Subject())}
		}
	})
	s.send(t, xenaauth.AnyUser(), "Bearer "+s.issuer.JWT(xenaauthtest.Token{Subject: "ann"}))
	s.send(t, xenaauth.AnyUser(), "")
	spans := s.spansNamed("xenaauth.authenticate")
	require.Equal(t, "hash of ann", textsByName(spans[0].Attributes)["enduser.pseudo.id"])
	require.NotContains(t, textsByName(spans[1].Attributes), "enduser.pseudo.id")
	for _, span := range s.spans.GetSpans() {
		if span.Name != "server" {
			require.Equal(t, "invoices", textsByName(span.Attributes)["api"], span.Name)
		}
	}
	all := s.metrics(t)
	require.NotEmpty(t, all)
	for name, m := range all {
		require.Contains(t, fmt.Sprintf("%+v", m), "invoices", name)
		require.NotContains(t, fmt.Sprintf("%+v", m), "ann", name)
	}
}

// The id of a client can be long. The span of a check then has a shortened id as its attribute.
func TestLongClient(t *testing.T) {
	s := startService(t, nil)
	s.telemetry.Event(t.Context(), xenaauth.Event{ClientID: strings.Repeat("ä", 5000)})
	require.Len(t, textsByName(s.spansNamed("xenaauth.authenticate")[0].Attributes)["xenaauth.client_id"], 256)
}
