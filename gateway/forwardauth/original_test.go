package forwardauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// Each proxy describes the original request in its own form: in X-Original fields, in X-Forwarded
// fields, or in the subrequest itself. The handler must refuse a subrequest if a part of this
// description is missing, repeated or malformed, or if another field contradicts it.
func TestOriginalRequest(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		method, host, uri := originalFieldNames(s.dialect)[0], originalFieldNames(s.dialect)[1], originalFieldNames(s.dialect)[2]
		type set = map[string][]string
		tests := []struct {
			name string
			// newFields contains header fields that the test writes into a subrequest. If the value
			// of a field is nil, the test removes the field. The subrequest describes this original
			// request: GET api.example.com/public/a.
			newFields set
		}{
			{"Forwarded", set{"Forwarded": {"host=api.example.com"}}},
			{"Forwarded, empty", set{"Forwarded": {""}}},
			{"the other family's URI", set{"X-Original-Uri": {"/public/b"}, "X-Forwarded-Uri": {"/public/a"}}},
			{"the other family's method", set{"X-Original-Method": {"GET"}, "X-Forwarded-Method": {"get"}}},
			{"the other family's host", set{"X-Original-Host": {"api.example.com"}, "X-Forwarded-Host": {"evil.example.com"}}},
			{"the other family's, empty", set{"X-Original-Uri": {""}, "X-Forwarded-Uri": {""}}},
			{"both, one of them twice", set{
				"X-Original-Host": {"api.example.com"}, "X-Forwarded-Host": {"api.example.com", "api.example.com"}}},
			{"a list of hosts", set{"X-Original-Host": {"api.example.com"}, "X-Forwarded-Host": {"api.example.com, b"}}},
			{"a list of hosts after a port", set{
				"X-Original-Host": {"api.example.com"}, "X-Forwarded-Host": {"api.example.com:443, b"}}},
			{"an override of the method", set{"X-Http-Method-Override": {"DELETE"}}},
		}
		if s.dialect != forwardauth.Envoy {
			for _, name := range []string{method, host, uri} {
				tests = append(tests, []struct {
					name      string
					newFields set
				}{
					{"no " + name, set{name: nil}},
					{"empty " + name, set{name: {""}}},
					{"two " + name, set{name: {"GET", "GET"}}},
					{"a list in " + name, set{name: {"GET, GET"}}},
					{"a list without space in " + name, set{name: {"a,b"}}},
				}...)
			}
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				r := s.subrequest("GET", "api.example.com", "/public/a", nil)
				for name, values := range test.newFields {
					if values == nil {
						r.Header.Del(name)
					} else {
						r.Header[name] = values
					}
				}
				wantRefused(t, s.serve(r), s.proxyStatus(400), xenaauth.ReasonAmbiguousTarget, `error="invalid_request"`)
			})
		}
		for _, bad := range []string{"", "GE T", "GET,POST", "GET\r\n", "G/T", "gét", "get", strings.Repeat("A", 65)} {
			t.Run(fmt.Sprintf("method %q", bad), func(t *testing.T) {
				w := s.ask(bad, "api.example.com", "/public/a", nil)
				wantRefused(t, w, s.proxyStatus(400), xenaauth.ReasonAmbiguousTarget, `error="invalid_request"`)
			})
		}
		for _, bad := range []string{"", "a b", "a,b", "a@b", "a/b", "http://a", "a#b", "a?b", "å", "a\x00", "a..b", "a.",
			"a:b", "[::1", strings.Repeat("a", 300)} {
			t.Run(fmt.Sprintf("host %q", bad), func(t *testing.T) {
				w := s.ask("GET", bad, "/public/a", nil)
				wantRefused(t, w, s.proxyStatus(400), xenaauth.ReasonAmbiguousTarget, `error="invalid_request"`)
			})
		}
	})
}

