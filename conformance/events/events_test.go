// Package events_test tests which events Options.Event receives, and which calls Config.IssuerCall
// reports. The tests use only exported functions.
package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// eventRecorder is a middleware that records the events of its requests (Options.Event).
type eventRecorder struct {
	*xenaauth.Middleware
	events []xenaauth.Event
}

func newEventRecorder(v xenaauth.TokenValidator) *eventRecorder {
	l := new(eventRecorder)
	l.Middleware = xenaauth.NewMiddleware(v, &xenaauth.Options{
		Event:  func(_ context.Context, e xenaauth.Event) { l.events = append(l.events, e) },
		Logger: slog.New(slog.DiscardHandler),
	})
	return l
}

// eventRecorder.send sends a request to a handler and returns the events of the request as text.
func (l *eventRecorder) send(t *testing.T, h http.Handler, authorization string) (texts []string) {
	t.Helper()
	l.events = nil
	harness.Send(h, t.Context(), http.MethodGet, authorization)
	for _, e := range l.events {
		text := e.Outcome
		if e.Err != nil {
			text += " " + string(e.Err.Reason)
		}
		if e.User != nil {
			text += " " + e.User.Subject()
		}
		texts = append(texts, text)
	}
	return texts
}

// Usually a request causes one event (Options.Event), even if it passes several guards. The event
// reports the decision about the request. There is one exception: if the first guard accepts a
// request and a second guard refuses it, each of the two guards reports an event.
func TestOneEventForEachRequest(t *testing.T) {
	l := newEventRecorder(new(harness.ScopeValidator))
	a, user := l.Require(xenaauth.AllScopes("a")), l.Require(xenaauth.AnyUser())
	down := l.Require(xenaauth.Where("down", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonUnavailable}
	}))
	for name, tt := range map[string]struct {
		h             http.Handler
		authorization string
		want          []string
	}{
		"allowed":                      {a(harness.Teapot), "Bearer a", []string{"allowed ann"}},
		"no token":                     {a(harness.Teapot), "", []string{"refused missing_token"}},
		"no scope":                     {a(harness.Teapot), "Bearer b", []string{"refused insufficient_scope ann"}},
		"a policy can't decide":        {down(harness.Teapot), "Bearer a", []string{"unavailable unavailable ann"}},
		"optional, no token":           {l.Optional(harness.Teapot), "", []string{"anonymous"}},
		"optional, other scheme":       {l.Optional(harness.Teapot), "Basic YTpi", []string{"anonymous"}},
		"optional":                     {l.Optional(harness.Teapot), "Bearer a", []string{"allowed ann"}},
		"optional, malformed":          {l.Optional(harness.Teapot), "Bearer", []string{"refused malformed_request"}},
		"nested":                       {user(a(l.Optional(harness.Teapot))), "Bearer a", []string{"allowed ann"}},
		"nested, the outer refuses":    {a(user(harness.Teapot)), "Bearer b", []string{"refused insufficient_scope ann"}},
		"nested, the inner refuses":    {user(a(harness.Teapot)), "Bearer b", []string{"allowed ann", "refused insufficient_scope ann"}},
		"optional twice, no token":     {l.Optional(l.Optional(harness.Teapot)), "", []string{"anonymous"}},
		"required in optional, none":   {l.Optional(a(harness.Teapot)), "", []string{"anonymous", "refused missing_token"}},
		"required in optional, a user": {l.Optional(a(harness.Teapot)), "Bearer a", []string{"allowed ann"}},
	} {
		require.Equal(t, tt.want, l.send(t, tt.h, tt.authorization), name)
	}
}

// The event of a request (Options.Event) names the route, the issuer and the client.
func TestEventFields(t *testing.T) {
	issuer := harness.NewIssuer()
	l := newEventRecorder(harness.NewValidator(t, issuer.Config()))
	mux := http.NewServeMux()
	mux.Handle("GET /a/{id}", l.Require(xenaauth.AllScopes("testapi"))(harness.Teapot))
	r := httptest.NewRequest(http.MethodGet, "/a/7?access_token=x", nil)
	r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{ClientID: "app"}))
	mux.ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, l.events, 1)
	e := l.events[0]
	require.Equal(t, "GET /a/{id}", e.Route)
	require.Equal(t, issuer.Config().Issuer, e.Issuer)
	require.Equal(t, "app", e.ClientID)
	require.True(t, e.TokenInQuery)
	require.Positive(t, e.Duration)
}

