package routes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// guardRecorder sends requests through a routes.Guard. It records what the handler behind the guard
// received, and the events that the hook Options.Event received.
type guardRecorder struct {
	m       *xenaauth.Middleware
	v       *harness.ScopeValidator
	events  []xenaauth.Event
	user    *xenaauth.User
	pattern string
}

func newGuardRecorder() *guardRecorder {
	g := &guardRecorder{v: new(harness.ScopeValidator)}
	g.m = xenaauth.NewMiddleware(g.v, &xenaauth.Options{Event: func(_ context.Context, e xenaauth.Event) { g.events = append(g.events, e) }})
	return g
}

func (g *guardRecorder) sendRequest(t *testing.T, find func(*http.Request) (routes.Rule, error), method, path, authorization string) *http.Response {
	t.Helper()
	g.events, g.user, g.pattern, g.v.Calls = nil, nil, "", 0
	r := httptest.NewRequest(method, path, nil)
	r = r.WithContext(xenaauth.ContextWithUser(r.Context(), xenaauthtest.User(xenaauthtest.Token{Subject: "planted"})))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	routes.NewGuard(g.m, find).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.user, _ = xenaauth.UserFromContext(r.Context())
		g.pattern = r.Pattern
		w.WriteHeader(http.StatusTeapot)
	})).ServeHTTP(w, r)
	return w.Result()
}

func TestGuard(t *testing.T) {
	table, err := routes.New([]routes.Rule{
		{Pattern: "GET /a", Access: routes.Require(xenaauth.AllScopes("a", "b"))},
		{Pattern: "/user", Access: routes.Require(xenaauth.AnyUser())},
		{Pattern: "/optional", Access: routes.Optional()},
		{Pattern: "/public", Access: routes.Public()},
		{Pattern: "/public/not", Access: routes.Deny()},
	}, nil)
	require.NoError(t, err)
	const bare, scoped = `Bearer realm="xena"`, `Bearer realm="xena", scope="a b"`
	for name, tt := range map[string]struct {
		method, path, authorization string
		status                      int
		challenge, subject          string
		calls                       int
	}{
		"require, no token":     {"GET", "/a", "", 401, scoped, "", 0},
		"require, not enough":   {"GET", "/a", "Bearer a", 403, `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope.", scope="a b"`, "", 1},
		"require, another verb": {"POST", "/a", "Bearer a", 403, bare, "", 0},
		"any user":              {"GET", "/user", "Bearer a", 418, "", "ann", 1},
		"any user, no token":    {"GET", "/user", "", 401, bare, "", 0},
		"optional, no token":    {"GET", "/optional", "", 418, "", "", 0},
		"optional":              {"GET", "/optional", "Bearer a", 418, "", "ann", 1},
		"optional, malformed":   {"GET", "/optional", "Bearer a b", 400, `Bearer realm="xena", error="invalid_request", error_description="The Authorization field is malformed."`, "", 0},
		"public":                {"GET", "/public", "", 418, "", "", 0},
		"public, with a token":  {"GET", "/public", "Bearer a", 418, "", "", 0},
		"deny":                  {"GET", "/public/not", "Bearer a", 403, bare, "", 0},
		"no rule":               {"GET", "/b", "Bearer a", 403, bare, "", 0},
		"no rule, no token":     {"GET", "/b", "", 403, bare, "", 0},
		"ambiguous":             {"GET", "/public/..%2fa", "Bearer a", 400, `Bearer realm="xena", error="invalid_request", error_description="The request target is ambiguous."`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuardRecorder()
			answer := g.sendRequest(t, table.Find, tt.method, tt.path, tt.authorization)
			require.Equal(t, tt.status, answer.StatusCode)
			if tt.challenge != "" || tt.status == 418 {
				require.Equal(t, tt.challenge, answer.Header.Get("WWW-Authenticate"))
			}
			if g.user != nil || tt.subject != "" {
				require.Equal(t, tt.subject, g.user.Subject())
			}
			require.Equal(t, tt.calls, g.v.Calls, "a request that no rule allows costs no validation")
			require.Len(t, g.events, 1, "each request is one event")
			if tt.status != 418 {
				require.Equal(t, tt.status, g.events[0].Err.StatusCode())
			}
			if tt.path == "/public" {
				require.Equal(t, xenaauth.Event{Outcome: xenaauth.OutcomeAnonymous, Method: "GET", Route: "/public"}, g.events[0])
				require.Empty(t, answer.Header.Values("Vary"))
			}
			if tt.path == "/optional" {
				require.Equal(t, []string{"Authorization"}, answer.Header.Values("Vary"))
			}
		})
	}
}

