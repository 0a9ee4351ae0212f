package xenaauthtest

import (
	"context"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
)

// testPanickingCheck tests the response to a request if its policy or a hook panics. Other
// middleware may recover from the panic and write nothing. Even then the status must not be 200,
// because a proxy would take 200 as permission.
func (s *middlewareSuite) testPanickingCheck(t *testing.T) {
	boom := &struct{ string }{"boom"}
	policy := xenaauth.Where("panics", func(context.Context, *xenaauth.User) error { panic(boom) })
	one := func(r xenaauth.Requirement) []xenaauth.Requirement { return []xenaauth.Requirement{r} }
	routes := []Guarded{
		{Method: http.MethodGet, Path: "/policy", Require: one(policy), Serve: greetUser},
		{Method: http.MethodGet, Path: "/group", Group: one(policy), Require: one(xenaauth.AnyUser()), Serve: greetUser},
		{Method: http.MethodGet, Path: "/scope", Require: one(xenaauth.AllScopes("a")), Serve: greetUser},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greetUser},
	}
	hook := func(http.ResponseWriter, *http.Request, *xenaauth.Error) { panic(boom) }
	m := s.start(t, xenaauth.Options{ErrorBody: hook}, routes)
	m.swallowPanics = true
	bad, none := bearerToken("nonsense"), bearerToken(s.token())
	bare := func(a answer) answer { a.body = ""; return a }
	undecided := bare(outageAnswer("1"))
	for _, c := range []struct {
		name          string
		path          string
		authorization []string
		eventPanics   bool
		want          answer
	}{
		{"policy of a route", "/policy", none, false, undecided},
		{"policy of a group", "/group", none, false, undecided},
		{"ErrorBody, no token", "/scope", nil, false, bare(noTokenAnswer("a"))},
		{"ErrorBody, no scope", "/scope", none, false, bare(noScopeAnswer("a"))},
		{"ErrorBody, Optional", "/optional", bad, false, bare(invalidAnswer("malformed_token", "The access token is malformed."))},
		{"Event, refused", "/scope", none, true, undecided},
		{"Event, allowed", "/scope", bearerToken(s.token("a")), true, undecided},
		{"Event, Optional", "/optional", nil, true, undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.reportErrorsTo(t)
			m.reset()
			m.mu.Lock()
			m.eventHook = nil
			if c.eventPanics {
				m.eventHook = func() { panic(boom) }
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

// panickingProof is a proof of possession whose method Respond panics.
type panickingProof struct{ *dpop.Proof }

func (panickingProof) Respond(http.Header, *http.Request, error) { panic("boom") }

// testPanickingProof tests the responses if the method Respond of a proof panics. A refusal keeps
// its status. A request that would pass gets 503, and its handler does not run.
func (s *middlewareSuite) testPanickingProof(t *testing.T) {
	a := []xenaauth.Requirement{xenaauth.AllScopes("a")}
	m := s.startTLS(t, xenaauth.Options{Proofs: []xenaauth.Proof{panickingProof{newProof(t, dpop.Config{})}}}, []Guarded{
		{Method: http.MethodGet, Path: "/", Require: a, Serve: greetUser},
		{Method: http.MethodGet, Path: "/optional", Optional: true, Serve: greetUser},
	})
	m.swallowPanics = true
	client := NewDPoPClient(nil)
	bound := s.boundToken(client)
	client.Token = bound
	for _, c := range []struct {
		name, path, authorization string
		status, challenges        int
	}{
		{"no token", "/", "", 401, 2},
		{"bound, as Bearer", "/", "Bearer " + bound, 401, 2},
		{"no scope", "/", "Bearer " + s.token("b"), 403, 2},
		{"bad token, Optional", "/optional", "Bearer nonsense", 401, 2},
		{"bound, with the key", "/", "DPoP " + bound, 503, 0},
		{"bound, Optional", "/optional", "DPoP " + bound, 503, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.reportErrorsTo(t)
			m.reset()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.authorization != "" {
				req.Header.Set("Authorization", c.authorization)
			}
			req.Host = "api.example"
			req.Header.Set("DPoP", client.Proof(http.MethodGet, publicOrigin+c.path))
			resp, err := m.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			served, _, _ := m.reset()
			if resp.StatusCode != c.status || served != 0 {
				t.Errorf("status %d, the handler ran %d times, want %d", resp.StatusCode, served, c.status)
			}
			if got := resp.Header.Values("WWW-Authenticate"); len(got) != c.challenges {
				t.Errorf("WWW-Authenticate %q, want %d challenges", got, c.challenges)
			}
		})
	}
}
