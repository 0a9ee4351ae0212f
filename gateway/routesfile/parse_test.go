package routesfile_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
)

func find(t testing.TB, table interface {
	Find(*http.Request) (routes.Rule, error)
}, method, host, path string) routes.Rule {
	t.Helper()
	rule, err := table.Find(&http.Request{Method: method, Host: host, URL: &url.URL{Path: path}})
	if err != nil {
		require.ErrorContains(t, err, "no_rule")
	}
	return rule
}

// The example in docs/routes.md must be a valid file, with the meaning that the page says.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/routes.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	table, err := routesfile.Parse("routes.yaml", []byte(example))
	require.NoError(t, err)
	require.Empty(t, table.Lint())
	for _, tt := range []struct{ method, host, path, want string }{
		{"GET", "", "/api/user/FISCALSETUP", "testapi"},
		{"GET", "", "/Api/Report/1", "testapi or reports"},
		{"POST", "", "/Api/Report/1", "testapi or reports"},
		{"DELETE", "", "/Api/Report/1", "no access"},
		{"GET", "", "/Api/Order/1", "testapi and (orders or admin)"},
		{"POST", "", "/Api/Payment", "bound token and testapi"},
		{"GET", "", "/Api/Profile/Me", "any user"},
	} {
		require.Equal(t, tt.want, find(t, table, tt.method, "api.example", tt.path).Access.String(), tt.path)
	}
	require.True(t, find(t, table, "GET", "api.example", "/news").Access.IsOptional())
	require.True(t, find(t, table, "GET", "api.example", "/health").Access.IsPublic())
	require.Equal(t, "deny", find(t, table, "GET", "api.example", "/Api/Profile/Audit").Access.String())
	require.Equal(t, "any user", find(t, table, "GET", "status.example", "/x").Access.String())
	require.Equal(t, routes.Rule{}, find(t, table, "GET", "api.example", "/x"))
}

// If a rule in the file contains "bound: true", the rule requires a token that is bound to a key,
// in addition to its scopes.
func TestBound(t *testing.T) {
	table, err := routesfile.Parse("r", []byte("rules:\n"+
		"- {route: /a, access: user, bound: true}\n- {route: /b, any_scope: [x, y], bound: true}\n"+
		"- {route: /c, access: user, bound: false}\n- {route: /d, access: public, bound: false}\n"))
	require.NoError(t, err)
	for path, want := range map[string]string{
		"/a": "bound token", "/b": "bound token and (x or y)", "/c": "any user", "/d": "public",
	} {
		require.Equal(t, want, find(t, table, "GET", "", path).Access.String(), path)
	}
}

func TestJSON(t *testing.T) {
	table, err := routesfile.Parse("routes.json", []byte(`{"ignore_case": true, "rules": [{"route": "GET /A", "scopes": ["a", "b"]}]}`))
	require.NoError(t, err)
	rule := find(t, table, "GET", "", "/a")
	require.Equal(t, "a and b", rule.Access.String())
	require.Equal(t, "routes.json:1: rule 1", rule.Source)
}

func TestNoRules(t *testing.T) {
	table, err := routesfile.Parse("r", []byte("rules: []\n"))
	require.NoError(t, err)
	require.Equal(t, routes.Rule{}, find(t, table, "GET", "", "/"))
}