// A service can pass any function to NewGuard, and this function can return any rule and any error.
// A rule without an Access must not allow a request. If the function returns an error, the request
// is refused, even if the rule is public.
func TestForeignFind(t *testing.T) {
	shared := &xenaauth.Error{Reason: xenaauth.ReasonNoRule}
	public := routes.Rule{Access: routes.Public()}
	for name, tt := range map[string]struct {
		rule   routes.Rule
		err    error
		status int
	}{
		"a rule":           {public, nil, 418},
		"the zero rule":    {routes.Rule{}, nil, 403},
		"an error":         {public, errors.New("postgres://secret@db is down"), 503},
		"a refusal":        {public, shared, 403},
		"a nil refusal":    {public, (*xenaauth.Error)(nil), 503},
		"a refusal inside": {public, errors.Join(errors.New("x"), shared), 403},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuardRecorder()
			answer := g.sendRequest(t, func(*http.Request) (routes.Rule, error) { return tt.rule, tt.err }, "GET", "/", "Bearer a")
			require.Equal(t, tt.status, answer.StatusCode)
			require.Len(t, g.events, 1)
			if err := g.events[0].Err; err != nil {
				require.NotSame(t, shared, err, "what is shared may not be written to")
			}
		})
	}
}

func TestGuardMistakes(t *testing.T) {
	m := newGuardRecorder().m
	const needs = "routes: NewGuard needs a Middleware and a find function"
	require.PanicsWithValue(t, needs, func() { routes.NewGuard(m, nil) })
	require.PanicsWithValue(t, needs, func() { routes.NewGuard(nil, new(routes.Table).Find) })
	require.PanicsWithValue(t, "routes: nil handler", func() { routes.NewGuard(m, new(routes.Table).Find).Handler(nil) })
}

// With AllowAnyAudience, a rule without a scope allows no token. The guard checks this for each
// request, because a table can change while the service runs.
func TestGuardWithAnyAudience(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{ScopeOnly: true, Algorithm: "ES256"})
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	table, err := routes.New([]routes.Rule{
		{Pattern: "/scope", Access: routes.Require(xenaauth.AllScopes("testapi"))},
		{Pattern: "/user", Access: routes.Require(xenaauth.AnyUser())},
		{Pattern: "/optional", Access: routes.Optional()},
	}, nil)
	require.NoError(t, err)
	h := routes.NewGuard(xenaauth.NewMiddleware(v, nil), table.Find).Handler(harness.Teapot)
	for path, want := range map[string]int{"/scope": 418, "/user": 403, "/optional": 403} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, path)
	}
}

