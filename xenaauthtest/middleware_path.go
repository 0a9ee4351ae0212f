package xenaauthtest

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
)

// testPathValues tests that the values of path parameters are set before the guards run. Policies
// and handlers read these values.
func (s *middlewareSuite) testPathValues(t *testing.T) {
	const path = "/companies/{company}/orders/{order_id}"
	member := xenaauth.WhereRequest("member of the company", func(r *http.Request, u *xenaauth.User) error {
		if r.PathValue("company") != "acme" || u.Subject() != "ann" {
			return fmt.Errorf("%s is not a member of %q", u, r.PathValue("company"))
		}
		return nil
	})
	unlocked := xenaauth.WhereRequest("the order is not locked", func(r *http.Request, _ *xenaauth.User) error {
		if r.PathValue("order_id") == "locked" {
			return errors.New("the order is locked")
		}
		return nil
	})
	tell := func(w http.ResponseWriter, r *http.Request, _ *xenaauth.User, _ bool) {
		_, _ = fmt.Fprintf(w, "company %q, order %q", r.PathValue("company"), r.PathValue("order_id"))
	}
	one := func(r xenaauth.Requirement) []xenaauth.Requirement { return []xenaauth.Requirement{r} }
	served := func(company, order string) answer {
		return answer{status: http.StatusOK, body: fmt.Sprintf("company %q, order %q", company, order), validations: 1}
	}
	ann, bob := bearerToken(s.token()), bearerToken(s.tokenOf("bob"))

	m := s.start(t, xenaauth.Options{}, []Guarded{
		{Method: http.MethodGet, Path: path, Group: one(member), Require: one(unlocked), Serve: tell},
		{Method: http.MethodPut, Path: path, Require: []xenaauth.Requirement{member, unlocked}, Serve: tell},
		{Method: http.MethodDelete, Path: path, Require: one(unlocked), Serve: tell},
		{Method: http.MethodPost, Path: path, Optional: true, Serve: tell},
	})
	public := served("x", "7")
	public.validations, public.hasVary = 0, true
	s.run(t, m, []exchange{
		{name: "policy of a group, met", path: "/companies/acme/orders/7", authorization: ann, want: served("acme", "7")},
		{name: "policy of a group, not met", path: "/companies/other/orders/7", authorization: ann, want: forbiddenAnswer()},
		{name: "policy of a group, another user", path: "/companies/acme/orders/7", authorization: bob, want: forbiddenAnswer()},
		{name: "policy of a route in a group", path: "/companies/acme/orders/locked", authorization: ann, want: forbiddenAnswer()},
		{name: "policy of a route, met", method: http.MethodPut, path: "/companies/acme/orders/8", authorization: ann, want: served("acme", "8")},
		{name: "policy of a route, the first not met", method: http.MethodPut, path: "/companies/other/orders/8", authorization: ann, want: forbiddenAnswer()},
		{name: "policy of a route, the second not met", method: http.MethodPut, path: "/companies/acme/orders/locked", authorization: ann, want: forbiddenAnswer()},
		{name: "policy that refuses one value", method: http.MethodDelete, path: "/companies/acme/orders/locked", authorization: ann, want: forbiddenAnswer()},
		{name: "Optional", method: http.MethodPost, path: "/companies/x/orders/7", want: public},
	})
}
