package xenaauthtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// testOptions tests that the responses to refused requests obey the fields of xenaauth.Options,
// such as Realm and ErrorBody.
func (s *middlewareSuite) testOptions(t *testing.T) {
	routes := []Guarded{
		{Method: http.MethodGet, Path: "/", Require: []xenaauth.Requirement{xenaauth.AllScopes("a")}, Serve: greetUser},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greetUser},
	}
	told := func(a answer, body string) answer {
		a.challenge = strings.Replace(a.challenge, `"xena"`, `"books"`, 1)
		if a.challenge != "" {
			a.challenge += `, resource_metadata="https://api.example/meta"`
		}
		a.body = body
		return a
	}
	opts := xenaauth.Options{
		Realm:            "books",
		ResourceMetadata: "https://api.example/meta",
		ErrorBody: func(w http.ResponseWriter, _ *http.Request, e *xenaauth.Error) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = fmt.Fprint(w, "no: "+string(e.Reason))
		},
	}
	bad := invalidAnswer("malformed_token", "The access token is malformed.")
	s.run(t, s.start(t, opts, routes), []exchange{
		{name: "ErrorBody, no token", path: "/", want: told(noTokenAnswer("a"), "no: missing_token")},
		{name: "ErrorBody, no scope", path: "/", authorization: bearerToken(s.token()), want: told(noScopeAnswer("a"), "no: insufficient_scope")},
		{name: "ErrorBody, outage", path: "/", authorization: bearerToken(tokenForeign), want: told(outageAnswer("1"), "no: unavailable")},
		{name: "ErrorBody, Optional", path: "/optional", authorization: bearerToken("nonsense"), want: told(bad, "no: malformed_token")},
	})
	s.run(t, s.start(t, xenaauth.Options{Realm: "books", ResourceMetadata: "https://api.example/meta", EmptyBody: true}, routes), []exchange{
		{name: "EmptyBody, no token", path: "/", want: told(noTokenAnswer("a"), "")},
		{name: "EmptyBody, no scope", path: "/", authorization: bearerToken(s.token()), want: told(noScopeAnswer("a"), "")},
		{name: "EmptyBody, Optional", path: "/optional", authorization: bearerToken("nonsense"), want: told(bad, "")},
	})
	typed := func(a answer, reason string) answer {
		a.body = `{"type":"https://api.example/problems#` + reason + `",` + strings.TrimPrefix(a.body, "{")
		return a
	}
	s.run(t, s.start(t, xenaauth.Options{ProblemTypes: "https://api.example/problems#"}, routes), []exchange{
		{name: "ProblemTypes, no token", path: "/", want: typed(noTokenAnswer("a"), "missing_token")},
		{name: "ProblemTypes, no scope", path: "/", authorization: bearerToken(s.token()), want: typed(noScopeAnswer("a"), "insufficient_scope")},
		{name: "ProblemTypes, outage", path: "/", authorization: bearerToken(tokenForeign), want: typed(outageAnswer("1"), "unavailable")},
		{name: "ProblemTypes, Optional", path: "/optional", authorization: bearerToken("nonsense"), want: typed(bad, "malformed_token")},
	})
}

// testUsers tests that a handler always gets the user of the token.
func (s *middlewareSuite) testUsers(t *testing.T) {
	all := func(scope string) []xenaauth.Requirement {
		return []xenaauth.Requirement{xenaauth.AllScopes(scope)}
	}
	m := s.start(t, xenaauth.Options{}, []Guarded{
		{Method: http.MethodGet, Path: "/guarded", Require: all("a"), Serve: greetUser},
		{Method: http.MethodGet, Path: "/nested", Group: all("a"), Require: all("b"), Serve: greetUser},
		{Method: http.MethodGet, Path: "/nested-optional", Group: all("a"), Optional: true, Serve: greetUser},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greetUser},
	})
	anonymous := answer{status: http.StatusOK, body: "hello ", hasVary: true}
	known := passedAnswer("ann")
	known.hasVary = true
	bad := invalidAnswer("malformed_token", "The access token is malformed.")
	a, ab := bearerToken(s.token("a")), bearerToken(s.token("a", "b"))
	s.run(t, m, []exchange{
		{name: "planted user, no token", path: "/guarded", plantUser: true, want: noTokenAnswer("a")},
		{name: "planted user, bad token", path: "/guarded", plantUser: true, authorization: bearerToken("nonsense"), want: bad.withScope("a")},
		{name: "planted user, token of another", path: "/guarded", plantUser: true, authorization: a, want: passedAnswer("ann")},
		{name: "planted user, nested", path: "/nested", plantUser: true, want: noTokenAnswer("a")},
		{name: "planted user, Optional", path: "/optional", plantUser: true, want: anonymous},
		{name: "nested, no token", path: "/nested", want: noTokenAnswer("a")},
		{name: "nested, outer scope only", path: "/nested", authorization: a, want: noScopeAnswer("b")},
		{name: "nested, inner scope only", path: "/nested", authorization: bearerToken(s.token("b")), want: noScopeAnswer("a")},
		{name: "nested, validated once", path: "/nested", authorization: ab, want: passedAnswer("ann")},
		{name: "Optional within a group, no token", path: "/nested-optional", want: noTokenAnswer("a")},
		{name: "Optional within a group, validated once", path: "/nested-optional", authorization: a, want: passedAnswer("ann")},
		{name: "Optional, token", path: "/optional", authorization: a, want: known},
		{name: "Optional, no token after a token", path: "/optional", want: anonymous},
		{name: "Optional, another scheme", path: "/optional", authorization: []string{"Basic YTpi"}, want: anonymous},
		{name: "Optional, bad token", path: "/optional", authorization: bearerToken("nonsense"), want: bad},
		{name: "Optional, the field twice", path: "/optional", authorization: []string{a[0], a[0]}, want: malformedAnswer()},
		{name: "Optional, outage", path: "/optional", authorization: bearerToken(tokenOutage), want: outageAnswer("90")},
	})
	t.Run("many at once", func(t *testing.T) { s.testManyAtOnce(t, m) })
}