func TestGuardCheckReturnsTheRule(t *testing.T) {
	g := newGuardRecorder()
	table, err := routes.New([]routes.Rule{
		{Pattern: "/a", Access: routes.Require(xenaauth.AllScopes("a")), Source: "x.yaml:1"},
		{Pattern: "/deny", Access: routes.Deny(), Source: "x.yaml:2"},
		{Pattern: "/public", Access: routes.Public(), Source: "x.yaml:3"},
	}, nil)
	require.NoError(t, err)
	guard := routes.NewGuard(g.m, table.Find)
	r := httptest.NewRequest("GET", "/a", nil)
	allowed, rule, err := guard.Check(r)
	require.Nil(t, allowed)
	require.Equal(t, "x.yaml:1", rule.Source)
	var refusal *xenaauth.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, xenaauth.ReasonMissingToken, refusal.Reason)
	require.Equal(t, []string{"a"}, refusal.Scopes)

	r.Header.Set("Authorization", "Bearer a")
	allowed, rule, err = guard.Check(r)
	require.NoError(t, err)
	require.Equal(t, []string{"/a", "/a", ""}, []string{rule.Pattern, allowed.Pattern, r.Pattern}, "the caller's request stays as it was")
	user, ok := xenaauth.UserFromContext(allowed.Context())
	require.True(t, ok)
	require.Equal(t, "ann", user.Subject())

	allowed, rule, err = guard.Check(httptest.NewRequest("GET", "/deny", nil))
	require.Nil(t, allowed)
	require.Equal(t, "x.yaml:2", rule.Source)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, xenaauth.ReasonNoRule, refusal.Reason)

	allowed, rule, err = guard.Check(httptest.NewRequest("GET", "/public", nil))
	require.NoError(t, err)
	require.Equal(t, []string{"x.yaml:3", "/public"}, []string{rule.Source, allowed.Pattern})

	allowed, rule, err = guard.Check(httptest.NewRequest("GET", "/other", nil))
	require.Nil(t, allowed)
	require.Equal(t, routes.Rule{}, rule)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, xenaauth.ReasonNoRule, refusal.Reason)
}

// The function in the argument of NewGuard may return an error that wraps a refusal. The event of
// the request contains the text of the wrapper, but the response to the client does not.
func TestWrappedRefusal(t *testing.T) {
	g := newGuardRecorder()
	res := g.sendRequest(t, func(*http.Request) (routes.Rule, error) {
		return routes.Rule{}, fmt.Errorf("the proxy sent two hosts: %w", &xenaauth.Error{Reason: xenaauth.ReasonAmbiguousTarget})
	}, "GET", "/a", "")
	require.Equal(t, 400, res.StatusCode)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NotContains(t, string(body)+res.Header.Get("WWW-Authenticate"), "two hosts")
	require.Len(t, g.events, 1)
	require.Equal(t, xenaauth.ReasonAmbiguousTarget, g.events[0].Err.Reason)
	require.ErrorContains(t, g.events[0].Err, "two hosts")
}

// A caller of Guard.Check may pass further requirements. Check applies them only to requests with a
// user. Each call of Check reports one Event. If the request does not satisfy the further
// requirements, this Event says that the request was refused.
func TestGuardCheckWithRequirements(t *testing.T) {
	table, err := routes.New([]routes.Rule{
		{Pattern: "/a", Access: routes.Require(xenaauth.AllScopes("a"))},
		{Pattern: "/optional", Access: routes.Optional()},
		{Pattern: "/public", Access: routes.Public()},
	}, nil)
	require.NoError(t, err)
	nobody := xenaauth.Where("nobody", func(context.Context, *xenaauth.User) error { return errors.New("no") })
	for _, tt := range []struct {
		path, authorization string
		refused             xenaauth.Reason
	}{
		{"/a", "Bearer a", xenaauth.ReasonForbidden},
		{"/a", "Bearer b", xenaauth.ReasonInsufficientScope},
		{"/a", "", xenaauth.ReasonMissingToken},
		{"/optional", "Bearer a", xenaauth.ReasonForbidden},
		{"/optional", "", ""},
		{"/public", "Bearer a", ""},
	} {
		g := newGuardRecorder()
		r := httptest.NewRequest("GET", tt.path, nil)
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		_, _, err := routes.NewGuard(g.m, table.Find).Check(r, nobody)
		require.Equal(t, tt.refused, whyNot(err), "%s %s", tt.path, tt.authorization)
		require.Len(t, g.events, 1)
		require.Equal(t, err == nil, g.events[0].Err == nil)
	}
}