func TestMistakesInAFile(t *testing.T) {
	long := strings.Repeat("#", routesfile.MaxSize) + "\n"
	for name, tt := range map[string]struct{ file, want string }{
		"empty":           {"", "r.yaml: empty"},
		"only a comment":  {"# nothing\n", "r.yaml: empty"},
		"null":            {"---\n", "r.yaml:2: want a mapping"},
		"a list":          {"- route: /a\n", "r.yaml:1: want a mapping"},
		"no rules":        {"ignore_case: true\n", "r.yaml:1: rules is missing: to refuse all requests, write an empty list"},
		"rules no list":   {"rules: {}\n", "r.yaml:1: rules: want a list"},
		"rules null":      {"rules:\n", "r.yaml:1: rules: want a list"},
		"no YAML":         {"rules: [\n  a: b: c\n", "r.yaml:1: did not find"},
		"no YAML, line":   {"rules:\n\t- x\n", "r.yaml:2: found character that cannot start any token"},
		"not UTF-8":       {"rules: [\xff]\n", "r.yaml: invalid leading UTF-8 octet"},
		"too long":        {long, "r.yaml: longer than 1048576 bytes"},
		"two documents":   {"rules: []\n---\nrules: []\n", "r.yaml: more than one document"},
		"a broken second": {"rules: []\n---\n\t", "r.yaml:3: found character"},
		"unknown key":     {"rules: []\nIgnore_case: true\n", `r.yaml:2: unknown key "Ignore_case"`},
		"repeated key":    {"rules: []\nrules: []\n", `r.yaml:2: key "rules" is repeated`},
		"a list as a key": {"rules: []\n? [a]\n: b\n", "r.yaml:2: a key is not a word"},
		"no boolean":      {"ignore_case: yes please\nrules: []\n", "r.yaml:1: ignore_case: want true or false"},
		"a word for it":   {"ignore_case: yes\nrules: []\n", "r.yaml:1: ignore_case: want true or false"},
		"an anchor":       {"rules: &x []\n", "r.yaml:1: anchors and aliases are not supported"},
		"an alias":        {"a: &x [1]\nrules: *x\n", "r.yaml:1: anchors and aliases are not supported\nr.yaml:2: anchors and aliases are not supported"},
		"a merge key":     {"rules:\n- <<: {route: /a}\n  access: deny\n", "r.yaml:2: tags and merge keys are not supported"},
		"a tag":           {"rules:\n- route: !!binary L2E=\n  access: deny\n", "r.yaml:2: tags and merge keys are not supported"},
		"deep":            {"rules: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "r.yaml:1: nested too deeply"},

		"a rule that is a word": {"rules: [/a]\n", "r.yaml:1: rule 1: want a mapping"},
		"no route":              {"rules:\n- access: deny\n", "r.yaml:2: rule 1: want a route, or a path"},
		"no access":             {"rules:\n- route: /a\n", "r.yaml:2: rule 1 (/a): want scopes, any_scope or access"},
		"another access":        {"rules:\n- route: /a\n  access: Public\n", `r.yaml:2: rule 1 (/a): access: "Public" is not user, optional, public or deny`},
		"an empty access":       {"rules:\n- route: /a\n  access: ''\n", "r.yaml:2: rule 1 (/a): want scopes, any_scope or access"},
		"scopes and access":     {"rules:\n- {route: /a, access: public, scopes: [a]}\n", "r.yaml:2: rule 1 (/a): access excludes scopes and any_scope"},
		"bound and public":      {"rules:\n- {route: /a, access: public, bound: true}\n", "r.yaml:2: rule 1 (/a): bound needs scopes, any_scope or access: user"},
		"bound and optional":    {"rules:\n- {route: /a, access: optional, bound: true}\n", "r.yaml:2: rule 1 (/a): bound needs scopes, any_scope or access: user"},
		"bound alone":           {"rules:\n- {route: /a, bound: true}\n", "r.yaml:2: rule 1 (/a): bound needs scopes, any_scope or access: user"},
		"not bound alone":       {"rules:\n- {route: /a, bound: false}\n", "r.yaml:2: rule 1 (/a): want scopes, any_scope or access"},
		"bound, as text":        {"rules:\n- {route: /a, access: user, bound: 'true'}\n", "r.yaml:2: rule 1 (/a): bound: want true or false"},
		"no scopes":             {"rules:\n- {route: /a, scopes: []}\n", "r.yaml:2: rule 1 (/a): scopes: want a list that isn't empty"},
		"null scopes":           {"rules:\n- {route: /a, scopes: }\n", "r.yaml:2: rule 1 (/a): scopes: want a list that isn't empty"},
		"one scope":             {"rules:\n- {route: /a, any_scope: a}\n", "r.yaml:2: rule 1 (/a): any_scope: want a list that isn't empty"},
		"no scope token":        {"rules:\n- {route: /a, scopes: [a b]}\n", `r.yaml:2: rule 1 (/a): scopes: "a b" is not a scope token`},
		"too many scopes": {"rules:\n- {route: /a, scopes: [x], any_scope: [" + strings.Repeat("s, ", 256) + "s]}\n",
			`r.yaml:2: rule 1 (/a): any_scope: more than 256 scopes`},
		"an empty scope":         {"rules:\n- {route: /a, scopes: ['']}\n", `r.yaml:2: rule 1 (/a): scopes: "" is not a scope token`},
		"a number":               {"rules:\n- {route: /a, scopes: [1]}\n", "r.yaml:2: rule 1 (/a): scopes: want text"},
		"an unknown key":         {"rules:\n- route: /a\n  scope: [a]\n", `r.yaml:3: rule 1 (/a): unknown key "scope"`},
		"a repeated key":         {"rules:\n- route: /a\n  access: deny\n  access: public\n", `r.yaml:4: rule 1 (/a): key "access" is repeated`},
		"a route of numbers":     {"rules:\n- {route: 5, access: deny}\n", "r.yaml:2: rule 1 (5): route: want text"},
		"a route and a path":     {"rules:\n- {route: /a, path: /a, access: deny}\n", "r.yaml:2: rule 1 (/a): route excludes methods, host and path"},
		"a path with a method":   {"rules:\n- {path: GET /a, access: deny}\n", "r.yaml:2: rule 1 (GET /a): path: doesn't begin with a slash"},
		"a host with a path":     {"rules:\n- {path: /a, host: h/b, access: deny}\n", "r.yaml:2: rule 1 (/a): host: want a name without a path"},
		"an empty method":        {"rules:\n- {path: /a, methods: [''], access: deny}\n", `r.yaml:2: rule 1 (/a): methods: "" is not a method`},
		"two methods in one":     {"rules:\n- {path: /a, methods: ['GET POST'], access: deny}\n", `r.yaml:2: rule 1 (/a): methods: "GET POST" is not a method`},
		"no methods":             {"rules:\n- {path: /a, methods: [], access: deny}\n", "r.yaml:2: rule 1 (/a): methods: want a list that isn't empty"},
		"a pattern of ServeMux":  {"rules:\n- {route: '/{a', access: deny}\n", "r.yaml:2: rule 1 (/{a): parsing"},
		"a pattern of ours":      {"rules:\n- {path: /a, methods: [get], access: deny}\n", "r.yaml:2: rule 1 (get /a): the method is not in capital letters"},
		"a conflict":             {"rules:\n- {route: /a, access: deny}\n- {path: /a, access: user}\n", "r.yaml:3: rule 2 (/a): conflicts with r.yaml:2: rule 1 (/a)"},
		"a conflict, other case": {"ignore_case: true\nrules:\n- {route: /a, access: deny}\n- {path: /A, access: user}\n", "r.yaml:4: rule 2 (/A): conflicts with r.yaml:3: rule 1 (/a)"},
		"all at once": {"rules:\n- {route: /a, scopes: [a b, 1], x: y}\n- {route: /b//c, access: user}\n- {route: /c}\n",
			"r.yaml:2: rule 1 (/a): scopes: want text\nr.yaml:2: rule 1 (/a): scopes: \"a b\" is not a scope token\nr.yaml:2: rule 1 (/a): unknown key \"x\"\n" +
				"r.yaml:4: rule 3 (/c): want scopes, any_scope or access\nr.yaml:3: rule 2 (/b//c): no request can match: the path contains an empty segment"},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := routesfile.Parse("r.yaml", []byte(tt.file))
			require.Error(t, err)
			require.True(t, strings.HasPrefix(err.Error(), tt.want), "%v", err)
			require.Nil(t, table)
		})
	}
}

