package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// FuzzOriginal sends random subrequests. For each subrequest, the handler must do one of two
// things. It refuses the subrequest, or it decides about exactly the original request that the
// subrequest describes.
func FuzzOriginal(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "api.example.com", "/orders/1?a=b", ""}, {"GET", "a", "/a/../b", "x"}, {"get", "[::1]:8", "//a", "\n"},
		{"GET", "a,b", "/%2e%2e/a", "GET"}, {"", "", "", ""}, {"GET", "a", "*", "/a"}, {"CONNECT", "a:1", "a:1", "a:1"},
		{"GET", "a", "http://b/c", "a"}, {"GET", "a", "/a#b", "a"}, {"GET", "a", "/%00\\;", "a"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	type asked struct{ method, host, uri, requestURI string }
	var seen *asked
	sites := make([]*testHandler, len(dialects))
	for k, d := range dialects {
		sites[k] = newTestHandler(f, d, nil, func(c *forwardauth.Config) {
			c.Find = func(r *http.Request) (routes.Rule, error) {
				seen = &asked{r.Method, r.Host, r.URL.RequestURI(), r.RequestURI}
				if !strings.HasPrefix(r.URL.Path, "/") || r.URL.Host != "" || r.URL.Scheme != "" || r.URL.Opaque != "" ||
					r.URL.User != nil || r.URL.Fragment != "" {
					panic("a target that is no path: " + r.URL.String())
				}
				return routes.Rule{Pattern: "/", Access: routes.Public()}, nil
			}
		})
	}
	f.Fuzz(func(t *testing.T, method, host, uri, other string) {
		for _, s := range sites {
			for _, header := range []http.Header{
				nil, {"X-Original-Uri": {other}, "X-Forwarded-Uri": {uri}}, {"X-Original-Host": {host}, "X-Forwarded-Host": {other}},
				{"X-Original-Method": {method}, "X-Forwarded-Method": {method, other}},
			} {
				seen = nil
				r := s.subrequest(method, host, uri, header)
				method, host := method, host
				// The fuzzer's header fields may have replaced the fields that describe the
				// original request. So read the description again.
				if s.dialect != forwardauth.Envoy {
					method, host = r.Header[originalFieldNames(s.dialect)[0]][0], r.Header[originalFieldNames(s.dialect)[1]][0]
				}
				w := s.serve(r)
				switch {
				case w.Code == 200 && seen != nil:
				case w.Code == s.proxyStatus(400) && seen == nil:
					continue
				default:
					t.Fatalf("%s: status %d, asked %v", s.dialect, w.Code, seen)
				}
				if seen.method != method || seen.host != host || seen.requestURI != uri {
					t.Fatalf("%s: %q %q %q became %q", s.dialect, method, host, uri, *seen)
				}
				if len(header["X-Forwarded-Method"]) > 1 || header["X-Original-Uri"] != nil && other != uri {
					t.Fatalf("%s: a contradiction passes: %q", s.dialect, header)
				}
			}
		}
	})
}
