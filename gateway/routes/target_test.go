package routes_test

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// newRequest returns the request that net/http gives to a handler if a client sends requestLine,
// for example "GET /a", and the lines of the header in headerLines.
func newRequest(t testing.TB, requestLine string, headerLines ...string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
		requestLine + " HTTP/1.1\r\nHost: api.example\r\n" + strings.Join(append(headerLines, "\r\n"), "\r\n"))))
	require.NoError(t, err)
	return r
}

// tableForAllPaths returns a table with a single rule, which matches every path.
func tableForAllPaths(t testing.TB) *routes.Table {
	t.Helper()
	table, err := routes.New([]routes.Rule{{Pattern: "/", Access: routes.Public()}}, nil)
	require.NoError(t, err)
	return table
}

func whyNot(err error) xenaauth.Reason {
	if e, ok := errors.AsType[*xenaauth.Error](err); ok {
		return e.Reason
	}
	return ""
}

// If two upstreams would read a target differently, the target is refused, even if a rule matches
// every path.
func TestAmbiguousTargets(t *testing.T) {
	table := tableForAllPaths(t)
	for why, lines := range map[string][]string{
		"dot segments": {"GET /a/../b", "GET /a/./b", "GET /..", "GET /a/..", "GET /.", "GET /a/%2e%2e/b", "GET /a/%2E./b",
			"GET /%2e", "GET /a/.%2e"},
		"escaped slash": {"GET /a%2fb", "GET /a%2Fb", "GET /%2F", "GET /a/%2f"},
		"backslash":     {`GET /a\b`, "GET /a%5cb", "GET /a%5Cb", `GET /\..\b`},
		"empty segment": {"GET //", "GET //a", "GET /a//b", "GET /a//", "GET //api.example/a", "GET ///a"},
		"parameters":    {"GET /a;b", "GET /a;", "GET /;a/b", "GET /a%3bb", "GET /a%3Bb"},
		"control": {"GET /a%00", "GET /a%00.html", "GET /a%0a", "GET /a%0d%0aX:%20y", "GET /a%1f", "GET /a%7f", "GET /a%09b",
			"GET /a%C2%85", "GET /a%C2%81b"},
		"double encoding": {"GET /a%252fb", "GET /%2561", "GET /a%25", "GET /100%25"},
		"dot or space":    {"GET /a.", "GET /a./b", "GET /a%20", "GET /a%20/b", "GET /a%20.", "GET /a...", "GET /a%C2%A0/b", "GET /a%C2%A0"},
		"a leading space": {"GET /%20admin", "GET /a/%20b", "GET /a/%20%20b/c", "GET /%C2%A0admin", "GET /a/%E3%80%80b",
			"GET /%E2%80%83a", "GET /%E1%9A%80a", "GET /%E2%80%AFa", "GET /a/%20", "GET /%C2%85a", "GET /%09a", "GET /%0Ba"},
		"cookieless": {"GET /(S(x))/admin", "GET /a/(S(x))", "GET /(s(x))/admin", "GET /(A(x))/b", "GET /(F(x))/b", "GET /(X(1))/b",
			"GET /(A(x)S(y)F(z))/b", "GET /%28S%28x%29%29/admin", "GET /(%53(x))/b", "GET /%28s(x))/b", "GET /a/(S(x))b/c",
			"GET /(S(x))/(S(y))/b", "GET /(S(", "GET /(Z()", "GET /prot/(S(X))ected"},
		"streams": {"GET /admin::$DATA", "GET /a/b::$data", "GET /admin:$I30:$INDEX_ALLOCATION/x", "GET /a::%24DATA", "GET /a%3A$x"},
		"encoding": {"GET /a%ff", "GET /a%c0%ae", "GET /a%c0%af", "GET /%ed%a0%80", "GET /a%e3%81", "GET /a\xff", "GET /\xc3\xa6",
			"GET /a\x80"},
		"delimiters": {"GET /a#b", "GET /a%23b", "GET /a%3fb", "GET /a%3Fb=c"},
		"lookalikes": {"GET /a%EF%BC%8Fb", "GET /%EF%BC%8E%EF%BC%8E/b", "GET /a%E2%88%95b", "GET /a%E2%80%A5b", "GET /a%CD%BEb",
			"GET /a%C2%A5b", "GET /a%EF%B9%A8b"},
		"invisible": {"GET /a%E2%80%8Bb", "GET /a%C2%ADb", "GET /%EF%BB%BFa", "GET /a%E2%80%AEb", "GET /a%E2%80%A8b",
			"GET /a%CD%8F", "GET /a%EF%B8%8F", "GET /a%E1%85%9F", "GET /a%E3%85%A4", "GET /a%F3%A0%84%80"},
		"form": {"GET http://api.example/a", "GET http://other.example/a", "GET https://api.example/a", "CONNECT api.example:443",
			"GET *", "POST *", "GET mailto:a"},
		"method": {"get /a", "Get /a", "GeT /a", "post /a"},
		"length": {"GET /" + strings.Repeat("a", 8<<10), "GET /" + strings.Repeat("%61", 3000)},
	} {
		t.Run(why, func(t *testing.T) {
			for _, line := range lines {
				_, err := table.Find(newRequest(t, line))
				require.Equal(t, xenaauth.ReasonAmbiguousTarget, whyNot(err), "%q", line)
			}
		})
	}
}