// testManyAtOnce sends requests of several users at the same time. A framework may use one context
// object for several requests, but it must not mix up their users.
func (s *middlewareSuite) testManyAtOnce(t *testing.T, m *guardedServer) {
	m.reportErrorsTo(t)
	ctx := t.Context()
	var users sync.WaitGroup
	for i := range 8 {
		subject := fmt.Sprintf("user%d", i)
		authorization := bearerToken(s.tokenOf(subject, "a", "b"))
		if i == 0 {
			subject, authorization = "", nil
		}
		users.Go(func() {
			for range 20 {
				resp, body, err := m.send(ctx, exchange{path: "/optional", authorization: authorization})
				if err != nil {
					t.Errorf("user %q: %v", subject, err)
					return
				}
				if resp.StatusCode != http.StatusOK || body != "hello "+subject {
					t.Errorf("user %q was answered %d %q", subject, resp.StatusCode, body)
					return
				}
			}
		})
	}
	users.Wait()
}

// testWiring tests that the constructor of a guard panics if it is called wrongly. The guard must
// not panic later, when a request arrives.
func (s *middlewareSuite) testWiring(t *testing.T) {
	cfg := s.issuer.Config()
	cfg.Audiences, cfg.AllowAnyAudience = nil, true
	anyAudience, err := xenaauth.NewValidator(cfg)
	if err != nil {
		t.Fatalf("NewValidator: %v", err)
	}
	one := func(rs ...xenaauth.Requirement) []xenaauth.Requirement { return rs }
	for _, c := range []struct {
		name      string
		validator xenaauth.TokenValidator
		route     Guarded
		panics    bool
	}{
		{"no Requirement", s.validator, Guarded{}, true},
		{"a zero Requirement", s.validator, Guarded{Require: one(xenaauth.AnyUser(), xenaauth.Requirement{})}, true},
		{"a zero Requirement of a group", s.validator, Guarded{Group: one(xenaauth.Requirement{})}, true},
		{"any audience without a requirement", anyAudience, Guarded{}, true},
		{"any audience without a scope", anyAudience, Guarded{Require: one(xenaauth.AnyUser())}, true},
		{"any audience, Optional", anyAudience, Guarded{Optional: true}, true},
		{"any audience with a scope", anyAudience, Guarded{Require: one(xenaauth.AllScopes("a"))}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if v := recover(); (v != nil) != c.panics {
					t.Errorf("mounting panicked with %v, want a panic: %t", v, c.panics)
				}
			}()
			c.route.Method, c.route.Path, c.route.Serve = http.MethodGet, "/", greetUser
			s.mount(xenaauth.NewMiddleware(c.validator, nil), []Guarded{c.route})
		})
	}
	t.Run("requirements are copied", func(t *testing.T) {
		rs := one(xenaauth.AllScopes("a"))
		m := s.start(t, xenaauth.Options{}, []Guarded{{Method: http.MethodGet, Path: "/", Require: rs, Serve: greetUser}})
		rs[0] = xenaauth.AnyUser()
		s.run(t, m, []exchange{{name: "changed", path: "/", authorization: bearerToken(s.token()), want: noScopeAnswer("a")}})
	})
}
