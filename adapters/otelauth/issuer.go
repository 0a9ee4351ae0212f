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

// callKey is the key of the span of a call in a context.
type callKey struct{}

// BeforeIssuerCall begins the span of a call of the issuer, and adds the trace to the request. It
// is a function for [xenaauth.Config], together with IssuerCall.
func (t *Telemetry) BeforeIssuerCall(
	ctx context.Context, document string, h http.Header,
) context.Context {
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	if caller := trace.SpanFromContext(ctx); ended(caller) {
		link := trace.Link{SpanContext: caller.SpanContext()}
		opts = append(opts, trace.WithNewRoot(), trace.WithLinks(link))
	}
	ctx, span := t.tracer.Start(ctx, "xenaauth.issuer."+document, opts...)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
	return context.WithValue(ctx, callKey{}, span)
}

// ended reports whether a span of this process has ended. A span that is not sampled counts as not
// ended.
func ended(s trace.Span) bool {
	c := s.SpanContext()
	return c.IsSampled() && !c.IsRemote() && !s.IsRecording()
}

// IssuerCall ends the span of a call of the issuer, and measures the call. It is a function for
// [xenaauth.Config].
func (t *Telemetry) IssuerCall(ctx context.Context, c xenaauth.IssuerCall) {
	k := key{document: c.Document, errorType: failure(c), status: c.Status}
	t.requests.Record(ctx, c.Duration.Seconds(), t.options(k)...)
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

// failure returns a word for how a call failed, or "". The log has the cause. The error has no type
// that tells the cause, but its text is "document: cause", where the cause is a constant.
func failure(c xenaauth.IssuerCall) string {
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
