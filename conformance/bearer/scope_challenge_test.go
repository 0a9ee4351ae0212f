package bearer_test

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
	"github.com/xenaauth/xenaauth/conformance/harness"
)

// checkScopes checks a request against the requirements of a route. The user of the request has the
// given scopes. If the request is refused, checkScopes returns the scopes that the refusal names.
// Otherwise isAllowed is true.
func checkScopes(t *testing.T, scopes string, rs ...xenaauth.Requirement) (namedScopes []string, isAllowed bool) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+scopes)
	_, err := xenaauth.NewMiddleware(harness.ScopeListValidator{}, nil).Check(r, rs...)
	if err == nil {
		return nil, true
	}
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonInsufficientScope, refusal.Reason)
	return refusal.Scopes, false
}

// A route accepts any of several sets of scopes. A refusal names the set of which the user lacks
// the fewest scopes. In these routes no two requirements share a scope. With shared scopes, the
// refusal could name a set that is longer than necessary: the library chooses the scopes for each
// requirement separately, and does not see that one scope could serve two requirements.
func TestRefusalNamesTheNearestAlternative(t *testing.T) {
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
		told, allowed := checkScopes(t, has, route)
		require.Equal(t, missing(fewest) == 0, allowed, "%v by %q", route, has)
		if !allowed {
			require.Contains(t, route.Alternatives(), told, "%v by %q", route, has)
			require.Equal(t, missing(fewest), missing(told), "%v by %q: %q is nearer than %q", route, has, fewest, told)
		}
	}
}

// A refusal names no set of scopes that the user already has. If the user has all scopes of a set
// and is still refused, a policy has refused the user. A new token with the same scopes would be
// refused too.
func TestRefusalNamesNoSatisfiedSet(t *testing.T) {
	more := xenaauth.Where("more", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonInsufficientScope}
	})
	member := xenaauth.AllOf(xenaauth.AllScopes("a"), more)
	told, _ := checkScopes(t, "/a", xenaauth.AnyOf(member, xenaauth.AllScopes("b", "c")))
	require.Equal(t, []string{"b", "c"}, told)
	told, _ = checkScopes(t, "/a", xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), member))
	require.Equal(t, []string{"b", "c"}, told)
	told, _ = checkScopes(t, "/a", member)
	require.Empty(t, told)
	told, _ = checkScopes(t, "/x", xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), member))
	require.Equal(t, []string{"a"}, told)
}

// Several sets of scopes may be equally near: the user lacks the same number of scopes in each of
// them. The refusal then names the first of these sets.
func TestRefusalNamesTheFirstOfEqualAlternatives(t *testing.T) {
	told, _ := checkScopes(t, "/x", xenaauth.AnyOf(xenaauth.AllScopes("a"), xenaauth.AllScopes("b"), xenaauth.AnyScope("c", "d")))
	require.Equal(t, []string{"a"}, told)
}

// A refusal of a request without a token names the first set of scopes of the route, even if
// another set is shorter.
func TestRefusalWithoutATokenNamesTheFirstAlternative(t *testing.T) {
	route := xenaauth.AllOf(xenaauth.AnyOf(xenaauth.AllScopes("b", "c"), xenaauth.AllScopes("a")), xenaauth.AnyScope("d", "e"))
	_, err := xenaauth.NewMiddleware(harness.ScopeListValidator{}, nil).Check(httptest.NewRequest("GET", "/", nil), route)
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, []string{"b", "c", "d"}, refusal.Scopes)
}

// The requirements of a route may have too many combinations of scopes. In this case Require panics
// when the service starts. Check does not panic, because adapters and handlers may call Check
// without Require.
func TestCheckWithTooManyAlternatives(t *testing.T) {
	a, b := harness.OneOfScopes("a", 17), harness.OneOfScopes("b", 17)
	told, allowed := checkScopes(t, "/x", a, b)
	require.False(t, allowed)
	require.Equal(t, []string{"a0", "b0"}, told)
	told, _ = checkScopes(t, "/b3", a, b)
	require.Equal(t, []string{"a0", "b3"}, told)
	_, allowed = checkScopes(t, "/b3/a16", a, b)
	require.True(t, allowed)
}
