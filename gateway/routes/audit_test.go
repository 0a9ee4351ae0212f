package routes_test

import (
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

func TestAudit(t *testing.T) {
	methods := []string{"/t.T/M", "/t.T/N", "/w.W/M"}
	for _, c := range []struct {
		name       string
		rules      []string
		ignoreCase bool
		want       string
	}{
		{"every method has its rule", []string{"/t.T/M", "/t.T/N", "/w.W/M"}, false, ""},
		{"rules for services", []string{"/t.T/", "/w.W/{method}"}, false, ""},
		{"rules of REST routes beside them", []string{"/t.T/", "/w.W/", "GET /orders/{id}", "/t.Tx/M"}, false, ""},
		{"one rule for every path", []string{"/"}, false, ""},
		{"rules for hosts", []string{"a.example/t.T/", "b.example/w.W/"}, false, ""},
		{"only GET", []string{"/t.T/", "GET /w.W/M"}, false,
			"routes: no rule matches POST /w.W/M: each call by POST is refused"},
		{"GET and the rest", []string{"/t.T/", "GET /w.W/M", "/w.W/M"}, false, ""},
		{"methods without a rule", []string{"/t.T/M"}, false,
			"routes: no rule matches /t.T/N: each call is refused\n" +
				"routes: no rule matches /w.W/M: each call is refused"},
		{"a misspelled method", []string{"/t.T/", "/t.T/n", "/w.W/"}, false, "routes: rule 2 (/t.T/n) matches no method"},
		{"without regard to case", []string{"/T.t/M", "/T.t/n", "/w.W/"}, true, ""},
		{"a rule for the other methods of a service", []string{"/t.T/", "/t.T/M", "/t.T/N", "/w.W/"}, false, ""},
	} {
		var rules []routes.Rule
		for _, pattern := range c.rules {
			rules = append(rules, routes.Rule{Pattern: pattern, Access: routes.Require(xenaauth.AnyUser())})
		}
		table, err := routes.New(rules, &routes.Options{IgnoreCase: c.ignoreCase})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := table.Audit(methods...); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
