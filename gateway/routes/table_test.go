package routes_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func number(i int) string { return strconv.Itoa(i) }

// newTable returns a table with a rule for each pattern. Each rule requires a different scope: if
// two rules had the same access, Find would not refuse a request as ambiguous between them.
func newTable(t testing.TB, opts *routes.Options, patterns ...string) *routes.Table {
	t.Helper()
	var rules []routes.Rule
	for i, p := range patterns {
		rules = append(rules, routes.Rule{Pattern: p, Access: routes.Require(xenaauth.AllScopes("scope" + number(i)))})
	}
	table, err := routes.New(rules, opts)
	require.NoError(t, err)
	return table
}

// wantRules checks the method Find of a table. wantPatterns contains, for each request line, the
// pattern of the rule that Find must return. In place of a pattern, "no rule" and "ambiguous" stand
// for errors of Find.
func wantRules(t *testing.T, table *routes.Table, wantPatterns map[string]string) {
	t.Helper()
	for line, pattern := range wantPatterns {
		rule, err := table.Find(newRequest(t, line))
		switch whyNot(err) {
		case xenaauth.ReasonNoRule:
			rule.Pattern = "no rule"
		case xenaauth.ReasonAmbiguousTarget:
			rule.Pattern = "ambiguous"
		}
		require.Equal(t, pattern, rule.Pattern, line)
	}
}

func TestPrecedence(t *testing.T) {
	table := newTable(t, nil, "GET /a/{id}", "/a/", "GET /a/new", "HEAD /a/new", "GET api.example/host/", "/host/b", "GET /x/{$}",
		"/y/{rest...}", "POST /a/new", "/caf%C3%A9/{x}", "/%7Bid%7D", "CONNECT /tunnel")
	wantRules(t, table, map[string]string{
		"GET /a/1":         "GET /a/{id}",
		"HEAD /a/1":        "GET /a/{id}",
		"HEAD /a/new":      "HEAD /a/new",
		"GET /a/new":       "GET /a/new",
		"POST /a/new":      "POST /a/new",
		"DELETE /a/new":    "/a/",
		"GET /a/1/b":       "/a/",
		"GET /a/":          "/a/",
		"GET /a":           "no rule", // for this request, a ServeMux would redirect
		"GET /host/b":      "GET api.example/host/",
		"POST /host/b":     "/host/b",
		"POST /host/c":     "no rule", // for this request, a ServeMux would answer 405
		"GET /x/":          "GET /x/{$}",
		"GET /x":           "no rule",
		"GET /x/z":         "no rule",
		"GET /y/":          "/y/{rest...}",
		"GET /y/1/2/3":     "/y/{rest...}",
		"GET /caf%c3%a9/":  "no rule",
		"GET /caf%c3%a9/1": "/caf%C3%A9/{x}",
		"GET /{id}":        "/%7Bid%7D",
		"GET /b":           "no rule",
		"GET /":            "no rule",
		// a request with the method CONNECT matches only a pattern with this method
		"CONNECT /a/b":    "no rule",
		"CONNECT /tunnel": "CONNECT /tunnel",
		"CONNECT /a":      "no rule",
	})
}

// An upstream may compare paths before it decodes them. To such an upstream, /%68ealth and /health
// are two paths. Find refuses a path with a needless escape only if the rule for its escaped form
// and the rule for its decoded form have different access.
func TestNeedlessEscapes(t *testing.T) {
	table := newTable(t, nil, "/health", "/{page}", "/id/{id}", "/caf%C3%A9")
	wantRules(t, table, map[string]string{
		"GET /health":       "/health",
		"GET /%68ealth":     "ambiguous",
		"GET /a%62c":        "/{page}",
		"GET /id/%31%32":    "/id/{id}",
		"GET /%69d/1":       "ambiguous",
		"GET /caf%c3%A9":    "/caf%C3%A9",
		"GET /c%61f%C3%A9":  "ambiguous",
		"GET /id/%C3%A9%7e": "/id/{id}",
	})
	same, err := routes.New([]routes.Rule{{Pattern: "/", Access: routes.Require(xenaauth.AnyUser())},
		{Pattern: "/a", Access: routes.Require(xenaauth.AnyUser())}, {Pattern: "/b", Access: routes.Public()}}, nil)
	require.NoError(t, err)
	wantRules(t, same, map[string]string{"GET /%61": "/a", "GET /%62": "ambiguous", "GET /a/": "/", "GET /b/": "ambiguous"})
	policy := func(context.Context, *xenaauth.User) error { return nil }
	policies, err := routes.New([]routes.Rule{{Pattern: "/", Access: routes.Require(xenaauth.Where("policy", policy))},
		{Pattern: "/a", Access: routes.Require(xenaauth.Where("policy", policy))}}, nil)
	require.NoError(t, err)
	wantRules(t, policies, map[string]string{"GET /a": "/a", "GET /%61": "ambiguous", "GET /a/": "ambiguous"})
}