// The event of a request (Options.Event) reports how the token was checked, and how long the
// request waited for the issuer.
func TestEventSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		l := newEventRecorder(harness.NewValidator(t, issuer.HybridConfig()))
		h := l.Require(xenaauth.AnyUser())(harness.Teapot)
		issuer.Slow(200 * time.Millisecond)
		jwt, opaque := "Bearer "+issuer.JWT(xenaauthtest.Token{}), "Bearer "+issuer.Opaque(xenaauthtest.Token{})
		for i, tt := range []struct {
			authorization, source string
			waits                 bool
		}{
			// this request waits for two calls to the issuer, which fetch the metadata and the keys
			{jwt, xenaauth.SourceJWT, true},
			{jwt, xenaauth.SourceCache, false},
			{jwt, xenaauth.SourceCache, false},
			{"Bearer " + issuer.JWT(xenaauthtest.Token{}), xenaauth.SourceJWT, false},
			{opaque, xenaauth.SourceIntrospection, true},
			{opaque, xenaauth.SourceCache, false},
			{opaque, xenaauth.SourceCache, false},
			{"Bearer e30.e30.e30", "", false},
			{"", "", false},
		} {
			require.Len(t, l.send(t, h, tt.authorization), 1)
			e := l.events[0]
			require.Equal(t, tt.source, e.Source, "request %d", i)
			require.Equal(t, tt.waits, e.Upstream >= 200*time.Millisecond, "request %d waited %s", i, e.Upstream)
			require.Equal(t, tt.waits, e.Upstream > 0, "request %d waited %s", i, e.Upstream)
			require.GreaterOrEqual(t, e.Duration, e.Upstream)
		}
		issuer.Down()
		require.Equal(t, []string{"unavailable unavailable"}, l.send(t, h, "Bearer "+issuer.Opaque(xenaauthtest.Token{})))
		require.Empty(t, l.events[0].Source)

		l = newEventRecorder(harness.FixedValidator{User: xenaauthtest.User(xenaauthtest.Token{})})
		require.Len(t, l.send(t, l.Require(xenaauth.AnyUser())(harness.Teapot), "Bearer a"), 1)
		require.Empty(t, l.events[0].Source, "another TokenValidator does not tell")
	})
}

// After each call to the issuer, the library calls the function Config.IssuerCall with a report
// about the call. No report contains a URL, the token or the secret of this API.
func TestIssuerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		var mu sync.Mutex
		var calls []xenaauth.IssuerCall
		token, slowToken := issuer.Opaque(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})
		cfg := issuer.HybridConfig()
		cfg.IssuerCall = func(_ context.Context, c xenaauth.IssuerCall) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, c)
		}
		take := func() (texts []string) {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, c := range calls {
				text := fmt.Sprintf("%s %d", c.Document, c.Status)
				if c.Err != nil {
					text += ": " + c.Err.Error()
				}
				require.GreaterOrEqual(t, c.Duration, 100*time.Millisecond, text)
				all := fmt.Sprintf("%s %+v", text, c)
				for _, secret := range []string{"://", issuer.APISecret(), token, slowToken} {
					require.NotContains(t, all, secret)
				}
				texts = append(texts, text)
			}
			calls = nil
			return texts
		}
		v := harness.NewValidator(t, cfg)
		issuer.Slow(100 * time.Millisecond)
		_, err := v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
		require.NoError(t, err)
		require.Equal(t, []string{"metadata 200", "jwks 200"}, take())
		for range 2 {
			_, err = v.Validate(t.Context(), token)
			require.NoError(t, err)
		}
		require.Equal(t, []string{"introspection 200"}, take())
		issuer.Slow(time.Minute)
		_, err = v.Validate(t.Context(), slowToken)
		require.Error(t, err)
		failed := take()
		require.NotEmpty(t, failed)
		require.True(t, strings.HasPrefix(failed[0], "introspection 0: introspection: "), failed[0])
	})
}

// If the function Config.IssuerCall panics, the token is still accepted, and the process of the
// service continues.
func TestPanickingIssuerCall(t *testing.T) {
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.IssuerCall = func(context.Context, xenaauth.IssuerCall) { panic("boom") }
	v := harness.NewValidator(t, cfg)
	for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
		_, err := v.Validate(t.Context(), token)
		require.NoError(t, err)
	}
}
