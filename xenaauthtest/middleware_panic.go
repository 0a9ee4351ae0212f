package xenaauthtest

import (
	"context"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// testPanickingCheck tests the response to a request if its policy or a hook panics. Other
// middleware may recover from the panic and write nothing. Then the status must not be 200, because
// a proxy would take 200 as permission.
func (s *middlewareSuite) testPanickingCheck(t *testing.T) {
	boom := &struct{ string }{"boom"}
	policy := xenaauth.Where("panics", func(context.Context, *xenaauth.User) error { panic(boom) })
	one := func(r xenaauth.Requirement) []xenaauth.Requirement { return []xenaauth.Requirement{r} }
	routes := []Guarded{
		{Method: http.MethodGet, Path: "/policy", Require: one(policy), Serve: greet},
		{Method: http.MethodGet, Path: "/group", Group: one(policy), Require: one(xenaauth.AnyUser()), Serve: greet},
		{Method: http.MethodGet, Path: "/scope", Require: one(xenaauth.AllScopes("a")), Serve: greet},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greet},
	}
	hook := func(http.ResponseWriter, *http.Request, *xenaauth.Error) { panic(boom) }
	m := s.start(t, xenaauth.Options{ErrorBody: hook}, routes)
	m.swallow = true
	bad, none := bearerToken("nonsense"), bearerToken(s.token())
	bare := func(a answer) answer { a.body = ""; return a }
	undecided := bare(outage("1"))
	for _, c := range []struct {
		name          string
		path          string
		authorization []string
		eventPanics   bool
		want          answer
	}{
		{"policy of a route", "/policy", none, false, undecided},
		{"policy of a group", "/group", none, false, undecided},
		{"ErrorBody, no token", "/scope", nil, false, bare(missing("a"))},
		{"ErrorBody, no scope", "/scope", none, false, bare(lacking("a"))},
		{"ErrorBody, Optional", "/optional", bad, false, bare(invalid("malformed_token", "The access token is malformed."))},
		{"Event, refused", "/scope", none, true, undecided},
		{"Event, allowed", "/scope", bearerToken(s.token("a")), true, undecided},
		{"Event, Optional", "/optional", nil, true, undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.during(t)
			m.reset()
			m.mu.Lock()
			m.inEvent = nil
			if c.eventPanics {
				m.inEvent = func() { panic(boom) }
			}
			m.mu.Unlock()
			resp, body, err := m.send(t.Context(), exchange{path: c.path, authorization: c.authorization})
			if err != nil {
				t.Fatal(err)
			}
			c.want.compare(t, http.MethodGet, resp, body)
			served, _, panicked := m.reset()
			if served != 0 {
				t.Error("the handler ran")
			}
			if panicked != boom {
				t.Errorf("the panic that comes out is %v, not that of the policy or hook", panicked)
			}
		})
	}
}
