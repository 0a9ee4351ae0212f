package otelauth_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/otelauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// An introspection call is a span in the trace of the request that caused it. The issuer receives
// this trace.
func TestTraceContinuesToIssuer(t *testing.T) {
	s := startService(t, nil)
	opaque := "Bearer " + s.issuer.Opaque(xenaauthtest.Token{})
	require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), opaque))
	server, calls := s.spansNamed("server")[0], s.spansNamed("xenaauth.issuer.introspection")
	require.Len(t, calls, 1)
	call := calls[0]
	require.Equal(t, server.SpanContext.TraceID(), call.SpanContext.TraceID())
	require.Equal(t, server.SpanContext.SpanID(), call.Parent.SpanID())
	require.Empty(t, call.Links)
	require.Equal(t, trace.SpanKindClient, call.SpanKind)
	require.Equal(t, map[string]string{
		"xenaauth.document": "introspection", "http.response.status_code": "200", "xenaauth.waited": "1",
	}, textsByName(call.Attributes))
	require.Equal(t, codes.Unset, call.Status.Code)
	header, _ := s.issuer.LastIntrospection()
	traceID, spanID := call.SpanContext.TraceID().String(), call.SpanContext.SpanID().String()
	require.Equal(t, "00-"+traceID+"-"+spanID+"-01", header.Get("Traceparent"))
}

// The Validator fetches the issuer's metadata and keys for all requests together. So the spans of
// these calls have no parent.
func TestCallsForKeysHaveNoParent(t *testing.T) {
	s := startService(t, nil)
	jwt := "Bearer " + s.issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, http.StatusOK, s.send(t, xenaauth.AnyUser(), jwt))
	for _, document := range []string{"metadata", "jwks"} {
		calls := s.spansNamed("xenaauth.issuer." + document)
		require.Len(t, calls, 1, document)
		require.False(t, calls[0].Parent.IsValid(), document)
		require.Equal(t, document, textsByName(calls[0].Attributes)["xenaauth.document"])
	}
}

// If an introspection call begins after the span of its request has ended, the span of the call
// begins a new trace with a link to the request's span.
func TestCallAfterItsRequest(t *testing.T) {
	s := startService(t, nil)
	ctx, span := s.tracers.Tracer("test").Start(t.Context(), "server")
	span.End()
	_, err := s.validator.Validate(ctx, s.issuer.Opaque(xenaauthtest.Token{}))
	require.NoError(t, err)
	call := s.spansNamed("xenaauth.issuer.introspection")[0]
	require.False(t, call.Parent.IsValid())
	require.NotEqual(t, span.SpanContext().TraceID(), call.SpanContext.TraceID())
	require.Len(t, call.Links, 1)
	require.Equal(t, span.SpanContext(), call.Links[0].SpanContext)
}

// Requests with the same token share one introspection call to the issuer. The span of this call is
// in the trace of one of these requests.
func TestSharedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startService(t, nil)
		s.issuer.Slow(100 * time.Millisecond)
		authorization := "Bearer " + s.issuer.Opaque(xenaauthtest.Token{})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { s.send(t, xenaauth.AnyUser(), authorization) })
		}
		wg.Wait()
		calls := s.spansNamed("xenaauth.issuer.introspection")
		require.Len(t, calls, 1)
		require.Len(t, s.spansNamed("xenaauth.authenticate"), 5)
		parents := 0
		for _, server := range s.spansNamed("server") {
			if server.SpanContext.SpanID() == calls[0].Parent.SpanID() {
				parents++
			}
		}
		require.Equal(t, 1, parents)
		require.Equal(t, "5", textsByName(calls[0].Attributes)["xenaauth.waited"])
		require.GreaterOrEqual(t, calls[0].EndTime.Sub(calls[0].StartTime), 100*time.Millisecond)
	})
}

// The client of the first request gives up, and another request continues to wait for the same
// introspection call. The call stays in the trace of the first request, although the span of that
// request ends before the call.
func TestFirstCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startService(t, nil)
		// Warm makes the Validator fetch the issuer's metadata, which contain the URL of the
		// introspection endpoint.
		require.NoError(t, s.validator.Warm(t.Context()))
		s.issuer.Slow(100 * time.Millisecond)
		token := s.issuer.Opaque(xenaauthtest.Token{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		ctx, first := s.tracers.Tracer("test").Start(ctx, "first")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.validator.Validate(ctx, token)
			require.Error(t, err)
			first.End()
		})
		synctest.Wait()
		_, err := s.validator.Validate(t.Context(), token)
		require.NoError(t, err)
		wg.Wait()
		calls := s.spansNamed("xenaauth.issuer.introspection")
		require.Len(t, calls, 1)
		require.Equal(t, first.SpanContext().SpanID(), calls[0].Parent.SpanID())
		require.True(t, calls[0].EndTime.After(s.spansNamed("first")[0].EndTime))
	})
}