func TestPlainTargets(t *testing.T) {
	table := tableForAllPaths(t)
	for _, line := range []string{
		"GET /", "GET /a", "GET /a/", "GET /a/b.c", "GET /.well-known/a", "GET /a..b", "GET /...a", "GET /a%20b/c",
		"GET /f%C3%B8lsom/%E6%97%A5", "GET /a:b@c!$&'()*+,=~-_", "GET /a%26b", "GET /a?b=../c//d%2f;e%00", "GET /a?#",
		// A space inside a segment is allowed. Find refuses only a space at the beginning or end of
		// a segment.
		"GET /a%20b", "GET /a/b%20c%20d/e", "GET /a%C2%A0b",
		// Find accepts paths that contain parentheses, ":" or "$", because OData, FHIR and other
		// APIs use such paths.
		"GET /Products(1)", "GET /Products(Name='S(x)')/Rating", "GET /(a)/b", "GET /(5(x))", "GET /((a))", "GET /a(S(x))b",
		"GET /v1/x:verb", "GET /Patient/$everything", "GET /a:b:c", "GET /$batch", "GET /a::b", "GET /a$:b",
		// Letters beyond ASCII are allowed in paths.
		"GET /%C3%85se/%C3%A9t%C3%A9/na%C3%AFve", "GET /%E2%91%A0/n%C2%BA/m%C2%B2", "GET /%D0%B0%D0%B4%D0%BC%D0%B8%D0%BD",
		// Find accepts these targets, although some servers understand them in two ways. Find can't
		// know these servers: docs/routes.md describes the risk.
		"GET /index.php/admin", "GET /admin.json", "GET /PROGRA~1",
		`GET /{a}|"^`, "GET /%61b", "GET /~a", "GET /%7ea", "M-SEARCH /a", "OPTIONS /a", "X /a",
		"GET /" + strings.Repeat("a", 8<<10-1),
	} {
		_, err := table.Find(newRequest(t, line))
		require.NoError(t, err, line)
	}
	_, err := table.Find(newRequest(t, "OPTIONS *"))
	require.Equal(t, xenaauth.ReasonNoRule, whyNot(err))
}

