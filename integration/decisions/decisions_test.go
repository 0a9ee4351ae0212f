package decisions

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// routeRules returns the rules for the table of routes that the tests use with all protocols. In
// this table, a method of gRPC or Connect is the path /package.Service/Method.
func routeRules() []routes.Rule {
	return []routes.Rule{
		{Pattern: "/t.T/Any", Access: routes.Require(xenaauth.AnyUser())},
		{Pattern: "/t.T/Scopes", Access: routes.Require(xenaauth.AllScopes("a", "b"))},
		{Pattern: "/t.T/Either", Access: routes.Require(xenaauth.AnyOf(xenaauth.AllScopes("a", "b"), xenaauth.AllScopes("c")))},
		{Pattern: "/t.T/Policy", Access: routes.Require(xenaauth.Where("refuse", func(context.Context, *xenaauth.User) error {
			return errors.New("a private reason")
		}))},
		{Pattern: "/t.T/Busy", Access: routes.Require(xenaauth.Where("busy", func(context.Context, *xenaauth.User) error {
			return &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 1500 * time.Millisecond}
		}))},
		{Pattern: "/t.T/Company", Access: routes.Require(xenaauth.WhereRequest("company", func(r *http.Request, _ *xenaauth.User) error {
			if r.Method != http.MethodPost || r.Host != "api.example" || r.URL.Path != "/t.T/Company" ||
				r.Header.Get("X-Company") != "7" {
				return errors.New("another request")
			}
			return nil
		}))},
		{Pattern: "/t.T/Optional", Access: routes.Optional()},
		{Pattern: "/t.T/Public", Access: routes.Public()},
		{Pattern: "/t.T/Denied", Access: routes.Deny()},
		{Pattern: "/w.W/", Access: routes.Require(xenaauth.AllScopes("wide"))},
		{Pattern: "/w.W/Open", Access: routes.Public()},
		{Pattern: "api.example/h.H/Any", Access: routes.Require(xenaauth.AnyUser())},
		{Pattern: "other.example/h.H/", Access: routes.Public()},
	}
}

// A credentialKind says in words which credentials a request has.
type credentialKind string

const (
	noToken   credentialKind = "without credentials"
	basic     credentialKind = "with another scheme"
	malformed credentialKind = "with malformed credentials"
	twice     credentialKind = "with credentials in two fields"
	garbage   credentialKind = "with a text that is no token"
	expired   credentialKind = "with an expired token"
	idToken   credentialKind = "with an ID token"
	revoked   credentialKind = "with a revoked token"
	plain     credentialKind = "with a token without scopes"
	good      credentialKind = "with a token for a and b"
	wide      credentialKind = "with a token for wide"
	outage    credentialKind = "with a good token during an outage"
)

func (s *site) token(scopes ...string) string {
	return s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", Scopes: append([]string{}, scopes...), Claims: map[string]any{"aud": s.issuer.API()},
	})
}

// site.header returns the header fields of a request. They contain credentials of the given kind.
func (s *site) header(t *testing.T, kind credentialKind) http.Header {
	t.Helper()
	var values []string
	switch kind {
	case noToken:
	case basic:
		values = []string{"Basic YTpi"}
	case malformed:
		values = []string{"Bearer"}
	case twice:
		values = []string{"Bearer " + s.token("a", "b"), "Basic YTpi"}
	case garbage:
		values = []string{"Bearer garbage"}
	case expired:
		values = []string{"Bearer " + s.issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})}
	case idToken:
		values = []string{"Bearer " + s.issuer.IDToken(xenaauthtest.Token{})}
	case revoked:
		token := s.token("a", "b")
		fatal(t, s.validator.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
		values = []string{"Bearer " + token}
	case plain:
		values = []string{"Bearer " + s.token()}
	case wide:
		values = []string{"Bearer " + s.token("wide")}
	case good, outage:
		values = []string{"Bearer " + s.token("a", "b")}
	}
	h := http.Header{"X-Company": {"7"}}
	if values != nil {
		h["Authorization"] = values
	}
	return h
}