// Config.Find may be a function of the service. The handler must not call Find with an original
// request that is malformed.
func TestFindGetsWellFormedRequests(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		s = newTestHandler(t, s.dialect, nil, func(c *forwardauth.Config) {
			c.Find = func(*http.Request) (routes.Rule, error) {
				return routes.Rule{Pattern: "/", Access: routes.Public()}, nil
			}
		})
		wantAllowed(t, s.ask("GET", "api.example.com", "/a?b", nil), nobody)
		for _, bad := range [][3]string{
			{"", "a", "/"}, {"G T", "a", "/"}, {"GET,POST", "a", "/"}, {"GÉT", "a", "/"}, {strings.Repeat("A", 65), "a", "/"},
			{"GET", "", "/"}, {"GET", "a b", "/"}, {"GET", "a,b", "/"}, {"GET", "a@b", "/"}, {"GET", "a/b", "/"}, {"GET", "å", "/"},
			{"GET", "a#b", "/"}, {"GET", strings.Repeat("a", 263), "/"},
			{"GET", "a", ""}, {"GET", "a", "*"}, {"GET", "a", "b"}, {"GET", "a", "http://a/"}, {"GET", "a", "/b#c"},
			{"GET", "a", "/b c"}, {"GET", "a", "/å"}, {"GET", "a", "/b\x7f"}, {"GET", "a", "/b?c d"}, {"GET", "a", "/b?å"},
			{"GET", "a", "/b?c#d"}, {"GET", "a", "/b?" + strings.Repeat("c", 16<<10)}, {"GET", "a", "/%zz"},
		} {
			w := s.ask(bad[0], bad[1], bad[2], nil)
			if w.Code != s.proxyStatus(400) {
				t.Errorf("status %d for %.40q", w.Code, bad)
			}
		}
	})
}

// An original request with an ambiguous path is refused, even if the path begins with /public/ and
// a rule makes all paths with this beginning public.
func TestAmbiguousPaths(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		for _, uri := range []string{
			"", "*", "public/a", "http://api.example.com/public/a", "//api.example.com/public/a", "/public//a", "/public/../admin",
			"/public/./a", "/public/%2e%2e/admin", "/public/%2E./admin", "/public/..%2fadmin", "/public/a%2Fb", `/public/..\admin`,
			"/public/..%5cadmin", "/public/..;/admin", "/public/a;b=c", "/public/a%00", "/public/%zz", "/public/a%", "/public/a#b",
			"/public/a b", "/public/a\tb", "/public/a\x00", "/public/å", "/public/a\xff", "/public/%ff", "/public/..",
			"/public/" + strings.Repeat("a", 17<<10),
		} {
			t.Run(fmt.Sprintf("%.40q", uri), func(t *testing.T) {
				w := s.ask("GET", "api.example.com", uri, http.Header{"Authorization": {s.token("testapi")}})
				wantRefused(t, w, s.proxyStatus(400), xenaauth.ReasonAmbiguousTarget, `error="invalid_request"`)
			})
		}
	})
}

// A proxy describes the original request in X-Original fields, in X-Forwarded fields, or in the
// subrequest itself. A second proxy in front of this proxy may write further fields of these two
// groups. The handler allows these fields if they agree with the description.
func TestAgreeingFields(t *testing.T) {
	each(t, func(t *testing.T, s *testHandler) {
		wantAllowed(t, s.ask("GET", "api.example.com", "/public/a?b", http.Header{
			"X-Original-Method": {"GET"}, "X-Forwarded-Method": {"GET"},
			"X-Original-Uri": {"/public/a?b"}, "X-Forwarded-Uri": {"/public/a?b"},
			"X-Original-Host": {"api.example.com"}, "X-Forwarded-Host": {"API.example.com:443"},
			"X-Forwarded-For": {"192.0.2.1, 192.0.2.2"}, "X-Forwarded-Proto": {"https"},
		}), nobody)
		w := s.ask("GET", "[2001:db8::1]:443", "/public/a", http.Header{"X-Forwarded-Host": {"[2001:db8::1]:443"}})
		wantAllowed(t, w, nobody)
	})
}

func TestPathPrefix(t *testing.T) {
	s := newTestHandler(t, forwardauth.Envoy, nil, func(c *forwardauth.Config) { c.PathPrefix = "/ext/auth" })
	wantAllowed(t, s.ask("GET", "api.example.com", "/public/a", nil), nobody)
	for _, target := range []string{
		"/public/a", "/ext/auth", "/ext/authpublic/a", "/ext/auth../public/a", "/ext/auth//public/a", "/EXT/auth/public/a",
		"/ext/auth?/public/a", "http://a/ext/auth/public/a", "", "/ext/auth/public/../a",
	} {
		r := s.subrequest("GET", "api.example.com", "", nil)
		r.RequestURI = target
		wantRefused(t, s.serve(r), 400, xenaauth.ReasonAmbiguousTarget, `error="invalid_request"`)
	}
}
