package xenaauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func refusalOf(t *testing.T, m *xenaauth.Middleware, scope string, rs ...xenaauth.Requirement) (status int, challenge string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	if scope != "" {
		r.Header.Set("Authorization", "Bearer "+scope)
	}
	w := httptest.NewRecorder()
	m.Require(rs...)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	return w.Code, w.Header().Get("WWW-Authenticate")
}

func TestRequirements(t *testing.T) {
	say := func(err error) xenaauth.Requirement {
		return xenaauth.Where("policy", func(context.Context, *xenaauth.User) error { return err })
	}
	a, b, c := xenaauth.AllScopes("a"), xenaauth.AllScopes("b"), xenaauth.AllScopes("c")
	path := xenaauth.WhereRequest("path", func(r *http.Request, u *xenaauth.User) error {
		if from, ok := xenaauth.UserFromContext(r.Context()); !ok || from != u {
			return errors.New("the request has no user")
		}
		if r.URL.Path != "/" {
			return errors.New("not here")
		}
		return nil
	})
	down := &xenaauth.Error{Reason: xenaauth.ReasonUnavailable}
	for name, tt := range map[string]struct {
		rs     []xenaauth.Requirement
		scope  string // scope is the scope of the token in the request
		status int
		asked  string // asked is the scope in the challenge of a 403, or "" for none
	}{
		"any user":                           {[]xenaauth.Requirement{xenaauth.AnyUser()}, "x", 200, ""},
		"the scope":                          {[]xenaauth.Requirement{a}, "a", 200, ""},
		"another scope":                      {[]xenaauth.Requirement{a}, "b", 403, "a"},
		"not a prefix":                       {[]xenaauth.Requirement{a}, "aa", 403, "a"},
		"not another case":                   {[]xenaauth.Requirement{a}, "A", 403, "a"},
		"one of two":                         {[]xenaauth.Requirement{xenaauth.AllScopes("a", "b")}, "a", 403, "a b"},
		"any of two":                         {[]xenaauth.Requirement{xenaauth.AnyScope("a", "b")}, "b", 200, ""},
		"none of two: the first is told":     {[]xenaauth.Requirement{xenaauth.AnyScope("a", "b")}, "x", 403, "a"},
		"two requirements, one met":          {[]xenaauth.Requirement{a, b}, "a", 403, "a b"},
		"all of, none met":                   {[]xenaauth.Requirement{xenaauth.AllOf(a, xenaauth.AnyScope("b", "c"))}, "x", 403, "a b"},
		"the nearest alternative is told":    {[]xenaauth.Requirement{xenaauth.AnyOf(xenaauth.AllScopes("a", "b"), xenaauth.AllScopes("c", "d"))}, "c", 403, "c d"},
		"any of: the second is met":          {[]xenaauth.Requirement{xenaauth.AnyOf(a, b)}, "b", 200, ""},
		"any of: a policy is met":            {[]xenaauth.Requirement{xenaauth.AnyOf(a, say(nil))}, "x", 200, ""},
		"any of: a scope would help":         {[]xenaauth.Requirement{xenaauth.AnyOf(say(errors.New("no")), c)}, "x", 403, "c"},
		"any of: a policy can't tell":        {[]xenaauth.Requirement{xenaauth.AnyOf(a, say(down), b)}, "x", 503, ""},
		"policy says yes":                    {[]xenaauth.Requirement{say(nil)}, "x", 200, ""},
		"policy says no":                     {[]xenaauth.Requirement{a, say(errors.New("no"))}, "a", 403, ""},
		"policy is down":                     {[]xenaauth.Requirement{say(fmt.Errorf("store: %w", down))}, "x", 503, ""},
		"policy runs out of time":            {[]xenaauth.Requirement{say(fmt.Errorf("store: %w", context.DeadlineExceeded))}, "x", 503, ""},
		"policy asks for more of the login":  {[]xenaauth.Requirement{say(&xenaauth.Error{Reason: xenaauth.ReasonInactive})}, "x", 401, ""},
		"policy names the scope that it was": {[]xenaauth.Requirement{say(&xenaauth.Error{Reason: xenaauth.ReasonInsufficientScope, Scopes: []string{"z"}})}, "x", 403, "z"},
		"request policy":                     {[]xenaauth.Requirement{path}, "x", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, challenge := refusalOf(t, xenaauth.NewMiddleware(new(harness.ScopeValidator), nil), tt.scope, tt.rs...)
			require.Equal(t, tt.status, status)
			if tt.status == 403 {
				want := `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope."`
				if tt.asked == "" {
					want = `Bearer realm="xena", error="insufficient_scope", error_description="The access token does not allow this."`
				} else {
					want += `, scope="` + tt.asked + `"`
				}
				require.Equal(t, want, challenge)
			}
		})
	}
}