// If the trace of a request is not sampled, the span of its introspection call is not sampled
// either. The header of the call tells this to the issuer.
func TestUnsampledTrace(t *testing.T) {
	s := startService(t, nil)
	sampler := sdk.ParentBased(sdk.NeverSample())
	s.tracers = sdk.NewTracerProvider(sdk.WithSyncer(s.spans), sdk.WithSampler(sampler))
	s.addGuard(t, otelauth.Config{TracerProvider: s.tracers})
	ctx, span := s.tracers.Tracer("test").Start(t.Context(), "server")
	defer span.End()
	_, err := s.validator.Validate(ctx, s.issuer.Opaque(xenaauthtest.Token{}))
	require.NoError(t, err)
	require.Empty(t, s.spans.GetSpans())
	header, _ := s.issuer.LastIntrospection()
	id := span.SpanContext().TraceID().String()
	require.Regexp(t, "^00-"+id+"-[0-9a-f]{16}-00$", header.Get("Traceparent"))
}

// If the context has no span of this process, the parent of an introspection call is the span of
// the client that sent the request.
func TestRemoteParent(t *testing.T) {
	s := startService(t, nil)
	client := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	})
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), client)
	_, err := s.validator.Validate(ctx, s.issuer.Opaque(xenaauthtest.Token{}))
	require.NoError(t, err)
	call := s.spansNamed("xenaauth.issuer.introspection")[0]
	require.Equal(t, client.TraceID(), call.SpanContext.TraceID())
	require.Equal(t, client.SpanID(), call.Parent.SpanID())
}

// A failed call to the issuer sets the status of its span to Error, whether the issuer responded
// with an error or the connection failed.
func TestFailedCalls(t *testing.T) {
	s := startService(t, nil)
	ask := func() {
		_, err := s.validator.Validate(t.Context(), s.issuer.Opaque(xenaauthtest.Token{}))
		require.Error(t, err)
	}
	s.issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: http.StatusBadGateway})
	ask()
	s.issuer.Heal()
	s.issuer.Down()
	ask()
	var failures []string
	for _, call := range s.spansNamed("xenaauth.issuer.introspection") {
		require.Equal(t, codes.Error, call.Status.Code)
		failures = append(failures, textsByName(call.Attributes)["error.type"])
	}
	require.Contains(t, failures, "502")
	require.Contains(t, failures, "_OTHER")
	measured := countsOf(s.metrics(t)["xenaauth.issuer.request.duration"])
	const badGateway = "error.type=502,http.response.status_code=502,xenaauth.document=introspection"
	require.Positive(t, measured[badGateway])
	require.Positive(t, measured["error.type=_OTHER,xenaauth.document=introspection"])
}

// If a call to the issuer failed, its span has the attribute error.type: "timeout" or "canceled".
// For every other cause the value is "_OTHER", so that no address and no secret becomes an
// attribute.
func TestErrorTypesOfCalls(t *testing.T) {
	s := startService(t, nil)
	for text, want := range map[string]string{
		"introspection: timeout":                          "timeout",
		"key set: canceled":                               "canceled",
		"metadata: the connection failed":                 "_OTHER",
		"introspection: https://internal.example: secret": "_OTHER",
	} {
		s.spans.Reset()
		ctx := s.telemetry.BeforeIssuerCall(t.Context(), "jwks", make(http.Header))
		s.telemetry.IssuerCall(ctx, xenaauth.IssuerCall{Document: "jwks", Err: textError(text)})
		span := s.spansNamed("xenaauth.issuer.jwks")[0]
		require.Equal(t, want, textsByName(span.Attributes)["error.type"])
		require.Empty(t, span.Status.Description)
	}
}

// A service may use IssuerCall without BeforeIssuerCall. Then IssuerCall measures calls. It must
// not end a span that other code began.
func TestIssuerCallAlone(t *testing.T) {
	s := startService(t, nil)
	ctx, span := s.tracers.Tracer("test").Start(t.Context(), "server")
	s.telemetry.IssuerCall(ctx, xenaauth.IssuerCall{Document: "jwks", Status: http.StatusOK})
	require.True(t, span.IsRecording())
	span.End()
	require.Equal(t, map[string]uint64{"http.response.status_code=200,xenaauth.document=jwks": 1},
		countsOf(s.metrics(t)["xenaauth.issuer.request.duration"]))
}

type textError string

func (e textError) Error() string { return string(e) }