// TestDecisions sends each request of its list through every protocol. Every protocol must make the
// expected decision and report it in exactly one event.
func TestDecisions(t *testing.T) {
	const challenge = `Bearer realm="xena"`
	for _, c := range []struct {
		path        string
		credentials credentialKind
		status      int
		reason      xenaauth.Reason
		user        string
		challenge   string
		// wantRoute is the expected route in the event; "" means that it is the same as the path,
		// and "-" means that the event has no route
		wantRoute string
	}{
		{"/t.T/Any", good, 200, "", "ann", "", ""},
		{"/t.T/Any", plain, 200, "", "ann", "", ""},
		{"/t.T/Any", noToken, 401, xenaauth.ReasonMissingToken, "", challenge, ""},
		{"/t.T/Any", basic, 401, xenaauth.ReasonMissingToken, "", challenge, ""},
		{"/t.T/Any", malformed, 400, xenaauth.ReasonMalformedRequest, "", "", ""},
		{"/t.T/Any", twice, 400, xenaauth.ReasonMalformedRequest, "", "", ""},
		{"/t.T/Any", garbage, 401, xenaauth.ReasonMalformedToken, "", "", ""},
		{"/t.T/Any", expired, 401, xenaauth.ReasonExpired, "", "", ""},
		{"/t.T/Any", idToken, 401, xenaauth.ReasonTokenType, "", "", ""},
		{"/t.T/Any", revoked, 401, xenaauth.ReasonRevoked, "", "", ""},
		{"/t.T/Any", outage, 503, xenaauth.ReasonUnavailable, "", "", ""},

		{"/t.T/Scopes", good, 200, "", "ann", "", ""},
		{"/t.T/Scopes", noToken, 401, xenaauth.ReasonMissingToken, "", challenge + `, scope="a b"`, ""},
		{"/t.T/Scopes", plain, 403, xenaauth.ReasonInsufficientScope, "", challenge +
			`, error="insufficient_scope", error_description="The access token lacks a scope.", scope="a b"`, ""},
		{"/t.T/Scopes", wide, 403, xenaauth.ReasonInsufficientScope, "", "", ""},
		{"/t.T/Scopes", outage, 503, xenaauth.ReasonUnavailable, "", "", ""},

		{"/t.T/Either", good, 200, "", "ann", "", ""},
		{"/t.T/Either", plain, 403, xenaauth.ReasonInsufficientScope, "", challenge +
			`, error="insufficient_scope", error_description="The access token lacks a scope.", scope="c"`, ""},

		{"/t.T/Policy", good, 403, xenaauth.ReasonForbidden, "", "", ""},
		{"/t.T/Policy", noToken, 401, xenaauth.ReasonMissingToken, "", challenge, ""},
		{"/t.T/Busy", good, 503, xenaauth.ReasonUnavailable, "", "", ""},
		{"/t.T/Company", good, 200, "", "ann", "", ""},

		{"/t.T/Optional", good, 200, "", "ann", "", ""},
		{"/t.T/Optional", noToken, 200, "", "", "", ""},
		{"/t.T/Optional", basic, 200, "", "", "", ""},
		{"/t.T/Optional", malformed, 400, xenaauth.ReasonMalformedRequest, "", "", ""},
		{"/t.T/Optional", garbage, 401, xenaauth.ReasonMalformedToken, "", "", ""},
		{"/t.T/Optional", revoked, 401, xenaauth.ReasonRevoked, "", "", ""},
		{"/t.T/Optional", outage, 503, xenaauth.ReasonUnavailable, "", "", ""},

		{"/t.T/Public", noToken, 200, "", "", "", ""},
		{"/t.T/Public", good, 200, "", "", "", ""},
		{"/t.T/Public", garbage, 200, "", "", "", ""},
		{"/t.T/Public", outage, 200, "", "", "", ""},

		{"/t.T/Denied", good, 403, xenaauth.ReasonNoRule, "", challenge, ""},
		{"/t.T/Denied", noToken, 403, xenaauth.ReasonNoRule, "", challenge, ""},
		{"/t.T/Unknown", good, 403, xenaauth.ReasonNoRule, "", challenge, "-"},
		{"/t.T/Unknown", noToken, 403, xenaauth.ReasonNoRule, "", challenge, "-"},
		{"/t.T/Unknown", outage, 403, xenaauth.ReasonNoRule, "", challenge, "-"},
		{"/u.U/Public", good, 403, xenaauth.ReasonNoRule, "", challenge, "-"},

		{"/w.W/Other", wide, 200, "", "ann", "", "/w.W/"},
		{"/w.W/Other", good, 403, xenaauth.ReasonInsufficientScope, "", "", "/w.W/"},
		{"/w.W/Open", noToken, 200, "", "", "", ""},
		{"/w.W/Open/", noToken, 400, xenaauth.ReasonAmbiguousTarget, "", "", "-"},
		{"/w.W//Open", wide, 400, xenaauth.ReasonAmbiguousTarget, "", "", "-"},
		{"/u.U/../w.W/Open", good, 400, xenaauth.ReasonAmbiguousTarget, "", "", "-"},
		{"/w.W;v=1/Open", good, 400, xenaauth.ReasonAmbiguousTarget, "", "", "-"},

		{"/h.H/Any", good, 200, "", "ann", "", "api.example/h.H/Any"},
		{"/h.H/Any", noToken, 401, xenaauth.ReasonMissingToken, "", challenge, "api.example/h.H/Any"},
		{"/h.H/Other", good, 403, xenaauth.ReasonNoRule, "", challenge, "-"},
	} {
		t.Run(c.path+" "+string(c.credentials), func(t *testing.T) {
			var first *decision
			for _, name := range []string{"net/http", "gRPC", "Connect", "forward-auth", "ext_authz"} {
				s := newSite(t, routeRules(), xenaauth.Options{})
				send := protocols[name](t, s)
				header := s.header(t, c.credentials)
				if c.credentials == outage {
					s.issuer.Down()
				}
				got := send(t, request{path: c.path, header: header})
				if first == nil {
					first = &got.decision
				}
				if got.decision != *first {
					t.Errorf("%s decides %+v, and net/http %+v", name, got.decision, *first)
				}
				want := decision{allowed: c.status == 200, user: c.user, code: codeOf(c.status), reason: string(c.reason),
					challenges: got.challenges, retryAfter: got.retryAfter}
				if got.decision != want || got.status != 0 && got.status != c.status {
					t.Errorf("%s: status %d, %+v, want status %d, %+v", name, got.status, got.decision, c.status, want)
				}
				if c.challenge != "" && got.challenges != c.challenge ||
					(got.challenges != "") != (c.status/100 == 4) || (got.retryAfter != "") != (c.status == 503) {
					t.Errorf("%s: challenge %s, want %s; Retry-After %q", name, got.challenges, c.challenge, got.retryAfter)
				}
				route := c.wantRoute
				switch route {
				case "":
					route = c.path
				case "-":
					route = ""
				}
				s.wantEvent(t, name, c.status, c.reason, c.user, route)
			}
		})
	}
}

// site.wantEvent fails the test unless the middleware has reported exactly one event since the last
// call of takeEvents, and this event has the expected outcome, reason, user and route.
func (s *site) wantEvent(t *testing.T, protocol string, status int, reason xenaauth.Reason, user, route string) {
	t.Helper()
	events := s.takeEvents()
	if len(events) != 1 {
		t.Errorf("%s: %d events: %+v", protocol, len(events), events)
		return
	}
	e := events[0]
	outcome := "refused"
	switch {
	case status == 503:
		outcome = "unavailable"
	case status == 200 && user == "":
		outcome = "anonymous"
	case status == 200:
		outcome = "allowed"
	}
	told := xenaauth.Reason("")
	if e.Err != nil {
		told = e.Err.Reason
	}
	if e.Outcome != outcome || told != reason || e.Route != route {
		t.Errorf("%s: event %q about %q at %q, want %q about %q at %q",
			protocol, e.Outcome, told, e.Route, outcome, reason, route)
	}

	if user != "" && (e.User == nil || e.User.Subject() != user) {
		t.Errorf("%s: event about %v, want %s", protocol, e.User, user)
	}
}