// Many routers take /admin/ and /admin for the same path. If the table has a rule for one of these
// paths, a client could send the other path to avoid this rule. Find must refuse such a request,
// unless the table has a rule for each of the two paths.
func TestSlashAtTheEnd(t *testing.T) {
	table := newTable(t, nil, "/", "/admin", "GET /orders/{id}", "/orders/", "/both", "/both/", "/only/{$}", "/w/{x}/")
	wantRules(t, table, map[string]string{
		"GET /admin":     "/admin",
		"GET /admin/":    "ambiguous",
		"GET /orders/5":  "GET /orders/{id}",
		"GET /orders/5/": "ambiguous",
		"PUT /orders/5/": "/orders/",
		"GET /orders/":   "/orders/",
		"GET /orders":    "no rule",
		"GET /both":      "/both",
		"GET /both/":     "/both/",
		"GET /only/":     "/only/{$}",
		"GET /only":      "no rule",
		"GET /other/":    "/",
		"GET /w/1/":      "/w/{x}/",
		"GET /":          "/",
	})
}

// Find refuses a request for /api/admin/ as ambiguous if one rule is for /api/admin and a wider
// rule with a wildcard matches /api/admin/. The reason is that many routers ignore the slash. Find
// also refuses a request for /api/admin if a rule is for /api/admin/ and a wider rule matches
// /api/admin.
func TestSlashAtTheEndAndWildcards(t *testing.T) {
	for _, tt := range []struct{ narrow, wide, request, want string }{
		{"/api/admin", "/api/{tenant}/", "GET /api/admin/", "ambiguous"},
		{"/api/admin", "/api/{tenant}/{rest...}", "GET /api/admin/", "ambiguous"},
		{"/api/admin", "/api/{x}/{$}", "GET /api/admin/", "ambiguous"},
		{"/api/admin", "/{x}/admin/", "GET /api/admin/", "ambiguous"},
		{"api.example/api/admin", "/api/{x}/", "GET /api/admin/", "ambiguous"},
		{"GET /api/admin", "/api/{x}/", "GET /api/admin/", "ambiguous"},
		{"GET /api/admin", "/api/{x}/", "PUT /api/admin/", "/api/{x}/"},
		{"/api/admin", "/api/", "GET /api/admin/", "ambiguous"},
		{"/api/admin", "/api/{x}/", "GET /api/other/", "/api/{x}/"},
		{"/api/admin/", "/api/{x}", "GET /api/admin", "ambiguous"},
		{"/api/admin/{$}", "/api/{x}", "GET /api/admin", "ambiguous"},
		{"/api/admin/{x...}", "/api/{x}", "GET /api/admin", "ambiguous"},
		{"/api/admin/", "/{y}/{x}", "GET /api/admin", "ambiguous"},
		{"api.example/api/admin/", "/api/{x}", "GET /api/admin", "ambiguous"},
		{"/api/admin/", "/api/{x}", "GET /api/other", "/api/{x}"},
		{"/api/admin/", "/api/", "GET /api/admin", "no rule"},
		// Find accepts the requests below. Each table has two rules, and is of one of two kinds. In
		// some tables, one rule is for a path with a slash at its end, and the second rule is for
		// the same path without this slash. Find accepts the request, because the author of the
		// table has distinguished these two paths. In the rest of the tables, one of the two rules
		// has a narrower pattern, and this rule decides. Find accepts the request, because the
		// author of the table wanted an exception from the wider rule.
		{"/api/admin", "/api/admin/", "GET /api/admin", "/api/admin"},
		{"/api/admin", "/api/admin/", "GET /api/admin/", "/api/admin/"},
		{"/api/admin", "GET /api/admin/", "GET /api/admin", "/api/admin"},
		{"GET /api/admin", "/api/admin/", "GET /api/admin/", "/api/admin/"},
		{"api.example/api/admin", "/api/admin/", "GET /api/admin/", "/api/admin/"},
		{"/api/{x}", "/api/", "GET /api/5", "/api/{x}"},
		{"/api/{x}", "/api/{y}/", "GET /api/5", "/api/{x}"},
		{"/api/{x}", "/api/{y}/", "GET /api/5/", "/api/{y}/"},
		{"/api/{x}", "/api/admin/", "GET /api/admin/", "/api/admin/"},
		{"/api/admin", "/api/{x}/", "GET /api/admin", "/api/admin"},
	} {
		t.Run(tt.narrow+" and "+tt.wide, func(t *testing.T) {
			wantRules(t, newTable(t, nil, tt.narrow, tt.wide), map[string]string{tt.request: tt.want})
		})
	}
}

