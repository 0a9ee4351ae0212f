package xenaauth_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// choices asks for one of n scopes.
func choices(prefix string, n int) xenaauth.Requirement {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = fmt.Sprint(prefix, i)
	}
	return xenaauth.AnyScope(scopes...)
}

// asked is what the refusal of Check tells a user with these scopes to ask for.
func asked(t *testing.T, scopes string, rs ...xenaauth.Requirement) (told []string, allowed bool) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+scopes)
	_, err := xenaauth.NewMiddleware(new(slashed), nil).Check(r, rs...)
	if err == nil {
		return nil, true
	}
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonInsufficientScope, refusal.Reason)
	return refusal.Scopes, false
}

// slashed is a TokenValidator whose tokens are their scopes, with a slash before each.
type slashed struct{}

func (slashed) Validate(_ context.Context, token string) (*xenaauth.User, error) {
	scopes := strings.Split(token, "/")[1:]
	return xenaauth.NewUser(map[string]any{"sub": "ann", "client_id": "app", "scope": scopes})
}

// Requirements that combine to too many alternatives panic where they are put together, and nowhere else: a request
// never meets that panic.
func TestTooManyAlternatives(t *testing.T) {
	m := xenaauth.NewMiddleware(new(slashed), nil)
	const message = "xenaauth: requirement has more than 256 alternative sets of scopes"
	a, b := choices("a", 17), choices("b", 17)
	require.PanicsWithValue(t, message, func() { m.Require(a, b) })
	require.PanicsWithValue(t, message, func() { xenaauth.AllOf(a, b) })
	require.PanicsWithValue(t, message, func() { xenaauth.AnyOf(choices("a", 256), xenaauth.AllScopes("x")) })
	require.PanicsWithValue(t, message, func() { m.Require(choices("a", 100_000), choices("b", 100_000)) }, "and soon")
	require.NotPanics(t, func() { m.Require(choices("a", 16), choices("b", 16)) })
	require.NotPanics(t, func() { m.Require(choices("a", 300)) }, "alone it is a list, and combines with nothing")

	// Adapters and handlers may call Check without Require.
	told, allowed := asked(t, "/x", a, b)
	require.False(t, allowed)
	require.Equal(t, []string{"a0", "b0"}, told)
	told, _ = asked(t, "/b3", a, b)
	require.Equal(t, []string{"a0", "b3"}, told)
	_, allowed = asked(t, "/b3/a16", a, b)
	require.True(t, allowed)
}

// What a refusal tells to ask for is one of the alternatives of the route, and none is nearer to what the user has. The
// scopes of these routes are all different: where one scope serves two requirements, a longer set may be told.
func TestNearestAlternativeIsTold(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 0
		var build func(depth int) xenaauth.Requirement
		build = func(depth int) xenaauth.Requirement {
			scopes := make([]string, 1+random.IntN(3))
			for i := range scopes {
				n++
				scopes[i] = fmt.Sprint("s", n)
			}
			switch kind := random.IntN(5); {
			case depth == 0 || kind == 0:
				return xenaauth.AllScopes(scopes...)
			case kind == 1:
				return xenaauth.AnyScope(scopes...)
			case kind == 2:
				return xenaauth.AllOf(build(depth-1), build(depth-1))
			default:
				return xenaauth.AnyOf(build(depth-1), build(depth-1))
			}
		}
		route := build(3)
		has := "/x"
		for i := range n + 1 {
			if random.IntN(3) == 0 {
				has += fmt.Sprint("/s", i)
			}
		}
		missing := func(set []string) (n int) {
			for _, s := range set {
				if !slices.Contains(strings.Split(has, "/"), s) {
					n++
				}
			}
			return n
		}
		fewest := slices.MinFunc(route.Alternatives(), func(a, b []string) int { return missing(a) - missing(b) })
		told, allowed := asked(t, has, route)
		require.Equal(t, missing(fewest) == 0, allowed, "%v by %q", route, has)
		if !allowed {
			require.Contains(t, route.Alternatives(), told, "%v by %q", route, has)
			require.Equal(t, missing(fewest), missing(told), "%v by %q: %q is nearer than %q", route, has, fewest, told)
		}
	}
}

// A set that the user has in full is not told if a policy beside it refused: to ask for it would change nothing.
func TestSetThatDidNotHelpIsNotTold(t *testing.T) {
	more := xenaauth.Where("more", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonInsufficientScope}
	})
	member := xenaauth.AllOf(xenaauth.AllScopes("a"), more)
	told, _ := asked(t, "/a", xenaauth.AnyOf(member, xenaauth.AllScopes("b", "c")))
	require.Equal(t, []string{"b", "c"}, told)
	told, _ = asked(t, "/a", xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), member))
	require.Equal(t, []string{"b", "c"}, told)
	told, _ = asked(t, "/a", member)
	require.Empty(t, told)
	told, _ = asked(t, "/x", xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), member))
	require.Equal(t, []string{"a"}, told)
}

// Of sets that are as near as each other, the one that the route names first is told.
func TestFirstOfEqualAlternativesIsTold(t *testing.T) {
	told, _ := asked(t, "/x", xenaauth.AnyOf(xenaauth.AllScopes("a"), xenaauth.AllScopes("b"), xenaauth.AnyScope("c", "d")))
	require.Equal(t, []string{"a"}, told)
}

// A client that sent no token is told the set that the route names first, and not the shortest.
func TestFirstAlternativeIsToldWithoutAToken(t *testing.T) {
	route := xenaauth.AllOf(xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), xenaauth.AllScopes("a")), xenaauth.AnyScope("d", "e"))
	_, err := xenaauth.NewMiddleware(new(slashed), nil).Check(httptest.NewRequest("GET", "/", nil), route)
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, []string{"b", "c", "d"}, refusal.Scopes)
}