// If package yaml can't parse a file, the error contains no text of the file: the author may have
// written a secret there. In some files of this test, the secret has no quotes and follows a "*".
// Package yaml takes it for the name of an anchor, and names this anchor in its error.
func TestSyntaxMistakesContainNoText(t *testing.T) {
	const anchors = "r.yaml: anchors and aliases are not supported: quote text with a * at its start"
	for file, want := range map[string]string{
		"rules:\n- {route: *s3cret}\n":        anchors,
		"*s3cret\n":                           anchors,
		"rules: *s3cret-did-not-find\n":       anchors,
		"rules: []\n---\n*s3cret\n":           "r.yaml: more than one document",
		"rules: &s3cret []\n":                 "r.yaml:1: anchors and aliases are not supported",
		"rules: !s3cret []\n":                 "r.yaml:1: tags and merge keys are not supported",
		"rules: !s3cret!x []\n":               "r.yaml: found undefined tag handle",
		"%s3cret 1\n---\nrules: []\n":         "r.yaml: found unknown directive name",
		"rules: []\nx: \"\\s3cret\n":          "r.yaml:2: found unknown escape character",
		"rules: []\nx: @s3cret\n":             "r.yaml:2: found character that cannot start any token",
		"rules: []\ns3cret: s3cret: s3cret\n": "r.yaml:2: mapping values are not allowed in this context",
		"rules: []\n s3cret\n- s3cret\n":      "r.yaml:1: did not find expected key",
		"rules: [s3cret\x01]\n":               "r.yaml: control characters are not allowed",
		strings.Repeat("[", 10001):            "r.yaml: exceeded max depth of 10000",
		"\xff\xfes3cret\x00":                  "r.yaml: incomplete UTF-16 character",
	} {
		_, err := routesfile.Parse("r.yaml", []byte(file))
		require.EqualError(t, err, want, "%q", file)
	}
}

// yamlFile is a file of rules as package yaml decodes it, without the checks of package routesfile.
type yamlFile struct {
	IgnoreCase bool `yaml:"ignore_case"`
	Rules      []struct {
		Route, Path, Host, Access string
		Methods, Scopes           []string
		AnyScope                  []string `yaml:"any_scope"`
		Bound                     bool
	}
}

