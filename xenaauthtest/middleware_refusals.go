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

// noTokenAnswer returns the response that a test expects to a request without a token. If scope is
// not "", the route requires this scope, and the challenge contains it.
func noTokenAnswer(scope string) answer {
	a := answer{
		status:    401,
		challenge: `Bearer realm="xena"`,
		body:      `{"title":"Unauthorized","status":401,"detail":"This resource needs an access token.","reason":"missing_token"}`,
	}
	return a.withScope(scope)
}

// malformedAnswer returns the response that a test expects to a request with a malformed
// Authorization field.
func malformedAnswer() answer {
	return answer{
		status:    400,
		challenge: `Bearer realm="xena", error="invalid_request", error_description="The Authorization field is malformed."`,
		body:      `{"title":"Bad Request","status":400,"detail":"The Authorization field is malformed.","reason":"malformed_request","error":"invalid_request"}`,
	}
}

// invalidAnswer returns the response that a test expects to a request with an invalid token.
func invalidAnswer(reason, description string) answer {
	return answer{
		status:      401,
		validations: 1,
		challenge:   `Bearer realm="xena", error="invalid_token", error_description="` + description + `"`,
		body:        `{"title":"Unauthorized","status":401,"detail":"` + description + `","reason":"` + reason + `","error":"invalid_token"}`,
	}
}

// noScopeAnswer returns the response that a test expects if the token of the request is valid, but
// does not have the scope in the argument.
func noScopeAnswer(scope string) answer {
	a := answer{
		status:      403,
		validations: 1,
		challenge:   `Bearer realm="xena", error="insufficient_scope", error_description="The access token lacks a scope."`,
		body:        `{"title":"Forbidden","status":403,"detail":"The access token lacks a scope.","reason":"insufficient_scope","error":"insufficient_scope"}`,
	}
	return a.withScope(scope)
}

// forbiddenAnswer returns the response that a test expects if a policy refuses the user of a valid
// token.
func forbiddenAnswer() answer {
	return answer{
		status:      403,
		validations: 1,
		challenge:   `Bearer realm="xena", error="insufficient_scope", error_description="The access token does not allow this."`,
		body:        `{"title":"Forbidden","status":403,"detail":"The access token does not allow this.","reason":"forbidden","error":"insufficient_scope"}`,
	}
}

// outageAnswer returns the response that a test expects if a request can't be decided now, for
// example because a policy or a store fails.
func outageAnswer(retryAfter string) answer {
	return answer{
		status:      503,
		validations: 1,
		retryAfter:  retryAfter,
		body:        `{"title":"Service Unavailable","status":503,"detail":"Access tokens can't be checked just now.","reason":"unavailable"}`,
	}
}

