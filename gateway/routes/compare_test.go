package routes_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// acceptedBy is the key of a context value: the names of the policies that accept the user.
type acceptedBy struct{}

func namedPolicy(name string) xenaauth.Requirement {
	return xenaauth.Where(name, func(ctx context.Context, _ *xenaauth.User) error {
		if names, _ := ctx.Value(acceptedBy{}).([]string); slices.Contains(names, name) {
			return nil
		}
		return errors.New("not accepted")
	})
}

// randomRequirement returns a requirement of scopes and policies, nested up to depth times.
func randomRequirement(r *rand.Rand, depth int) xenaauth.Requirement {
	kinds := 8
	if depth == 0 {
		kinds = 6
	}
	switch r.IntN(kinds) {
	case 0:
		return xenaauth.AnyUser()
	case 1:
		return xenaauth.BoundToken()
	case 2:
		return namedPolicy("p")
	case 3:
		// The name of this policy contains "or", "and", "where" and parentheses. So it looks like a
		// combination of several requirements, and Lint must not read it as such.
		return namedPolicy("p or (where p) and b")
	case 4:
		return xenaauth.AllScopes([]string{"where", "b"}[:1+r.IntN(2)]...)
	case 5:
		return xenaauth.AnyScope([]string{"b", "c"}[r.IntN(2):]...)
	}
	parts := make([]xenaauth.Requirement, 1+r.IntN(3))
	for i := range parts {
		parts[i] = randomRequirement(r, depth-1)
	}
	if r.IntN(2) == 0 {
		return xenaauth.AllOf(parts...)
	}
	return xenaauth.AnyOf(parts...)
}

// subsets returns all subsets of a list.
func subsets(list ...string) (all [][]string) {
	for bits := range 1 << len(list) {
		var subset []string
		for i, s := range list {
			if bits>>i&1 == 1 {
				subset = append(subset, s)
			}
		}
		all = append(all, subset)
	}
	return all
}

// Lint compares two requirements correctly: the test evaluates both for every user that can make a
// difference.
func TestLintComparesRequirements(t *testing.T) {
	type visitor struct {
		user       *xenaauth.User
		acceptedBy []string
	}
	var visitors []visitor
	for _, scopes := range subsets("where", "b", "c") {
		for _, names := range subsets("p", "p or (where p) and b") {
			for _, isBound := range []bool{false, true} {
				claims := map[string]any{"sub": "1", "client_id": "app", "scope": scopes}
				if isBound {
					claims["cnf"] = map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
				}
				u, err := xenaauth.NewUser(claims)
				require.NoError(t, err)
				visitors = append(visitors, visitor{u, names})
			}
		}
	}
	// allowsMore compares two requirements. It reports whether some visitor meets the first
	// requirement and does not meet the second requirement.
	allowsMore := func(a, b xenaauth.Requirement) bool {
		return slices.ContainsFunc(visitors, func(v visitor) bool {
			ctx := context.WithValue(t.Context(), acceptedBy{}, v.acceptedBy)
			return a.Check(ctx, v.user) == nil && b.Check(ctx, v.user) != nil
		})
	}
	r := rand.New(rand.NewPCG(1, 2))
	counts := make(map[routes.FindingKind]int)
	for range 2000 {
		wider, narrower := randomRequirement(r, 2), randomRequirement(r, 2)
		var want []routes.FindingKind
		switch allowed, refused := allowsMore(narrower, wider), allowsMore(wider, narrower); {
		case !allowed && !refused:
			want = []routes.FindingKind{routes.FindingRedundant}
		case allowed && !refused:
			want = []routes.FindingKind{routes.FindingLoosened}
		}
		var got []routes.FindingKind
		for _, f := range lint(t, wider, narrower) {
			got = append(got, f.Kind)
			counts[f.Kind]++
		}
		require.Equal(t, want, got, "wider: %v, narrower: %v", wider, narrower)
	}
	require.Greater(t, min(counts[routes.FindingRedundant], counts[routes.FindingLoosened]), 100, counts)
}

// lint returns the findings for a table with two rules: one for every path, and one for /x.
func lint(t *testing.T, wider, narrower xenaauth.Requirement) []routes.Finding {
	t.Helper()
	table, err := routes.New([]routes.Rule{
		{Pattern: "/", Access: routes.Require(wider)}, {Pattern: "/x", Access: routes.Require(narrower)},
	}, nil)
	require.NoError(t, err)
	return table.Lint()
}

// If the text of a requirement is ambiguous, or if the requirement has very many alternatives, Lint
// can't compare the requirement with others. Then Lint returns no finding about the two rules.
func TestLintClaimsNothing(t *testing.T) {
	scope := xenaauth.AllScopes
	var parts []xenaauth.Requirement
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"} {
		parts = append(parts, xenaauth.AnyOf(namedPolicy(name), namedPolicy(name+"2")))
	}
	for name, rule := range map[string][2]xenaauth.Requirement{
		"parentheses in scopes": {
			xenaauth.AnyOf(scope("(a"), scope("b)")), xenaauth.AllOf(xenaauth.AnyScope("a", "b")),
		},
		"and in a policy": {
			xenaauth.AnyOf(xenaauth.AllOf(namedPolicy("and b"), scope("c")), scope("where", "b", "d")),
			xenaauth.AnyOf(scope("where", "b", "c"), xenaauth.AllOf(namedPolicy("and b"), scope("d"))),
		},
		"or in a policy": {
			xenaauth.AllOf(xenaauth.AnyOf(namedPolicy("or b"), scope("c")), xenaauth.AnyScope("where", "b", "d")),
			xenaauth.AllOf(xenaauth.AnyScope("where", "b", "c"), xenaauth.AnyOf(namedPolicy("or b"), scope("d"))),
		},
		"many alternatives": {xenaauth.AllOf(parts...), xenaauth.AllOf(parts[1:]...)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, lint(t, rule[0], rule[1]))
			require.Empty(t, lint(t, rule[1], rule[0]))
		})
	}
}
