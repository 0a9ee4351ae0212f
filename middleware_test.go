package xenaauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Options.ErrorBody can change the body of a refusal, but not its status and its challenge.
func TestErrorBodyHookCannotChangeTheStatus(t *testing.T) {
	for name, hook := range map[string]func(http.ResponseWriter, *http.Request, *xenaauth.Error){
		"writes nothing": func(http.ResponseWriter, *http.Request, *xenaauth.Error) {},
		"writes 200":     func(w http.ResponseWriter, _ *http.Request, _ *xenaauth.Error) { w.WriteHeader(200) },
		"writes 200 and a body": func(w http.ResponseWriter, _ *http.Request, _ *xenaauth.Error) {
			w.WriteHeader(200)
			w.WriteHeader(204)
			_, _ = w.Write([]byte("fine"))
		},
		"flushes": func(w http.ResponseWriter, _ *http.Request, _ *xenaauth.Error) {
			w.(http.Flusher).Flush()
			_ = http.NewResponseController(w).Flush()
		},
		"hides the challenge": func(w http.ResponseWriter, _ *http.Request, _ *xenaauth.Error) {
			w.Header().Del("WWW-Authenticate")
			w.Header().Set("Cache-Control", "public")
			w.Header().Set("Retry-After", "1000000")
			_, _ = w.Write([]byte("fine"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Realm: "r", ErrorBody: hook})
			w := harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
			require.Equal(t, 401, w.Code)
			require.Equal(t, []string{`Bearer realm="r"`}, w.Result().Header["Www-Authenticate"])
			require.Equal(t, "no-store", w.Result().Header.Get("Cache-Control"))
			require.Empty(t, w.Result().Header.Get("Retry-After"))
		})
	}
}

func TestErrorBodyHookChoosesTheBody(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{ErrorBody: func(w http.ResponseWriter, r *http.Request, e *xenaauth.Error) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<h1>" + e.Code() + " " + string(e.Reason) + " at " + r.URL.Path + "</h1>"))
	}})
	h := m.Require(xenaauth.AllScopes("a"))(harness.Teapot)
	w := harness.Send(h, t.Context(), "GET", "Bearer b")
	require.Equal(t, "<h1>insufficient_scope insufficient_scope at /</h1>", w.Body.String())
	require.Equal(t, "text/html", w.Header().Get("Content-Type"))
	require.Empty(t, harness.Send(h, t.Context(), "HEAD", "Bearer b").Body.String())
}

func TestEmptyBody(t *testing.T) {
	w := harness.Send(xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{EmptyBody: true}).Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
	require.Equal(t, 401, w.Code)
	require.Empty(t, w.Body.String())
	require.Empty(t, w.Header().Get("Content-Type"))
}

// Deny removes header fields that an outer handler has set for a body of its own, such as
// Content-Length.
func TestDenyDropsFieldsOfAnotherBody(t *testing.T) {
	h := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil).Require(xenaauth.AnyUser())(harness.Teapot)
	w := harness.Send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Vary", "Accept")
		w.Header().Set("WWW-Authenticate", `Negotiate`)
		h.ServeHTTP(w, r)
	}), t.Context(), "GET", "")
	for _, name := range []string{"Content-Length", "Etag"} {
		require.Empty(t, w.Header().Get(name))
	}
	require.Equal(t, []string{"Accept", "Authorization"}, w.Header().Values("Vary"))
	require.Equal(t, []string{`Negotiate`, `Bearer realm="xena"`}, w.Header().Values("WWW-Authenticate"))
}

// validatorWrapper is a TokenValidator with two other TokenValidators inside. The embedded one
// checks the tokens. The method Unwrap returns the one in the field innerValidator.
type validatorWrapper struct {
	xenaauth.TokenValidator
	innerValidator xenaauth.TokenValidator
}

func (w validatorWrapper) Unwrap() xenaauth.TokenValidator { return w.innerValidator }

func TestNestedGuardsValidateOnce(t *testing.T) {
	v := new(harness.ScopeValidator)
	real, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	require.NoError(t, err)
	wrapped := validatorWrapper{v, real}
	a, b := xenaauth.NewMiddleware(wrapped, nil), xenaauth.NewMiddleware(wrapped, nil)
	asked := func(h http.Handler, authorization string) (int, int) {
		v.Calls = 0
		return harness.Send(h, t.Context(), "GET", authorization).Code, v.Calls
	}
	status, n := asked(a.Require(xenaauth.AnyUser())(a.Require(xenaauth.AllScopes("a"))(a.Optional(harness.Teapot))), "Bearer a")
	require.Equal(t, []int{418, 1}, []int{status, n})
	status, n = asked(a.Require(xenaauth.AnyUser())(b.Require(xenaauth.AnyUser())(harness.Teapot)), "Bearer a")
	require.Equal(t, []int{418, 2}, []int{status, n}, "another middleware asks for itself")
	status, n = asked(a.Require(xenaauth.AnyUser())(a.Require(xenaauth.AllScopes("a"))(harness.Teapot)), "Bearer b")
	require.Equal(t, []int{403, 1}, []int{status, n})

	// The TokenValidator of this middleware has no method Unwrap. So the middleware finds no
	// Validator that could tell whether the token was revoked in the meantime. Therefore each guard
	// validates the token again.
	a = xenaauth.NewMiddleware(v, nil)
	status, n = asked(a.Require(xenaauth.AnyUser())(a.Require(xenaauth.AllScopes("a"))(a.Optional(harness.Teapot))), "Bearer a")
	require.Equal(t, []int{418, 3}, []int{status, n})
}

