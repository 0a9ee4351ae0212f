package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/examples/walkthrough/watch"

	"github.com/xenaauth/xenaauth"
)

// The call of each button has the result that the text of the button says. If the request is
// refused, the watched request ends at the right stage of the check.
func TestCalls(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	for _, want := range []struct {
		name   string
		status int
		reason xenaauth.Reason
		end    string // the stage that refused the request; "" if the handler ran
	}{
		{"none", 401, "missing_token", "credentials"},
		{"apikey", 401, "missing_token", "credentials"},
		{"token", 200, "", ""},
		{"profile", 200, "", ""},
		{"orders", 200, "", ""},
		{"othercompany", 403, "forbidden", "policy"},
		{"scope", 403, "insufficient_scope", "scopes"},
		{"expired", 401, "expired", "claims"},
		{"audience", 401, "audience", "claims"},
		{"tampered", 401, "signature", "signature"},
		{"unsigned", 401, "algorithm", "credentials"},
		{"idtoken", 401, "token_type", "claims"},
		{"downjwt", 200, "", ""},
		{"rotated", 200, "", ""},
		{"rotated", 200, "", ""},
		{"token", 200, "", ""}, // the API still accepts the token of an earlier key
		{"opaque", 200, "", ""},
		{"down", 503, "unavailable", "introspection"},
		{"opaque", 200, "", ""}, // the outage of the issuer is over
		{"ended", 401, "revoked", "user"},
		{"revoked", 401, "inactive", "introspection"},
		{"token", 200, "", ""}, // only the other session of the user has ended
	} {
		c := b.callAPI(want.name)
		end, passed := "", true
		for _, s := range c.Stages {
			switch s.State {
			case watch.Failed, watch.Unknown:
				end, passed = s.Name, false
				if s.Why == "" {
					t.Errorf("%s: stage %s does not say why", want.name, s.Name)
				}
			case watch.NotReached:
				if passed {
					t.Errorf("%s: stage %s was not reached, but none before failed", want.name, s.Name)
				}
			default:
				if !passed {
					t.Errorf("%s: stage %s is %s after the end", want.name, s.Name, s.State)
				}
			}
			if s.Asks == "" {
				t.Errorf("stage %s has no question", s.Name)
			}
		}
		if c.Status != want.status || c.Reason != string(want.reason) || end != want.end {
			t.Errorf("%s: %d %q at %q, want %d %q at %q\n%s", want.name, c.Status, c.Reason, end,
				want.status, want.reason, want.end, c.Body)
		}
		if want.status == 200 != strings.Contains(c.Body, "FiscalId") && want.name != "profile" {
			t.Errorf("%s: status %d with the body %s", want.name, c.Status, c.Body)
		}
	}
}

// The page of a watched request says how the API checked the token: as a JWT, by introspection or
// from its cache.
func TestSources(t *testing.T) {
	t.Parallel()
	b := startBrowser(t).signIn()
	state := func(c *watch.Call, stage string) string {
		for _, s := range c.Stages {
			if s.Name == stage {
				return s.State
			}
		}
		return ""
	}
	first, second, opaque := b.callAPI("token"), b.callAPI("token"), b.callAPI("opaque")
	if first.Source != xenaauth.SourceJWT || state(first, "signature") != watch.Passed || len(first.Issuer) != 2 {
		t.Errorf("first call: %+v", first)
	}
	if second.Source != xenaauth.SourceCache || state(second, "signature") != watch.Skipped || len(second.Issuer) != 0 {
		t.Errorf("second call: %+v", second)
	}
	for name, want := range map[string]string{"none": "", "tampered": "", "down": "introspection"} {
		if c := b.callAPI(name); c.CheckedBy() != want {
			t.Errorf("%s: checked by %q, want %q", name, c.CheckedBy(), want)
		}
	}
	found := func(c *watch.Call, stage string) string {
		at := slices.IndexFunc(c.Stages, func(s watch.Stage) bool { return s.Name == stage })
		return c.Stages[at].Found
	}
	if got := found(first, "key"); got != "1 of 1 usable keys fit the header" {
		t.Errorf("the stage key found %q", got)
	}
	if got := found(opaque, "introspection"); got != "active true" {
		t.Errorf("the stage introspection found %q", got)
	}
	if opaque.Source != xenaauth.SourceIntrospection || state(opaque, "introspection") != watch.Passed ||
		len(opaque.Issuer) != 1 || opaque.Issuer[0].Document != "introspection" {
		t.Errorf("opaque token: %+v", opaque)
	}
	if rotated := b.callAPI("rotated"); len(rotated.Issuer) != 1 || rotated.Issuer[0].Document != "jwks" {
		t.Errorf("a new key: %+v", rotated)
	}
}
