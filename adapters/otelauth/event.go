package otelauth

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/xenaauth/xenaauth"
)

// Event makes a span and measurements for one event: a guard has checked a request. Assign this
// method to the field Event of [xenaauth.Options].
func (t *Telemetry) Event(ctx context.Context, e xenaauth.Event) {
	k := attributeValues{outcome: e.Outcome, source: e.Source, errorType: reasonOf(e)}
	t.checks.Record(ctx, e.Duration.Seconds(), t.recordOptions(k)...)
	if e.Err != nil && e.Err.StatusCode() == http.StatusForbidden {
		t.forbids.Add(ctx, 1, metric.WithAttributes(t.attributes(attributeValues{errorType: k.errorType})...))
	}
	end := time.Now()
	begin := trace.WithTimestamp(end.Add(-e.Duration))
	_, span := t.tracer.Start(ctx, "xenaauth.authenticate", begin)
	if span.IsRecording() {
		if e.Err != nil {
			k.status = e.Err.StatusCode()
		}
		if e.Outcome == xenaauth.OutcomeUnavailable {
			span.SetStatus(codes.Error, "the token can't be checked")
		}
		span.SetAttributes(t.attributes(k)...)
		span.SetAttributes(spanDetails(e)...)
		if t.cfg.SpanAttributes != nil {
			span.SetAttributes(t.cfg.SpanAttributes(e)...)
		}
	}
	span.End(trace.WithTimestamp(end))
}

// reasonOf returns the reason of a refusal, or "" if the request may pass. If a policy or a
// TokenValidator of the service sets a reason that xenaauth does not define, the response is 503
// and reasonOf returns ReasonUnavailable.
func reasonOf(e xenaauth.Event) string {
	switch {
	case e.Err == nil:
		return ""
	case e.Outcome == xenaauth.OutcomeUnavailable:
		return string(xenaauth.ReasonUnavailable)
	}
	return string(e.Err.Reason)
}

// spanDetails returns the attributes that only the span of a check has. Metrics do not have them,
// because some have very many values.
func spanDetails(e xenaauth.Event) (all []attribute.KeyValue) {
	if e.Route != "" {
		all = append(all, routeKey.String(pathOfPattern(e.Route)))
	}
	if e.ClientID != "" {
		all = append(all, clientKey.String(cut(e.ClientID)))
	}
	if e.Upstream > 0 {
		all = append(all, upstreamKey.Float64(e.Upstream.Seconds()))
	}
	if e.TokenInQuery {
		all = append(all, tokenInQueryKey.Bool(true))
	}
	return all
}
