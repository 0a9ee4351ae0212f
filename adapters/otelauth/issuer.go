package otelauth

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/xenaauth/xenaauth"
)

// callKey is the key under which a context contains the span of a call to the issuer.
type callKey struct{}

// BeforeIssuerCall begins the span of a call to the issuer, and adds the trace to the header of the
// call. Assign this method to the field BeforeIssuerCall of [xenaauth.Config]. Also assign the
// method [Telemetry.IssuerCall], which ends the span.
func (t *Telemetry) BeforeIssuerCall(
	ctx context.Context, document string, h http.Header,
) context.Context {
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	if caller := trace.SpanFromContext(ctx); hasEnded(caller) {
		link := trace.Link{SpanContext: caller.SpanContext()}
		opts = append(opts, trace.WithNewRoot(), trace.WithLinks(link))
	}
	ctx, span := t.tracer.Start(ctx, "xenaauth.issuer."+document, opts...)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	return context.WithValue(ctx, callKey{}, span)
}

// hasEnded reports whether this process has begun and ended the span s. If s is not sampled,
// OpenTelemetry does not tell whether it has ended, and the result is false.
func hasEnded(s trace.Span) bool {
	c := s.SpanContext()
	return c.IsSampled() && !c.IsRemote() && !s.IsRecording()
}

// IssuerCall ends the span of a call to the issuer, and measures the call. Assign this method to
// the field IssuerCall of [xenaauth.Config].
func (t *Telemetry) IssuerCall(ctx context.Context, c xenaauth.IssuerCall) {
	k := attributeValues{document: c.Document, errorType: errorTypeOf(c), status: c.Status}
	t.requests.Record(ctx, c.Duration.Seconds(), t.recordOptions(k)...)
	span, ok := ctx.Value(callKey{}).(trace.Span)
	if !ok {
		return
	}
	if span.IsRecording() {
		span.SetAttributes(t.attributes(k)...)
		if c.Waited > 0 {
			span.SetAttributes(waitedKey.Int(c.Waited))
		}
		if k.errorType != "" {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}

// errorTypeOf returns the value of the attribute error.type for a call to the issuer, or "" if the
// call succeeded. The error of a failed call has no Go type that shows the cause. But its text is
// always "document: cause", for example "introspection: timeout", and each cause is a constant
// text. The log has more details.
func errorTypeOf(c xenaauth.IssuerCall) string {
	switch {
	case c.Err == nil && c.Status >= http.StatusBadRequest:
		return strconv.Itoa(c.Status)
	case c.Err == nil:
		return ""
	}
	_, why, _ := strings.Cut(c.Err.Error(), ": ")
	switch why {
	case "timeout", "canceled":
		return why
	}
	return "_OTHER"
}