// answer.withScope returns a copy of the expected response. If scope is not "", the challenge and
// the body of the copy contain it, so that the client can request a token with this scope.
func (want answer) withScope(scope string) answer {
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
		routes = append(routes, Guarded{Method: http.MethodGet, Path: path, Require: rs, Serve: greetUser})
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
		tell("AnyUser, no token", "/any-user", "", noTokenAnswer("")),
		tell("AnyUser, any token", "/any-user", none, passedAnswer("ann")),
		tell("AllScopes, no token", "/all-scopes", "", noTokenAnswer("a b")),
		tell("AllScopes, none of them", "/all-scopes", none, noScopeAnswer("a b")),
		tell("AllScopes, one of them", "/all-scopes", a, noScopeAnswer("a b")),
		tell("AllScopes, all of them", "/all-scopes", ab, passedAnswer("ann")),
		tell("AnyScope, no token", "/any-scope", "", noTokenAnswer("a")),
		tell("AnyScope, none of them", "/any-scope", none, noScopeAnswer("a")),
		tell("AnyScope, the second", "/any-scope", b, passedAnswer("ann")),
		tell("AllOf, no token", "/all-of", "", noTokenAnswer("a b")),
		tell("AllOf, the first only", "/all-of", a, noScopeAnswer("a b")),
		tell("AllOf, nearer to another alternative", "/all-of", s.token("c"), noScopeAnswer("a c")),
		tell("AllOf, both", "/all-of", ab, passedAnswer("ann")),
		tell("AnyOf, no token", "/any-of", "", noTokenAnswer("a b")),
		tell("AnyOf, half of the first", "/any-of", a, noScopeAnswer("a b")),
		tell("AnyOf, the first", "/any-of", ab, passedAnswer("ann")),
		tell("AnyOf, the second", "/any-of", s.token("admin"), passedAnswer("ann")),
		tell("several, no token", "/several", "", noTokenAnswer("a b")),
		tell("several, without the second", "/several", a, noScopeAnswer("a b")),
		tell("several, against the last", "/several", bob, forbiddenAnswer()),
		tell("several, all met", "/several", ab, passedAnswer("ann")),
		tell("Where, no token", "/where", "", noTokenAnswer("")),
		tell("Where, forbidden", "/where", bob, forbiddenAnswer()),
		tell("Where, allowed", "/where", none, passedAnswer("ann")),
		tell("Where, can't tell", "/where-down", none, outageAnswer("2")),
		tell("WhereRequest, forbidden", "/where-request?owner=ann", bob, forbiddenAnswer()),
		tell("WhereRequest, allowed", "/where-request?owner=bob", bob, passedAnswer("bob")),
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
		{Method: http.MethodGet, Path: "/", Require: []xenaauth.Requirement{xenaauth.AnyUser()}, Serve: greetUser},
	})
	var exchanges []exchange
	for _, c := range []struct {
		name          string
		authorization []string
		want          answer
	}{
		{"no token", nil, noTokenAnswer("")},
		{"another scheme", []string{"Basic YW5uOnNlY3JldA=="}, noTokenAnswer("")},
		{"the scheme alone", []string{"Bearer"}, malformedAnswer()},
		{"two tokens in a field", []string{"Bearer " + good + ", Bearer " + good}, malformedAnswer()},
		{"the field twice", []string{"Bearer " + good, "Bearer " + good}, malformedAnswer()},
		{"another scheme beside it", []string{"Basic YW5uOnNlY3JldA==", "Bearer " + good}, malformedAnswer()},
		{"a token that is too long", bearerToken(strings.Repeat("a", xenaauth.DefaultMaxTokenLength+1)), malformedAnswer()},
		{"no JWT", bearerToken("nonsense"), invalidAnswer("malformed_token", "The access token is malformed.")},
		{"claims of another token", bearerToken(forged), invalidAnswer("signature", "The signature of the access token does not verify.")},
		{"expired", bearerToken(s.issuer.JWT(Token{Lifetime: -time.Hour, Claims: api})), invalidAnswer("expired", "The access token has expired.")},
		{"for another API", bearerToken(s.issuer.JWT(Token{Claims: map[string]any{"aud": "other"}})), invalidAnswer("audience", "The access token is for another audience.")},
		{"from another issuer", bearerToken(s.issuer.JWT(Token{Claims: map[string]any{"iss": "https://id.example"}})), invalidAnswer("issuer", "The access token is from another issuer.")},
		{"an ID token", bearerToken(s.issuer.IDToken(Token{Claims: api})), invalidAnswer("token_type", "The token is not an access token.")},
		{"an outage that the validator tells", bearerToken(tokenOutage), outageAnswer("90")},
		{"an error of the validator's own", bearerToken(tokenForeign), outageAnswer("1")},
		{"nothing of that lasts", bearerToken(good), passedAnswer("ann")},
		{"the scheme in another case", []string{"bEARER " + good}, passedAnswer("ann")},
	} {
		exchanges = append(exchanges, exchange{name: c.name, path: "/", authorization: c.authorization, want: c.want})
	}
	exchanges = append(exchanges,
		exchange{name: "a token in the query only", path: "/?access_token=" + good, want: noTokenAnswer("")},
		exchange{name: "a token also in the query", path: "/?access_token=" + good, authorization: bearerToken(good), want: passedAnswer("ann")},
	)
	s.run(t, m, exchanges)
}