func TestIgnoreCase(t *testing.T) {
	ignore := &routes.Options{IgnoreCase: true}
	table := newTable(t, ignore, "/Api/{Id}/Admin", "/Api/", "/%41%C3%86/", "/")
	wantRules(t, table, map[string]string{
		"GET /api/X/admin":  "/Api/{Id}/Admin",
		"GET /API/X/ADMIN":  "/Api/{Id}/Admin",
		"GET /aPi/x":        "/Api/",
		"GET /a%C3%86/x":    "/%41%C3%86/",
		"GET /A%C3%A6/x":    "/%41%C3%86/",
		"GET /api/x/admin/": "ambiguous",
		"GET /%41pi/x":      "ambiguous",
		"GET /API/%41bc":    "/Api/",
		// this character is the Kelvin sign, whose lower case is k
		"GET /%E2%84%AA":        "ambiguous",
		"GET /%C5%BF":           "ambiguous", // this character is the long s
		"GET /api/x/adm%C4%B1n": "ambiguous", // this character is the small i without a dot
		"GET /api/x/adm%C4%B0n": "ambiguous", // this character is the capital I with a dot
		// this character is the small sigma at the end of a word
		"GET /%CF%82":              "ambiguous",
		"GET /%E1%BA%9E":           "ambiguous", // this character is the capital sharp s
		"GET /%E2%84%AB":           "ambiguous", // this character is the Ångström sign
		"GET /stra%C3%9Fe":         "/",
		"GET /%E6%97%A5/%D0%96":    "/",
		"GET /%C3%A6%C3%B8%C3%A5/": "/",
	})
	_, err := routes.New([]routes.Rule{{Pattern: "/Admin", Access: routes.Deny()}, {Pattern: "/admin", Access: routes.Deny()}, {Pattern: "/\u212a", Access: routes.Deny()}}, ignore)
	require.EqualError(t, err, "routes: rule 2 (/admin): conflicts with rule 1 (/Admin): both match some requests, and neither is more specific\n"+
		"routes: rule 3 (/\u212a): no request can match: the path contains a character whose lower case is disputed")
	wantRules(t, newTable(t, nil, "/Admin", "/admin"), map[string]string{"GET /Admin": "/Admin", "GET /admin": "/admin", "GET /ADMIN": "no rule"})
}

func TestRuleMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		rule routes.Rule
		want string
	}{
		"zero":              {routes.Rule{}, "rule 1 (): Access is missing"},
		"says nothing":      {routes.Rule{Pattern: "/"}, "rule 1 (/): Access is missing: use Require, Optional, Public or Deny"},
		"its source":        {routes.Rule{Pattern: "/a", Source: "routes.yaml:7"}, "routes.yaml:7 (/a): Access is missing"},
		"no path":           {routes.Rule{Pattern: "GET", Access: routes.Deny()}, "the path is missing"},
		"two spaces":        {routes.Rule{Pattern: " GET /a", Access: routes.Deny()}, "the method is not in capital letters"},
		"a small method":    {routes.Rule{Pattern: "get /a", Access: routes.Deny()}, "the method is not in capital letters"},
		"no method":         {routes.Rule{Pattern: "G<T /a", Access: routes.Deny()}, "invalid method"},
		"a port":            {routes.Rule{Pattern: "h:80/a", Access: routes.Deny()}, "the host has a port"},
		"an address's port": {routes.Rule{Pattern: "[::1]:80/a", Access: routes.Deny()}, "the host has a port"},
		"no host":           {routes.Rule{Pattern: "h./a", Access: routes.Deny()}, "the host is not a plain name"},
		"a wildcard host":   {routes.Rule{Pattern: "*.h/a", Access: routes.Deny()}, "the host is not a plain name"},
		"a URL":             {routes.Rule{Pattern: "https://h/a", Access: routes.Deny()}, "the host is not a plain name"},
		"dot segments":      {routes.Rule{Pattern: "/a/../b", Access: routes.Deny()}, "no request can match: a path segment ends in a dot"},
		"an empty segment":  {routes.Rule{Pattern: "/a//b", Access: routes.Deny()}, "no request can match: the path contains an empty segment"},
		"an escaped slash":  {routes.Rule{Pattern: "/a%2fb", Access: routes.Deny()}, "no request can match: the path contains an escaped slash"},
		"a wrong escape":    {routes.Rule{Pattern: "/a%2", Access: routes.Deny()}, "no request can match: the path contains an invalid escape"},
		"parameters":        {routes.Rule{Pattern: "/a;b", Access: routes.Deny()}, "no request can match: the path contains path parameters"},
		"a space at an end": {routes.Rule{Pattern: "/a%20", Access: routes.Deny()}, "no request can match: a path segment ends"},
		"a long path":       {routes.Rule{Pattern: "/" + strings.Repeat("a", 9000), Access: routes.Deny()}, "too long"},
		"a wildcard inside": {routes.Rule{Pattern: "/a{b}", Access: routes.Deny()}, "a wildcard is a whole segment"},
		"an open wildcard":  {routes.Rule{Pattern: "/{b", Access: routes.Deny()}, "bad wildcard"},
		"a wildcard twice":  {routes.Rule{Pattern: "/{b}/{b}", Access: routes.Deny()}, "duplicate wildcard"},
		"a rest inside":     {routes.Rule{Pattern: "/{b...}/c", Access: routes.Deny()}, "{...} wildcard not at end"},
		"an asterisk":       {routes.Rule{Pattern: "/a.B/*", Access: routes.Deny()}, `the segment "*" is no wildcard: end the path in a slash`},
		"two asterisks":     {routes.Rule{Pattern: "GET /**/b", Access: routes.Deny()}, `the segment "**" is no wildcard`},
		"an end inside":     {routes.Rule{Pattern: "/{$}/c", Access: routes.Deny()}, "{$} not at end"},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := routes.New([]routes.Rule{tt.rule}, nil)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), ".go:")
			require.Nil(t, table)
		})
	}
}

