package xenaauthtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// The function missing returns the response that a test expects to a request without a token. The
// challenge names scope. If scope is "", the route requires no scope.
func missing(scope string) answer {
	a := answer{
		status:    401,
		challenge: `Bearer realm="xena"`,
		body:      `{"title":"Unauthorized","status":401,"detail":"This resource needs an access token.","reason":"missing_token"}`,
	}
	return a.telling(scope)
}

// The function malformed returns the response that a test expects to a request with a malformed
// Authorization field.
func malformed() answer {
	return answer{
		status:    400,
		challenge: `Bearer realm="xena", error="invalid_request", error_description="The Authorization field is malformed."`,
		body:      `{"title":"Bad Request","status":400,"detail":"The Authorization field is malformed.","reason":"malformed_request","error":"invalid_request"}`,
	}
}

// The function invalid returns the response that a test expects to a request with an invalid token.
func invalid(reason, description string) answer {
	return answer{
		status:    401,
		validated: 1,
		challenge: `Bearer realm="xena", error="invalid_token", error_description="` + description + `"`,
		body:      `{"title":"Unauthorized","status":401,"detail":"` + description + `","reason":"` + reason + `","error":"invalid_token"}`,
	}
}

// The function lacking returns the response that a test expects to a request whose token is valid
// but does not have scope.
func lacking(scope string) answer {
	a := answer{
		status:    403,
		validated: 1,
		challenge: `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope."`,
		body:      `{"title":"Forbidden","status":403,"detail":"The access token lacks a scope.","reason":"insufficient_scope","error":"insufficient_scope"}`,
	}
	return a.telling(scope)
}

// The function forbidden returns the response that a test expects if a policy refuses the user of a
// valid token.
func forbidden() answer {
	return answer{
		status:    403,
		validated: 1,
		challenge: `Bearer realm="xena", error="insufficient_scope", error_description="The access token does not allow this."`,
		body:      `{"title":"Forbidden","status":403,"detail":"The access token does not allow this.","reason":"forbidden","error":"insufficient_scope"}`,
	}
}

// The function outage returns the response that a test expects if a token can't be checked, because
// the issuer is down.
func outage(retryAfter string) answer {
	return answer{
		status:     503,
		validated:  1,
		retryAfter: retryAfter,
		body:       `{"title":"Service Unavailable","status":503,"detail":"Access tokens can't be checked just now.","reason":"unavailable"}`,
	}
}

// answer.telling returns a copy of the expected response want whose challenge and body name scope.
// So the client can request a token with this scope.
func (want answer) telling(scope string) answer {
	if scope != "" {
		want.challenge += `, scope="` + scope + `"`
		want.body = strings.TrimSuffix(want.body, "}") + `,"scope":"` + scope + `"}`
	}
	return want
}

func (s *middlewareSuite) testRequirements(t *testing.T) {
	all, some := xenaauth.AllScopes, xenaauth.AnyScope
	isAnn := xenaauth.Where("is ann", func(_ context.Context, u *xenaauth.User) error {
		if u.Subject() != "ann" {
			return errors.New("it is not ann")
		}
		return nil
	})
	own := xenaauth.WhereRequest("is the owner", func(r *http.Request, u *xenaauth.User) error {
		if r.URL.Query().Get("owner") != u.Subject() {
			return errors.New("it is another's")
		}
		return nil
	})
	down := xenaauth.Where("directory", func(context.Context, *xenaauth.User) error {
		return &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: 1500 * time.Millisecond}
	})
	var routes []Guarded
	for path, rs := range map[string][]xenaauth.Requirement{
		"/any-user":      {xenaauth.AnyUser()},
		"/all-scopes":    {all("a", "b")},
		"/any-scope":     {some("a", "b")},
		"/all-of":        {xenaauth.AllOf(all("a"), some("b", "c"))},
		"/any-of":        {xenaauth.AnyOf(all("a", "b"), all("admin"))},
		"/several":       {all("a"), all("b"), isAnn},
		"/where":         {isAnn},
		"/where-request": {own},
		"/where-down":    {down},
	} {
		routes = append(routes, Guarded{Method: http.MethodGet, Path: path, Require: rs, Serve: greet})
	}
	m := s.start(t, xenaauth.Options{}, routes)
	none, a, b, ab := s.token(), s.token("a"), s.token("b"), s.token("a", "b")
	bob := s.tokenOf("bob", "a", "b")
	tell := func(name, path, token string, want answer) exchange {
		e := exchange{name: name, path: path, want: want}
		if token != "" {
			e.authorization = bearerToken(token)
		}
		return e
	}
	s.run(t, m, []exchange{
		tell("AnyUser, no token", "/any-user", "", missing("")),
		tell("AnyUser, any token", "/any-user", none, passed("ann")),
		tell("AllScopes, no token", "/all-scopes", "", missing("a b")),
		tell("AllScopes, none of them", "/all-scopes", none, lacking("a b")),
		tell("AllScopes, one of them", "/all-scopes", a, lacking("a b")),
		tell("AllScopes, all of them", "/all-scopes", ab, passed("ann")),
		tell("AnyScope, no token", "/any-scope", "", missing("a")),
		tell("AnyScope, none of them", "/any-scope", none, lacking("a")),
		tell("AnyScope, the second", "/any-scope", b, passed("ann")),
		tell("AllOf, no token", "/all-of", "", missing("a b")),
		tell("AllOf, the first only", "/all-of", a, lacking("a b")),
		tell("AllOf, nearer to another alternative", "/all-of", s.token("c"), lacking("a c")),
		tell("AllOf, both", "/all-of", ab, passed("ann")),
		tell("AnyOf, no token", "/any-of", "", missing("a b")),
		tell("AnyOf, half of the first", "/any-of", a, lacking("a b")),
		tell("AnyOf, the first", "/any-of", ab, passed("ann")),
		tell("AnyOf, the second", "/any-of", s.token("admin"), passed("ann")),
		tell("several, no token", "/several", "", missing("a b")),
		tell("several, without the second", "/several", a, lacking("a b")),
		tell("several, against the last", "/several", bob, forbidden()),
		tell("several, all met", "/several", ab, passed("ann")),
		tell("Where, no token", "/where", "", missing("")),
		tell("Where, forbidden", "/where", bob, forbidden()),
		tell("Where, allowed", "/where", none, passed("ann")),
		tell("Where, can't tell", "/where-down", none, outage("2")),
		tell("WhereRequest, forbidden", "/where-request?owner=ann", bob, forbidden()),
		tell("WhereRequest, allowed", "/where-request?owner=bob", bob, passed("bob")),
	})
}

