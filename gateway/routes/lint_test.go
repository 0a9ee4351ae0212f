package routes_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func TestLint(t *testing.T) {
	member := xenaauth.Where("member", func(context.Context, *xenaauth.User) error { return nil })
	need := func(pattern string, rs ...xenaauth.Requirement) routes.Rule {
		if len(rs) == 1 {
			return routes.Rule{Pattern: pattern, Access: routes.Require(rs[0])}
		}
		return routes.Rule{Pattern: pattern, Access: routes.Require(xenaauth.AllOf(rs...))}
	}
	public := func(pattern string) routes.Rule { return routes.Rule{Pattern: pattern, Access: routes.Public()} }
	optional := func(pattern string) routes.Rule { return routes.Rule{Pattern: pattern, Access: routes.Optional()} }
	deny := func(pattern string) routes.Rule { return routes.Rule{Pattern: pattern, Access: routes.Deny()} }
	user, a, b, ab, either := xenaauth.AnyUser(), xenaauth.AllScopes("a"), xenaauth.AllScopes("b"), xenaauth.AllScopes("a", "b"),
		xenaauth.AnyScope("a", "b")
	bound := xenaauth.BoundToken()

	for name, tt := range map[string]struct {
		rules []routes.Rule
		want  []string
	}{
		"a clean table": {[]routes.Rule{
			deny("/"), public("/health"), need("/Api/", a), need("GET /Api/Report/{id}", ab), deny("/Api/Internal/"),
			need("POST /Api/Order/", ab), need("/Api/{fiscal}/", a, member), need("other.example/", user), need("other.example/Api/", b),
		}, nil},
		"everything is public": {[]routes.Rule{public("/"), public("api.example/{rest...}"), public("GET /{$}"), public("POST /")}, []string{
			"rule 1 (/) is public for every path: it allows each of its requests that no more specific rule matches",
			"rule 2 (api.example/{rest...}) is public for every path: it allows each of its requests that no more specific rule matches",
			"rule 2 (api.example/{rest...}) has the same access as the wider rule 1 (/)",
			"rule 3 (GET /{$}) has the same access as the wider rule 1 (/)",
			"rule 4 (POST /) is public for every path: it allows each of its requests that no more specific rule matches",
			"rule 4 (POST /) has the same access as the wider rule 1 (/)",
		}},
		"shadowed": {[]routes.Rule{need("GET /a/", a), need("GET /a/{$}", b), need("GET /a/{x}", b), need("GET /a/{x}/", b)}, []string{
			"rule 1 (GET /a/) has no effect: more specific rules match all of its requests",
		}},
		"shadowed in two steps": {[]routes.Rule{deny("/a/{r...}"), need("/a/{$}", a), need("/a/{x}", a), need("/a/{x}/{$}", a), need("/a/{x}/{y}", a), need("/a/{x}/{y}/", b), deny("/")}, []string{
			"rule 1 (/a/{r...}) has no effect: more specific rules match all of its requests",
		}},
		"not shadowed": {[]routes.Rule{deny("/a/"), need("/a/{$}", a), need("/a/{x}", a), need("GET /a/{x}/", b), need("h/a/{x}/", b)}, nil},
		"redundant": {[]routes.Rule{need("/", a), need("GET /x", a), need("/y/", ab), need("/y/z", xenaauth.AllScopes("b", "a"))}, []string{
			"rule 2 (GET /x) has the same access as the wider rule 1 (/)",
			"rule 4 (/y/z) has the same access as the wider rule 3 (/y/)",
		}},
		"the nearest counts": {[]routes.Rule{need("/", a), need("/x/", ab), need("/x/y", b)}, []string{
			"rule 3 (/x/y) requires less (b) than the wider rule 2 (/x/) (a and b)",
		}},
		"the same host goes first": {[]routes.Rule{need("/x/", ab), need("h/x/", a), need("h/x/y", a)}, []string{
			"rule 2 (h/x/) requires less (a) than the wider rule 1 (/x/) (a and b)",
			"rule 3 (h/x/y) has the same access as the wider rule 2 (h/x/)",
		}},
		"bound": {[]routes.Rule{need("/", bound, a), need("/x", a), need("/y", bound, a), need("/z", xenaauth.AnyOf(bound, b))}, []string{
			"rule 2 (/x) requires less (a) than the wider rule 1 (/) (bound token and a)",
			"rule 3 (/y) has the same access as the wider rule 1 (/)",
			"rule 4 (/z) requires less (bound token or b) than the wider rule 1 (/) (bound token and a)",
		}},
		"redundant but for a host": {[]routes.Rule{need("/", a), need("/x", ab), need("h/", a)}, nil},
		"redundant for a host":     {[]routes.Rule{need("/", a), need("h/", a)}, []string{"rule 2 (h/) has the same access as the wider rule 1 (/)"}},
		"by a policy's name":       {[]routes.Rule{need("/", a, member), need("/x", member, a)}, []string{"rule 2 (/x) has the same access as the wider rule 1 (/)"}},
		"loosened": {[]routes.Rule{need("/", ab, member), public("/p"), optional("/o"), need("/u", user), need("/a", a, member),
			need("/m", ab), need("/e", either, member), need("/b", b, xenaauth.AllScopes("c")), deny("/d")}, []string{
			"rule 2 (/p) requires less (public) than the wider rule 1 (/) ((a and b) and where member)",
			"rule 3 (/o) requires less (optional) than the wider rule 1 (/) ((a and b) and where member)",
			"rule 4 (/u) requires less (any user) than the wider rule 1 (/) ((a and b) and where member)",
			"rule 5 (/a) requires less (a and where member) than the wider rule 1 (/) ((a and b) and where member)",
			"rule 6 (/m) requires less (a and b) than the wider rule 1 (/) ((a and b) and where member)",
			"rule 7 (/e) requires less ((a or b) and where member) than the wider rule 1 (/) ((a and b) and where member)",
		}},
		"a health check beside a rule for everything else":         {[]routes.Rule{need("/", a), public("GET /health"), public("HEAD /a/ready"), need("h/", b), public("GET h/health")}, nil},
		"a health check beside a rule for reading everything else": {[]routes.Rule{need("GET /", a), public("GET /health")}, nil},
		"no health check": {[]routes.Rule{need("/", a), public("POST /x"), public("/y"), public("GET /z/"), public("GET /w/{z}"), need("/a/", b), public("GET /a/b"), optional("GET /o")}, []string{
			"rule 2 (POST /x) requires less (public) than the wider rule 1 (/) (a)",
			"rule 3 (/y) requires less (public) than the wider rule 1 (/) (a)",
			"rule 4 (GET /z/) requires less (public) than the wider rule 1 (/) (a)",
			"rule 5 (GET /w/{z}) requires less (public) than the wider rule 1 (/) (a)",
			"rule 7 (GET /a/b) requires less (public) than the wider rule 6 (/a/) (b)",
			"rule 8 (GET /o) requires less (optional) than the wider rule 1 (/) (a)",
		}},
		"loosened for a method": {[]routes.Rule{need("/x/", a), public("GET /x/{y}"), public("HEAD /x/z")}, []string{
			"rule 2 (GET /x/{y}) requires less (public) than the wider rule 1 (/x/) (a)",
			"rule 3 (HEAD /x/z) has the same access as the wider rule 2 (GET /x/{y})",
		}},
		"a method gap": {[]routes.Rule{public("/x/"), need("GET /x/y", a), need("POST /x/y", a), need("/z", user), need("GET /z", a),
			need("POST /z", a), deny("DELETE /z"), deny("GET /x/w"), optional("/o/"), need("POST /o/y", a)}, []string{
			"rule 2 (GET /x/y) guards one method (a), and other methods fall to the looser rule 1 (/x/) (public)",
			"rule 3 (POST /x/y) guards one method (a), and other methods fall to the looser rule 1 (/x/) (public)",
			"rule 5 (GET /z) guards one method (a), and other methods fall to the looser rule 4 (/z) (any user)",
			"rule 10 (POST /o/y) guards one method (a), and other methods fall to the looser rule 9 (/o/) (optional)",
		}},
		"a method gap beside a method": {[]routes.Rule{optional("/x/"), need("GET /x/", a), need("GET /x/y", b)}, []string{
			"rule 2 (GET /x/) guards one method (a), and other methods fall to the looser rule 1 (/x/) (optional)",
			"rule 3 (GET /x/y) guards one method (b), and other methods fall to the looser rule 1 (/x/) (optional)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := routes.New(tt.rules, nil)
			require.NoError(t, err)
			var got []string
			for _, f := range table.Lint() {
				got = append(got, f.String())
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestFinding(t *testing.T) {
	table, err := routes.New([]routes.Rule{{Pattern: "/", Access: routes.Deny(), Source: "a.yaml:1"}, {Pattern: "/x", Access: routes.Deny(), Source: "a.yaml:2"}}, nil)
	require.NoError(t, err)
	findings := table.Lint()
	require.Len(t, findings, 1)
	f := findings[0]
	require.Equal(t, []any{routes.FindingRedundant, "a.yaml:2", "a.yaml:1"}, []any{f.Kind, f.Rule.Source, f.Other.Source})
	require.Equal(t, "a.yaml:2 (/x) has the same access as the wider a.yaml:1 (/)", f.String())
}