func TestRequirementIsInspectable(t *testing.T) {
	pass := func(context.Context, *xenaauth.User) error { return nil }
	r := xenaauth.AllOf(
		xenaauth.AllScopes("testapi"),
		xenaauth.AnyScope("profile", "email"),
		xenaauth.AnyOf(xenaauth.Where("member", pass), xenaauth.WhereRequest("owner", func(*http.Request, *xenaauth.User) error { return nil })),
	)
	require.Equal(t, "testapi and (profile or email) and (where member or where owner)", r.String())
	require.Equal(t, [][]string{{"testapi", "profile"}, {"testapi", "email"}}, r.Alternatives())
	require.Equal(t, []string{"member", "owner"}, r.Policies())
	require.Equal(t, "any user", xenaauth.AnyUser().String())
	require.Equal(t, [][]string{nil}, xenaauth.AnyUser().Alternatives())
	require.Equal(t, "nobody", xenaauth.Requirement{}.String())

	r.Alternatives()[0][0] = "x"
	require.Equal(t, "testapi", r.Alternatives()[0][0], "Alternatives must return a copy")
}

func TestWiringMistakesPanic(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	var many []xenaauth.Requirement
	for n := range 9 {
		many = append(many, xenaauth.AnyScope(fmt.Sprint("a", n), fmt.Sprint("b", n)))
	}
	for name, wrong := range map[string]func(){
		"no scope":            func() { xenaauth.AllScopes() },
		"no scope to choose":  func() { xenaauth.AnyScope() },
		"an empty scope":      func() { xenaauth.AllScopes("") },
		"two scopes in one":   func() { xenaauth.AllScopes("a b") },
		"a quote":             func() { xenaauth.AnyScope(`a"`) },
		"a backslash":         func() { xenaauth.AnyScope(`a\`) },
		"no ASCII":            func() { xenaauth.AnyScope("é") },
		"all of nothing":      func() { xenaauth.AllOf() },
		"any of nothing":      func() { xenaauth.AnyOf() },
		"a zero requirement":  func() { xenaauth.AllOf(xenaauth.Requirement{}) },
		"require a zero one":  func() { m.Require(xenaauth.AnyUser(), xenaauth.Requirement{}) },
		"a nameless policy":   func() { xenaauth.Where("", func(context.Context, *xenaauth.User) error { return nil }) },
		"no policy":           func() { xenaauth.Where("x", nil) },
		"no request policy":   func() { xenaauth.WhereRequest("x", nil) },
		"too many choices":    func() { xenaauth.AllOf(many...) },
		"no validator":        func() { xenaauth.NewMiddleware(nil, nil) },
		"no handler":          func() { m.Require(xenaauth.AnyUser())(nil) },
		"no optional handler": func() { m.Optional(nil) },
		"a realm that quotes": func() { xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Realm: `a"`}) },
		"a realm that breaks": func() {
			xenaauth.NewMiddleware(new(harness.ScopeValidator), &xenaauth.Options{Realm: "a\r\nSet-Cookie: b"})
		},
	} {
		t.Run(name, func(t *testing.T) { require.Panics(t, wrong) })
	}
}

// An adapter may pass a zero Requirement to Middleware.Check. Check then refuses the request,
// although its token is valid.
func TestCheckWithAZeroRequirementRefuses(t *testing.T) {
	m := xenaauth.NewMiddleware(new(harness.ScopeValidator), nil)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer a")
	_, err := m.Check(r, xenaauth.Requirement{})
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonForbidden, refusal.Reason)
}

// For requirements without WhereRequest, Requirement.Check and the middleware give the same
// decision, with the same reason, scopes and RetryAfter.
func TestRequirementCheckDecidesLikeTheMiddleware(t *testing.T) {
	say := func(err error) xenaauth.Requirement {
		return xenaauth.Where("policy", func(ctx context.Context, u *xenaauth.User) error {
			if in, _ := xenaauth.UserFromContext(ctx); in != u {
				return errors.New("the context has no user")
			}
			return err
		})
	}
	a, bc := xenaauth.AllScopes("a"), xenaauth.AllScopes("b", "c")
	for _, r := range []xenaauth.Requirement{
		xenaauth.AnyUser(), a, bc, xenaauth.AnyScope("b", "a"), xenaauth.AllOf(a, bc), xenaauth.AnyOf(a, bc), {},
		say(nil), say(errors.New("no")), say(context.Canceled), xenaauth.AllOf(a, say(errors.New("no"))),
		xenaauth.AnyOf(bc, say(errors.New("no"))), xenaauth.AnyOf(bc, xenaauth.AllOf(a, say(nil))),
		say(&xenaauth.Error{Reason: xenaauth.ReasonInsufficientScope, Scopes: []string{"z"}}),
		say(&xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 7}),
	} {
		for _, scopes := range []string{"", "/x", "/a", "/b", "/a/b/c"} {
			request := httptest.NewRequest("GET", "/", nil)
			var user *xenaauth.User
			if scopes != "" {
				request.Header.Set("Authorization", "Bearer "+scopes)
				user, _ = harness.ScopeListValidator{}.Validate(t.Context(), scopes)
			}
			_, want := xenaauth.NewMiddleware(harness.ScopeListValidator{}, nil).Check(request, r)
			got := r.Check(t.Context(), user)
			require.Equal(t, want == nil, got == nil, "%v by %q: %v, %v", r, scopes, want, got)
			if want == nil {
				continue
			}
			x, ok := errors.AsType[*xenaauth.Error](want)
			require.True(t, ok)
			y, ok := errors.AsType[*xenaauth.Error](got)
			require.True(t, ok)
			require.Equal(t, [...]any{x.Reason, x.Scopes, x.RetryAfter}, [...]any{y.Reason, y.Scopes, y.RetryAfter}, "%v by %q", r, scopes)
		}
	}
}