// A request that uses the context of another request, but has other credentials or none, does not
// get the user of that request.
func TestBorrowedContext(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	inner := m.Require(xenaauth.AllScopes("a"))(harness.Teapot)
	var statuses []int
	outer := m.Require(xenaauth.AnyUser())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, authorization := range []string{"Bearer a", "", "Bearer b", "Basic a"} {
			statuses = append(statuses, harness.Send(inner, r.Context(), "GET", authorization).Code)
		}
	}))
	harness.Send(outer, t.Context(), "GET", "Bearer a")
	require.Equal(t, []int{418, 401, 403, 401}, statuses)
}

func TestPlantedUserNeverPasses(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	ctx := xenaauth.ContextWithUser(t.Context(), xenaauthtest.User(xenaauthtest.Token{}))
	require.Equal(t, 401, harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), ctx, "GET", "").Code)
	seen := true
	w := harness.Send(m.Optional(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, seen = xenaauth.UserFromContext(r.Context())
	})), ctx, "GET", "")
	require.Equal(t, 200, w.Code)
	require.False(t, seen)
	require.Equal(t, []string{"Authorization"}, w.Header().Values("Vary"))
}

func TestEvents(t *testing.T) {
	var events []xenaauth.Event
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Event: func(_ context.Context, e xenaauth.Event) { events = append(events, e) }})
	h := m.Require(xenaauth.AllScopes("a"))(harness.Teapot)
	harness.Send(h, t.Context(), "GET", "Bearer a")
	harness.Send(h, t.Context(), "GET", "Bearer b")
	harness.Send(h, t.Context(), "GET", "")
	require.Len(t, events, 3)
	require.Nil(t, events[0].Err)
	require.Equal(t, "ann", events[0].User.Subject())
	require.Equal(t, xenaauth.ReasonInsufficientScope, events[1].Err.Reason)
	require.Equal(t, "ann", events[1].User.Subject())
	require.Equal(t, xenaauth.ReasonMissingToken, events[2].Err.Reason)
	require.Nil(t, events[2].User)
}

// If a TokenValidator of the service returns an *Error, the response has the status of this *Error.
// If it returns another error, or neither user nor error, the status is 503.
func TestForeignValidators(t *testing.T) {
	shared := &xenaauth.Error{Reason: xenaauth.ReasonExpired}
	for name, tt := range map[string]struct {
		v      harness.FixedValidator
		status int
	}{
		"an error that is no refusal": {harness.FixedValidator{Err: errors.New("postgres://secret@db is down")}, 503},
		"neither user nor error":      {harness.FixedValidator{}, 503},
		"a refusal":                   {harness.FixedValidator{Err: shared}, 401},
		"a refusal inside":            {harness.FixedValidator{Err: errors.Join(errors.New("x"), shared)}, 401},
		"a nil refusal":               {harness.FixedValidator{Err: (*xenaauth.Error)(nil)}, 503},
		"a reason that doesn't exist": {harness.FixedValidator{Err: &xenaauth.Error{Reason: "teapot"}}, 503},
		"the zero refusal":            {harness.FixedValidator{Err: new(xenaauth.Error)}, 503},
		"a user, and a refusal":       {harness.FixedValidator{User: xenaauthtest.User(xenaauthtest.Token{}), Err: shared}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			w := harness.Send(xenaauth.NewMiddleware(tt.v, nil).Require(xenaauth.AllScopes("a"))(harness.Teapot), t.Context(), "GET", "Bearer x")
			require.Equal(t, tt.status, w.Code)
			require.NotContains(t, w.Body.String(), "secret")
			require.Nil(t, shared.Scopes, "the middleware must not write to a shared error")
		})
	}
}