// The error of New lists all mistakes in the rules. For a conflict, it names both rules.
func TestConflictingRules(t *testing.T) {
	_, err := routes.New([]routes.Rule{
		{Pattern: "/a/{x}", Access: routes.Deny(), Source: "a.yaml:1"},
		{Pattern: "/{y}/b", Access: routes.Deny(), Source: "a.yaml:2"},
		{Pattern: "/c", Access: routes.Deny(), Source: "a.yaml:3"},
		{Pattern: "/c", Access: routes.Public(), Source: "a.yaml:4"},
		{Pattern: "GET /a/", Access: routes.Deny(), Source: "a.yaml:5"},
		{Pattern: "API.example/d", Access: routes.Deny(), Source: "a.yaml:6"},
		{Pattern: "api.EXAMPLE/d", Access: routes.Deny(), Source: "a.yaml:7"},
		{Pattern: "other.example/{y}/b", Access: routes.Deny(), Source: "a.yaml:8"},
		{Pattern: "/e", Source: "a.yaml:9"},
		{Pattern: "other.example/{z}/b", Access: routes.Deny(), Source: "a.yaml:10"},
	}, nil)
	const tail = ": both match some requests, and neither is more specific"
	require.EqualError(t, err, strings.Join([]string{
		"a.yaml:2 (/{y}/b): conflicts with a.yaml:1 (/a/{x})" + tail,
		"a.yaml:4 (/c): conflicts with a.yaml:3 (/c)" + tail,
		"a.yaml:5 (GET /a/): conflicts with a.yaml:1 (/a/{x})" + tail,
		"a.yaml:7 (api.EXAMPLE/d): conflicts with a.yaml:6 (API.example/d)" + tail,
		"a.yaml:9 (/e): Access is missing: use Require, Optional, Public or Deny",
		"a.yaml:10 (other.example/{z}/b): conflicts with a.yaml:8 (other.example/{y}/b)" + tail,
	}, "\n"))
}

func TestRoutesWithoutRules(t *testing.T) {
	table, err := routes.New(nil, nil)
	require.NoError(t, err)
	for _, table := range []*routes.Table{table, {}} {
		wantRules(t, table, map[string]string{"GET /": "no rule", "GET /a//b": "ambiguous"})
		require.Empty(t, table.Lint())
	}
}

func TestRulesAreInTheirOrder(t *testing.T) {
	table, err := routes.New([]routes.Rule{
		{Pattern: "/b/", Access: routes.Deny()},
		{Pattern: "GET /a", Access: routes.Public(), Source: "routes.yaml:7"},
	}, nil)
	require.NoError(t, err)
	rules := table.Rules()
	require.Len(t, rules, 2)
	require.Equal(t, "/b/ rule 1 deny", rules[0].Pattern+" "+rules[0].Source+" "+rules[0].Access.String())
	require.Equal(t, "GET /a routes.yaml:7 public",
		rules[1].Pattern+" "+rules[1].Source+" "+rules[1].Access.String())
	rules[0].Access = routes.Public()
	require.Equal(t, "deny", table.Rules()[0].Access.String(), "the caller may change the list")
	require.Empty(t, new(routes.Table).Rules())
}

func TestFoundRuleIsWhole(t *testing.T) {
	table, err := routes.New([]routes.Rule{{Pattern: "/a", Access: routes.Require(xenaauth.AllScopes("s"))}}, nil)
	require.NoError(t, err)
	rule, err := table.Find(newRequest(t, "GET /a"))
	require.NoError(t, err)
	require.Equal(t, []any{"/a", "rule 1", "s"}, []any{rule.Pattern, rule.Source, rule.Access.String()})
}

// The ServeMux of Go 1.21 reads the method in a pattern as a part of the host. So New returns an
// error for every table.
func TestOldServeMuxIsRefused(t *testing.T) {
	if os.Getenv("GODEBUG") == "httpmuxgo121=1" {
		_, err := routes.New(nil, nil)
		require.ErrorContains(t, err, "httpmuxgo121")
		return
	}
	self := exec.Command(os.Args[0], "-test.run=^TestOldServeMuxIsRefused$")
	self.Env = append(os.Environ(), "GODEBUG=httpmuxgo121=1")
	out, err := self.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestFindDoesNotChangeTheRequest(t *testing.T) {
	table := newTable(t, &routes.Options{IgnoreCase: true}, "/a/", "api.example/b/")
	r := &http.Request{Method: "GET", Host: "API.example:80", URL: &url.URL{Path: "/A/B"}}
	_, err := table.Find(r)
	require.NoError(t, err)
	require.Equal(t, http.Request{Method: "GET", Host: "API.example:80", URL: &url.URL{Path: "/A/B"}}, *r)
}