// Requirement.Check gets no HTTP request, so it can't call a policy of WhereRequest. If the result
// depends on this policy, the reason is ReasonUnavailable. But if another part of an AnyOf accepts
// the user, AnyOf accepts the user too. And if an earlier part of an AllOf refuses the user, AllOf
// gives the reason of that part.
func TestRequirementCheckWithWhereRequest(t *testing.T) {
	owner := xenaauth.WhereRequest("owner", func(r *http.Request, _ *xenaauth.User) error { return errors.New(r.URL.Path) })
	user, err := harness.ScopeListValidator{}.Validate(t.Context(), "/a")
	require.NoError(t, err)
	for _, r := range []xenaauth.Requirement{owner, xenaauth.AllOf(xenaauth.AllScopes("a"), owner), xenaauth.AnyOf(owner, xenaauth.AllScopes("b"))} {
		err := r.Check(t.Context(), user)
		refusal, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok)
		require.Equal(t, xenaauth.ReasonUnavailable, refusal.Reason)
		require.ErrorContains(t, err, `policy "owner" needs an HTTP request`)
	}
	require.NoError(t, xenaauth.AnyOf(owner, xenaauth.AllScopes("a")).Check(t.Context(), user))
	refusal, ok := errors.AsType[*xenaauth.Error](xenaauth.AllOf(xenaauth.AllScopes("b"), owner).Check(t.Context(), user))
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonInsufficientScope, refusal.Reason)
}

// With Config.AllowAnyAudience, only a scope shows that a token is for this API. So
// Requirement.Check refuses the user of a valid token if the requirement needs no scope.
func TestRequirementCheckWithAllowAnyAudience(t *testing.T) {
	issuer := harness.NewIssuer()
	cfg := issuer.Config()
	cfg.Audiences, cfg.AllowAnyAudience = nil, true
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	user, err := v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
	require.NoError(t, err)
	require.NoError(t, xenaauth.AllScopes("testapi").Check(t.Context(), user))
	refusal, ok := errors.AsType[*xenaauth.Error](xenaauth.AnyUser().Check(t.Context(), user))
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonForbidden, refusal.Reason)
}

// If requirements have too many combinations of scopes, AllOf, AnyOf and Middleware.Require panic.
func TestTooManyAlternatives(t *testing.T) {
	m := xenaauth.NewMiddleware(harness.ScopeListValidator{}, nil)
	const message = "xenaauth: requirement has more than 256 alternative sets of scopes"
	a, b := harness.OneOfScopes("a", 17), harness.OneOfScopes("b", 17)
	require.PanicsWithValue(t, message, func() { m.Require(a, b) })
	require.PanicsWithValue(t, message, func() { xenaauth.AllOf(a, b) })
	require.PanicsWithValue(t, message, func() { xenaauth.AnyOf(harness.OneOfScopes("a", 256), xenaauth.AllScopes("x")) })
	require.PanicsWithValue(t, message, func() { m.Require(harness.OneOfScopes("a", 100_000), harness.OneOfScopes("b", 100_000)) }, "must panic quickly")
	require.NotPanics(t, func() { m.Require(harness.OneOfScopes("a", 16), harness.OneOfScopes("b", 16)) })
	require.NotPanics(t, func() { m.Require(harness.OneOfScopes("a", 300)) }, "a list alone has no combinations")
}