// yamlFile.expectedRule returns the rule that the table should contain for the rule with the index
// i in the file. It builds the access of this rule with functions of package xenaauth.
func (w yamlFile) expectedRule(i int) routes.Rule {
	r := w.Rules[i]
	var need []xenaauth.Requirement
	if r.Bound {
		need = append(need, xenaauth.BoundToken())
	}
	if len(r.Scopes) > 0 {
		need = append(need, xenaauth.AllScopes(r.Scopes...))
	}
	if len(r.AnyScope) > 0 {
		need = append(need, xenaauth.AnyScope(r.AnyScope...))
	}
	switch r.Access {
	case "user":
		need = append(need, xenaauth.AnyUser())
	case "optional":
		return routes.Rule{Access: routes.Optional()}
	case "public":
		return routes.Rule{Access: routes.Public()}
	case "deny":
		return routes.Rule{Access: routes.Deny()}
	}
	return routes.Rule{Access: routes.Require(xenaauth.AllOf(need...))}
}

func access(r routes.Rule) string {
	required, _ := r.Access.Requirement()
	return fmt.Sprint(r.Access.IsOptional(), r.Access.IsPublic(), r.Access.String() == "deny", " ",
		required.Alternatives(), required.Policies())
}

// FuzzParse parses any text as a file of rules. If Parse accepts the file, FuzzParse decodes the
// file with package yaml too, and asks Find for the rule of each route without wildcards and
// escapes. This rule must have the access that the decoded file gives to the route. If Parse refuses
// the file, there must be no table, and a line of the error must begin with the name of the file.
func FuzzParse(f *testing.F) {
	f.Add("rules:\n- route: GET /a\n  scopes: [a]\n")
	f.Add("rules:\n- {path: /a/b, methods: [GET, POST], scopes: [a, b], any_scope: [c, d]}\n- {route: /, access: deny}\n")
	f.Add("ignore_case: true\nrules:\n- {route: h.example/A, access: public}\n- {route: '/{x}/', access: optional}\n")
	f.Add("rules:\n- {route: /a, access: user, access: public}\n")
	f.Add("rules:\n- {route: /a, access: user, bound: true}\n- {route: /b, scopes: [a], bound: true}\n- {route: /c, any_scope: [a], bound: false}\n")
	f.Add("rules: []\nRules: [{route: /, access: public}]\n")
	f.Add("ignore_case: true\nrules: [{path: /, methods: [GET, PUT], host: h, access: user}, *x]")
	f.Add(`{"rules": [{"route": "/", "any_scope": ["a", "b"]}]}`)
	f.Fuzz(func(t *testing.T, file string) {
		table, err := routesfile.Parse("r.yaml", []byte(file))
		require.Equal(t, err == nil, table != nil)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.HasPrefix(line, "r.yaml:") {
					return
				}
			}
			t.Fatalf("no line names the file: %v", err)
		}
		var w yamlFile
		require.NoError(t, yaml.Unmarshal([]byte(file), &w))
		for i, rule := range w.Rules {
			want := w.expectedRule(i)
			methods, pattern := rule.Methods, rule.Host+rule.Path
			if rule.Route != "" {
				pattern = rule.Route
				if method, rest, ok := strings.Cut(rule.Route, " "); ok {
					methods, pattern = []string{method}, strings.TrimLeft(rest, " \t")
				}
			}
			slash := strings.IndexByte(pattern, '/')
			if slash < 0 || strings.ContainsAny(pattern, "{%") {
				continue
			}
			if len(methods) == 0 {
				methods = []string{"GET", "DELETE"}
			}
			for _, method := range methods {
				r := &http.Request{Method: method, Host: pattern[:slash], URL: &url.URL{Path: pattern[slash:]}}
				if r.Host == "" {
					r.Host = "any.example"
				}
				got, err := table.Find(r)
				if err != nil {
					// Find may refuse the request, for example because another rule matches its
					// path with a slash added: see docs/routes.md. Then there is nothing to
					// compare.
					continue
				}
				if ownSource := fmt.Sprintf(": rule %d", i+1); strings.HasSuffix(got.Source, ownSource) {
					require.Equal(t, access(want), access(got), "%s %s of %q", method, pattern, file)
				} else {
					// The test made the request for one rule of the file, but another rule of the
					// file decided. The path of the first rule has no wildcard, so no path is more
					// specific. So the rule that decided must take precedence because it names a
					// method or a host.
					require.True(t, got.Pattern[0] != '/', "%s %s is decided by %s of %q", method, pattern, got.Source, file)
				}
			}
		}
	})
}