// With AllowAnyAudience, only a scope shows that a token is for this API, so every route must
// require a scope.
func TestAllowAnyAudienceRequiresScopes(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{ScopeOnly: true, Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	m := xenaauth.NewMiddleware(v, nil)
	for name, wrong := range map[string]func(){
		"nothing":      func() { m.Require() },
		"any user":     func() { m.Require(xenaauth.AnyUser()) },
		"a way around": func() { m.Require(xenaauth.AnyOf(xenaauth.AllScopes("testapi"), xenaauth.AnyUser())) },
		"optional":     func() { m.Optional(harness.Teapot) },
		"a policy by itself": func() {
			m.Require(xenaauth.Where("x", func(context.Context, *xenaauth.User) error { return nil }))
		},
	} {
		t.Run(name, func(t *testing.T) { require.Panics(t, wrong) })
	}
	token := "Bearer " + issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, 418, harness.Send(m.Require(xenaauth.AllScopes("testapi"), xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", token).Code)

	// NewMiddleware finds no Validator in a wrapper without the method Unwrap. So Require and
	// Optional don't know that AllowAnyAudience is set, and do not panic for a route without a
	// scope. But this route refuses every user.
	wrapped := xenaauth.NewMiddleware(struct{ xenaauth.TokenValidator }{v}, nil)
	require.Equal(t, 403, harness.Send(wrapped.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", token).Code)
	require.Equal(t, 403, harness.Send(wrapped.Optional(harness.Teapot), t.Context(), "GET", token).Code)
	require.Equal(t, 418, harness.Send(wrapped.Require(xenaauth.AllScopes("testapi"))(harness.Teapot), t.Context(), "GET", token).Code)
}

// A caller that decides about requests by its own rules reports its decisions with Refuse and
// CheckPublic.
func TestRefuseAndCheckPublic(t *testing.T) {
	var events []xenaauth.Event
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{
		Event:  func(_ context.Context, e xenaauth.Event) { events = append(events, e) },
		Logger: slog.New(slog.DiscardHandler),
	})
	planted, err := xenaauth.NewUser(map[string]any{"sub": "planted"})
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(xenaauth.ContextWithUser(r.Context(), planted))

	_, found := xenaauth.UserFromContext(m.CheckPublic(r).Context())
	require.False(t, found)
	require.Equal(t, []xenaauth.Event{{Outcome: xenaauth.OutcomeAnonymous, Method: "GET"}}, events)

	events = nil
	noRule := &xenaauth.Error{Reason: xenaauth.ReasonNoRule}
	outcomes := map[xenaauth.Reason]string{
		xenaauth.ReasonNoRule: xenaauth.OutcomeRefused, xenaauth.ReasonUnavailable: xenaauth.OutcomeUnavailable,
	}
	for err, want := range map[error]xenaauth.Reason{
		noRule:                      xenaauth.ReasonNoRule,
		fmt.Errorf("a: %w", noRule): xenaauth.ReasonNoRule,
		errors.New("table lost"):    xenaauth.ReasonUnavailable,
		error(nil):                  xenaauth.ReasonUnavailable,
	} {
		events = nil
		refusal, ok := errors.AsType[*xenaauth.Error](m.Refuse(r, err))
		require.True(t, ok)
		require.Equal(t, want, refusal.Reason)
		require.NotSame(t, noRule, refusal)
		require.Equal(t, []xenaauth.Event{{Outcome: outcomes[want], Method: "GET", Err: refusal}}, events)
	}
}

// The hook Options.ErrorBody gets a copy of the scopes. If the hook changes its copy, the
// requirement of the route does not change.
func TestHookCannotChangeARoute(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{ErrorBody: func(_ http.ResponseWriter, _ *http.Request, e *xenaauth.Error) {
		for i := range e.Scopes {
			e.Scopes[i] = "b"
		}
	}})
	h := m.Require(xenaauth.AllScopes("a"))(harness.Teapot)
	for range 3 {
		require.Equal(t, 403, harness.Send(h, t.Context(), "GET", "Bearer b").Code)
	}
}

// A context may be used after its token has expired or was revoked. A guard then refuses the token.
func TestBorrowedContextIsCheckedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v, err := xenaauth.NewValidator(issuer.Config())
		require.NoError(t, err)
		m := xenaauth.NewMiddleware(v, nil)
		check := func(ctx context.Context, token string) (context.Context, error) {
			r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
			r.Header.Set("Authorization", "Bearer "+token)
			allowed, err := m.Check(r)
			if err != nil {
				return nil, err
			}
			return allowed.Context(), nil
		}
		token := issuer.JWT(xenaauthtest.Token{})
		ctx, err := check(t.Context(), token)
		require.NoError(t, err)
		_, err = check(ctx, token)
		require.NoError(t, err)
		require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
		_, err = check(ctx, token)
		require.ErrorContains(t, err, "revoked")

		token = issuer.JWT(xenaauthtest.Token{Lifetime: time.Minute})
		ctx, err = check(t.Context(), token)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		_, err = check(ctx, token)
		require.ErrorContains(t, err, "expired")
	})
}

// A TokenValidator of the service may return ReasonMissingToken although the request has a token.
// An optional route then still refuses the request.
func TestOptionalDependsOnTheRequest(t *testing.T) {
	m := xenaauth.NewMiddleware(harness.FixedValidator{Err: &xenaauth.Error{Reason: xenaauth.ReasonMissingToken}}, nil)
	require.Equal(t, 401, harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", "Bearer x").Code)
	require.Equal(t, 418, harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", "").Code)
	require.Equal(t, 418, harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", "Basic x").Code)
}