// The requests of this test were made by a program, so no server of net/http has checked them.
func TestHandmadeTargets(t *testing.T) {
	table := tableForAllPaths(t)
	for name, tt := range map[string]struct {
		r    http.Request
		want xenaauth.Reason
	}{
		"nothing":              {http.Request{}, xenaauth.ReasonAmbiguousTarget},
		"no URL":               {http.Request{Method: "GET"}, xenaauth.ReasonAmbiguousTarget},
		"no method":            {http.Request{URL: &url.URL{Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"a path":               {http.Request{Method: "GET", URL: &url.URL{Path: "/a"}}, ""},
		"no path":              {http.Request{Method: "GET", URL: &url.URL{}}, xenaauth.ReasonAmbiguousTarget},
		"a path without slash": {http.Request{Method: "GET", URL: &url.URL{Path: "a"}}, xenaauth.ReasonAmbiguousTarget},
		"a raw path":           {http.Request{Method: "GET", URL: &url.URL{Path: "/æ", RawPath: "/%c3%a6"}}, ""},
		"another raw path":     {http.Request{Method: "GET", URL: &url.URL{Path: "/a", RawPath: "/b"}}, xenaauth.ReasonAmbiguousTarget},
		"a longer raw path":    {http.Request{Method: "GET", URL: &url.URL{Path: "/a", RawPath: "/ab"}}, xenaauth.ReasonAmbiguousTarget},
		"a shorter raw path":   {http.Request{Method: "GET", URL: &url.URL{Path: "/ab", RawPath: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"a cut escape":         {http.Request{Method: "GET", URL: &url.URL{Path: "/a", RawPath: "/%6"}}, xenaauth.ReasonAmbiguousTarget},
		"no first hex digit":   {http.Request{Method: "GET", URL: &url.URL{Path: "/A", RawPath: "/%$1"}}, xenaauth.ReasonAmbiguousTarget},
		"no second hex digit":  {http.Request{Method: "GET", URL: &url.URL{Path: "/P", RawPath: "/%4g"}}, xenaauth.ReasonAmbiguousTarget},
		"an invalid escape":    {http.Request{Method: "GET", URL: &url.URL{Path: "/%zz", RawPath: "/%zz"}}, xenaauth.ReasonAmbiguousTarget},
		"a raw space":          {http.Request{Method: "GET", URL: &url.URL{Path: "/a b", RawPath: "/a b"}}, xenaauth.ReasonAmbiguousTarget},
		"raw bytes":            {http.Request{Method: "GET", URL: &url.URL{Path: "/æ", RawPath: "/æ"}}, xenaauth.ReasonAmbiguousTarget},
		"a space in a method":  {http.Request{Method: " GET", URL: &url.URL{Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"a line in a method":   {http.Request{Method: "GET\n", URL: &url.URL{Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"its own host":         {http.Request{Method: "GET", Host: "h", URL: &url.URL{Scheme: "http", Host: "h", Path: "/a"}}, ""},
		"another host":         {http.Request{Method: "GET", Host: "h", URL: &url.URL{Host: "g", Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"a password":           {http.Request{Method: "GET", URL: &url.URL{User: url.User("u"), Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"a fragment":           {http.Request{Method: "GET", URL: &url.URL{Path: "/a", Fragment: "b"}}, xenaauth.ReasonAmbiguousTarget},
		"an opaque target":     {http.Request{Method: "GET", URL: &url.URL{Opaque: "//h/a", Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"an authority":         {http.Request{Method: "GET", RequestURI: "h:1", URL: &url.URL{Path: "/a"}}, xenaauth.ReasonAmbiguousTarget},
		"another star":         {http.Request{Method: "GET", URL: &url.URL{Path: "*"}}, xenaauth.ReasonAmbiguousTarget},
		"a star":               {http.Request{Method: "OPTIONS", URL: &url.URL{Path: "*"}}, xenaauth.ReasonNoRule},
		"a long path":          {http.Request{Method: "GET", URL: &url.URL{Path: "/" + strings.Repeat("a", 8<<10)}}, xenaauth.ReasonAmbiguousTarget},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := table.Find(&tt.r)
			require.Equal(t, tt.want, whyNot(err), "%v", err)
		})
	}
}

func TestHosts(t *testing.T) {
	table, err := routes.New([]routes.Rule{
		{Pattern: "API.example/", Access: routes.Deny(), Source: "name"},
		{Pattern: "[2001:DB8:0::1]/", Access: routes.Deny(), Source: "address"},
		{Pattern: "/", Access: routes.Deny(), Source: "others"},
	}, nil)
	require.NoError(t, err)
	for host, want := range map[string]string{
		"api.example": "name", "API.EXAMPLE": "name", "api.example:8080": "name", "Api.Example:1": "name",
		"[2001:db8::1]": "address", "[2001:DB8::1]:443": "address", "[2001:db8:0:0::1]": "address",
		"xapi.example": "others", "api.example.org": "others", "192.0.2.1:80": "others", "my_service": "others", "[::1]": "others",
	} {
		rule, err := table.Find(&http.Request{Method: "GET", Host: host, URL: &url.URL{Path: "/a"}})
		require.NoError(t, err, host)
		require.Equal(t, want, rule.Source, host)
	}
	ambiguous := []string{
		"api.example.", "api.example.:80", ".api.example", "api..example", ".", "user@api.example", "api.example,evil.example",
		"api.example:", "api.example:x", "api.example:80:80", "api.example:800000", "api%2eexample", "api.example/", "api example",
		"æ.example", "2001:db8::1", "[2001:db8::1", "[2001:db8::1]x", "[fe80::1%25eth0]", "[192.0.2.1]", "[]", "\x00",
		"\u212a.example", strings.Repeat("a", 254), ":80",
	}
	for _, host := range ambiguous {
		r := &http.Request{Method: "GET", Host: host, URL: &url.URL{Path: "/a"}}
		_, err := table.Find(r)
		require.Equal(t, xenaauth.ReasonAmbiguousTarget, whyNot(err), "%q", host)
		_, err = tableForAllPaths(t).Find(r)
		require.Equal(t, xenaauth.ReasonAmbiguousTarget, whyNot(err), "%q, no rule names a host", host)
	}
	r := &http.Request{Method: "GET", URL: &url.URL{Path: "/a"}}
	_, err = table.Find(r)
	require.Equal(t, xenaauth.ReasonAmbiguousTarget, whyNot(err), "without a host, the upstream chooses one of its own")
	_, err = tableForAllPaths(t).Find(r)
	require.NoError(t, err)
}

func TestMethodOverride(t *testing.T) {
	table := tableForAllPaths(t)
	for field, want := range map[string]xenaauth.Reason{
		"X-HTTP-Method-Override: DELETE":                                xenaauth.ReasonAmbiguousTarget,
		"X-Http-Method: DELETE":                                         xenaauth.ReasonAmbiguousTarget,
		"x-method-override: DELETE":                                     xenaauth.ReasonAmbiguousTarget,
		"X_HTTP_METHOD_OVERRIDE: DELETE":                                xenaauth.ReasonAmbiguousTarget,
		"X.Http-Method_Override: DELETE":                                xenaauth.ReasonAmbiguousTarget,
		"X!HTTP!Method~Override: DELETE":                                xenaauth.ReasonAmbiguousTarget,
		"X-HTTP-Method-Override:":                                       xenaauth.ReasonAmbiguousTarget,
		"X-HTTP-Method: POST\r\nX-HTTP-Method: DELETE":                  xenaauth.ReasonAmbiguousTarget,
		"X-HTTP-Method-Override: POST, DELETE":                          xenaauth.ReasonAmbiguousTarget,
		"X-HTTP-Method-Override: post":                                  "",
		"X-HTTP-Method: POST\r\nX-Method-Override: POST\r\nAccept: b/c": "",
		"X-HTTP-Methods: DELETE":                                        "",
	} {
		_, err := table.Find(newRequest(t, "POST /a", field))
		require.Equal(t, want, whyNot(err), field)
	}
}

// FuzzTarget checks the targets that Find accepts: all servers must understand such a target in the
// same way. It also checks that Find never panics.
func FuzzTarget(f *testing.F) {
	for _, path := range []string{"/a", "/a/../b", "/%61", "/a%2fb", "//a", "/a;b", "/%25", "/\u212a", "/ſ", "http://h/p", "*", "/a.", "/æ/",
		"/%20a", "/a/%c2%a0b", "/(S(x))/a", "/a::$DATA"} {
		f.Add("GET", "api.example", path, false)
		f.Add("get", "api.example.", path, true)
	}
	rules := []routes.Rule{
		{Pattern: "/", Access: routes.Public(), Source: "rest"},
		{Pattern: "/admin/", Access: routes.Deny(), Source: "admin"}, {Pattern: "/admin", Access: routes.Deny(), Source: "admin"},
		{Pattern: "GET api.example/x/{y}/{$}", Access: routes.Deny()},
	}
	exact, err := routes.New(rules, nil)
	require.NoError(f, err)
	folded, err := routes.New(rules, &routes.Options{IgnoreCase: true})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, method, host, uri string, made bool) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			u = &url.URL{Path: uri}
		}
		r := &http.Request{Method: method, Host: host, URL: u}
		if !made {
			r.RequestURI = uri
		}
		rule, err := exact.Find(r)
		if err != nil {
			require.Contains(t, []xenaauth.Reason{xenaauth.ReasonAmbiguousTarget, xenaauth.ReasonNoRule}, whyNot(err))
			return
		}
		path := u.Path
		for _, hidden := range []string{"%2f", "%5c", "%25", "%00"} {
			require.NotContains(t, strings.ToLower(u.EscapedPath()), hidden)
		}
		require.False(t, strings.ContainsAny(path, "\\;%?#\x00"), path)
		require.NotContains(t, path, ":$")
		for segment := range strings.SplitSeq(path, "/") {
			require.Equal(t, strings.TrimSpace(segment), segment, "trimming changes nothing")
			require.NotRegexp(t, `^\([A-Za-z]\(`, segment)
		}
		again, err := url.PathUnescape(path)
		require.NoError(t, err)
		require.Equal(t, path, again, "decoding twice changes nothing")
		cleaned, err := url.JoinPath("http://h", u.EscapedPath())
		require.NoError(t, err)
		joined, err := url.Parse(cleaned)
		require.NoError(t, err)
		require.Equal(t, path, joined.Path, "cleaning changes nothing")
		require.Equal(t, path == "/admin" || strings.HasPrefix(path, "/admin/"), rule.Source == "admin", path)
		if rule, err = folded.Find(r); err == nil && rule.Source == "rest" {
			require.False(t, strings.HasPrefix(strings.ToLower(path)+"/", "/admin/"), path)
			require.False(t, strings.HasPrefix(strings.ToUpper(path)+"/", "/ADMIN/"), path)
			require.False(t, len(path) > 5 && strings.EqualFold(path[:6], "/admin") && (len(path) == 6 || path[6] == '/'), path)
		}
	})
}

func BenchmarkRoutesFind(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		var rules []routes.Rule
		for i := range n {
			rules = append(rules, routes.Rule{Pattern: "GET /Api/Area" + number(i%100) + "/{id}/Thing" + number(i), Access: routes.Public()})
		}
		for name, ignoreCase := range map[string]bool{"exact": false, "ignore case": true} {
			table, err := routes.New(rules, &routes.Options{IgnoreCase: ignoreCase})
			require.NoError(b, err)
			r := httptest.NewRequest("GET", "/Api/Area"+number((n-1)%100)+"/104711/Thing"+number(n-1), nil)
			b.Run(number(n)+" rules "+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := table.Find(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