func (s *middlewareSuite) testRefusals(t *testing.T) {
	api := map[string]any{"aud": s.issuer.API()}
	good := s.token()
	header, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")
	_, otherClaims, _ := strings.Cut(s.tokenOf("mallory"), ".")
	otherClaims, _, _ = strings.Cut(otherClaims, ".")
	forged := header + "." + otherClaims + "." + signature

	m := s.start(t, xenaauth.Options{}, []Guarded{
		{Method: http.MethodGet, Path: "/", Require: []xenaauth.Requirement{xenaauth.AnyUser()}, Serve: greet},
	})
	var exchanges []exchange
	for _, c := range []struct {
		name          string
		authorization []string
		want          answer
	}{
		{"no token", nil, missing("")},
		{"another scheme", []string{"Basic YW5uOnNlY3JldA=="}, missing("")},
		{"the scheme alone", []string{"Bearer"}, malformed()},
		{"two tokens in a field", []string{"Bearer " + good + ", Bearer " + good}, malformed()},
		{"the field twice", []string{"Bearer " + good, "Bearer " + good}, malformed()},
		{"another scheme beside it", []string{"Basic YW5uOnNlY3JldA==", "Bearer " + good}, malformed()},
		{"a token that is too long", bearerToken(strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1)), malformed()},
		{"no JWT", bearerToken("nonsense"), invalid("malformed_token", "The access token is malformed.")},
		{"claims of another token", bearerToken(forged), invalid("signature", "The signature of the access token does not verify.")},
		{"expired", bearerToken(s.issuer.JWT(Token{Lifetime: -time.Hour, Claims: api})), invalid("expired", "The access token has expired.")},
		{"for another API", bearerToken(s.issuer.JWT(Token{Claims: map[string]any{"aud": "other"}})), invalid("audience", "The access token is for another audience.")},
		{"from another issuer", bearerToken(s.issuer.JWT(Token{Claims: map[string]any{"iss": "https://id.example"}})), invalid("issuer", "The access token is from another issuer.")},
		{"an ID token", bearerToken(s.issuer.IDToken(Token{Claims: api})), invalid("token_type", "The token is not an access token.")},
		{"an outage that the validator tells", bearerToken(tokenOutage), outage("90")},
		{"an error of the validator's own", bearerToken(tokenForeign), outage("1")},
		{"nothing of that lasts", bearerToken(good), passed("ann")},
		{"the scheme in another case", []string{"bEARER " + good}, passed("ann")},
	} {
		exchanges = append(exchanges, exchange{name: c.name, path: "/", authorization: c.authorization, want: c.want})
	}
	exchanges = append(exchanges,
		exchange{name: "a token in the query only", path: "/?access_token=" + good, want: missing("")},
		exchange{name: "a token also in the query", path: "/?access_token=" + good, authorization: bearerToken(good), want: passed("ann")},
	)
	s.run(t, m, exchanges)
}
