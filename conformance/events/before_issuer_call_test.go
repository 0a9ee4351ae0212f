package events_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

type contextKey string

// headerRecorder is a RoundTripper that records the header fields and the context of each request
// to the issuer.
type headerRecorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	sent []http.Header
	ctxs []context.Context
}

func (h *headerRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.sent, h.ctxs = append(h.sent, r.Header.Clone()), append(h.ctxs, r.Context())
	h.mu.Unlock()
	return h.next.RoundTrip(r)
}

// Before each call to the issuer, the library calls the function Config.BeforeIssuerCall. The call
// to the issuer and the function Config.IssuerCall use the context that BeforeIssuerCall returns.
// The request to the issuer has the header fields that BeforeIssuerCall sets, except fields that
// the library sets itself.
func TestBeforeIssuerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		sent := &headerRecorder{next: cfg.HTTPClient.Transport}
		cfg.HTTPClient = &http.Client{Transport: sent}
		var started, ended, callers []string
		cfg.BeforeIssuerCall = func(ctx context.Context, document string, h http.Header) context.Context {
			caller, _ := ctx.Value(contextKey("caller")).(string)
			started, callers = append(started, document), append(callers, caller)
			h.Set("Traceparent", document)
			h.Set("Accept", "text/html")
			h.Set("Authorization", "Basic eDp4")
			h.Set("Content-Type", "text/plain")
			return context.WithValue(ctx, contextKey("call"), document)
		}
		cfg.IssuerCall = func(ctx context.Context, c xenaauth.IssuerCall) {
			require.Equal(t, c.Document, ctx.Value(contextKey("call")))
			ended = append(ended, c.Document)
		}
		v := harness.NewValidator(t, cfg)
		ctx := context.WithValue(t.Context(), contextKey("caller"), "ann")
		for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
			_, err := v.Validate(ctx, token)
			require.NoError(t, err)
		}
		synctest.Wait()
		documents := []string{"metadata", "jwks", "introspection"}
		require.Equal(t, documents, started)
		require.Equal(t, documents, ended)
		require.Equal(t, []string{"", "", "ann"}, callers)
		require.Len(t, sent.sent, len(documents))
		for i, h := range sent.sent {
			require.Equal(t, documents[i], h.Get("Traceparent"))
			require.Contains(t, h.Get("Accept"), "application/json")
			require.Equal(t, documents[i], sent.ctxs[i].Value(contextKey("call")))
		}
		require.Equal(t, "application/x-www-form-urlencoded", sent.sent[2].Get("Content-Type"))
		require.NotEqual(t, "Basic eDp4", sent.sent[2].Get("Authorization"))
	})
}

// If the function Config.BeforeIssuerCall panics or returns no context, the library calls the
// issuer anyway.
func TestBrokenBeforeIssuerCall(t *testing.T) {
	for name, before := range map[string]func(context.Context, string, http.Header) context.Context{
		"panic":      func(context.Context, string, http.Header) context.Context { panic("boom") },
		"no context": func(context.Context, string, http.Header) context.Context { return nil },
	} {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.BeforeIssuerCall = before
		v := harness.NewValidator(t, cfg)
		for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
			_, err := v.Validate(t.Context(), token)
			require.NoError(t, err, name)
		}
	}
}
