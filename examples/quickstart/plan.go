package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// planTour returns the requests of the tour in their order, with the expected response to each
// request. The tokens in the requests are from the given issuer.
func plan(issuer *xenaauthtest.Issuer) []place {
	const (
		testapi = xenaauth.ScopeTestAPI
		profile = xenaauth.ScopeProfile
		email   = xenaauth.ScopeEmail
		openID  = xenaauth.ScopeOpenID
	)
	with := func(scopes ...string) []string {
		return bearer(issuer.JWT(xenaauthtest.Token{Subject: demoUser, Scopes: scopes}))
	}
	claiming := func(name, value string) []string {
		return bearer(issuer.JWT(xenaauthtest.Token{Subject: demoUser, Claims: map[string]any{name: value}}))
	}
	user := xenaauthtest.Token{Subject: demoUser}
	jwt := issuer.JWT(user)
	expired := issuer.JWT(xenaauthtest.Token{Subject: demoUser, Lifetime: -10 * time.Minute})
	opaque, unseen := issuer.Opaque(user), issuer.Opaque(user)
	// owner is a DPoP client: it has the key to which its token is bound
	owner := xenaauthtest.NewDPoPClient(nil)
	owner.Token = issuer.JWT(xenaauthtest.Token{Subject: demoUser, BoundTo: owner})

	open := answer{status: 200}
	allowed := answer{status: 200, user: demoUser}
	missing := func(challenge string) answer {
		return answer{status: 401, reason: xenaauth.ReasonMissingToken, detail: challenge}
	}
	invalid := func(reason xenaauth.Reason) answer {
		return answer{status: 401, reason: reason, detail: `Bearer error="invalid_token", scope="testapi"`}
	}
	unproven := answer{
		status: 401,
		reason: xenaauth.ReasonProof,
		detail: `DPoP error="invalid_dpop_proof", scope="testapi"`,
	}
	malformed := answer{
		status: 400,
		reason: xenaauth.ReasonMalformedRequest,
		detail: `Bearer error="invalid_request", scope="testapi"`,
	}
	lacking := func(scopes string) answer {
		challenge := fmt.Sprintf(`Bearer error="insufficient_scope", scope="%s"`, scopes)
		return answer{status: 403, reason: xenaauth.ReasonInsufficientScope, detail: challenge}
	}
	forbidden := answer{status: 403, reason: xenaauth.ReasonForbidden, detail: `Bearer error="insufficient_scope"`}
	outage := answer{status: 503, reason: xenaauth.ReasonUnavailable, detail: "Retry-After: 1"}

	return []place{
		{"/healthz", "public", []step{
			call("no token", nil, open),
		}},
		{"/readyz", "public", []step{
			call("no token", nil, open),
		}},
		{"/Api/User/XenaUserMembership", "any user", []step{
			call("no token", nil, missing(`Bearer`)),
			call("name and password (Basic)", []string{"Basic dXNlcjpwYXNzd29yZA=="}, missing(`Bearer`)),
			call("JWT", bearer(jwt), allowed),
			call("opaque token", bearer(opaque), allowed),
		}},
		{"/Api/User/FiscalSetup", "requires testapi", []step{
			call("no token", nil, missing(`Bearer scope="testapi"`)),
			call("JWT", bearer(jwt), allowed),
			call("JWT without the scope", with(openID, "otherapi"), lacking("testapi")),
			call("JWT, expired", bearer(expired), invalid(xenaauth.ReasonExpired)),
			call("JWT for another audience", claiming("aud", "otherapi"), invalid(xenaauth.ReasonAudience)),
			call("JWT from another issuer", claiming("iss", "https://login.example"), invalid(xenaauth.ReasonIssuer)),
			call("JWT with a forged signature", bearer(forged(jwt)), invalid(xenaauth.ReasonSignature)),
			call("JWT without a signature", bearer(unsigned(issuer)), invalid(xenaauth.ReasonAlgorithm)),
			call("ID token, replayed", bearer(issuer.IDToken(user)), invalid(xenaauth.ReasonTokenType)),
			call("opaque token", bearer(opaque), allowed),
			call("the same, revoked", bearer(opaque), invalid(xenaauth.ReasonInactive)).
				after(func() { issuer.Revoke(opaque) }),
			call("two Authorization fields", append(bearer(jwt), bearer(jwt)...), malformed),
			call("a token with spaces in it", bearer("not a token"), malformed),
		}},
		{"/Api/User/FiscalSetup", "with a token that is bound to a key of the client (DPoP)", []step{
			call("JWT, bound", nil, allowed).by(owner),
			call("the same, without its proof", []string{"DPoP " + owner.Token}, unproven),
		}},
		{"/Api/User/Profile", "requires testapi and profile", []step{
			call("JWT with testapi only", with(testapi), lacking("testapi profile")),
			call("JWT with both", with(testapi, profile), allowed),
		}},
		{"/Api/User/Contact", "requires profile or email", []step{
			call("JWT with neither", with(testapi), lacking("profile")),
			call("JWT with email", with(testapi, email), allowed),
		}},
		{"/Api/Fiscal/" + demoCompany + "/Order", "requires testapi, and that the user is in the company", []step{
			call("JWT", bearer(jwt), allowed),
		}},
		{"/Api/Fiscal/1/Order", "a company that the user is not in", []step{
			call("JWT", bearer(jwt), forbidden),
		}},
		{"/Api/User/FiscalSetup", "while the issuer is down", []step{
			call("JWT", bearer(jwt), allowed).after(issuer.Down),
			call("JWT, not seen before", with(testapi, openID), allowed),
			call("opaque token", bearer(unseen), outage),
			call("the same, the issuer is back", bearer(unseen), allowed).after(issuer.Heal),
		}},
	}
}

// bearerField returns the header field Authorization for a token.
func bearer(token string) []string { return []string{"Bearer " + token} }

// forgeSignature returns a JWT with a wrong signature: it replaces the first character of the
// signature.
func forged(jwt string) string {
	at := strings.LastIndexByte(jwt, '.') + 1
	other := "A"
	if jwt[at] == 'A' {
		other = "B"
	}
	return jwt[:at] + other + jwt[at+1:]
}

// unsignedJWT returns a JWT whose header has the alg "none" and whose signature is empty.
func unsigned(issuer *xenaauthtest.Issuer) string {
	jwt := issuer.JWT(xenaauthtest.Token{Subject: demoUser, Header: map[string]any{"alg": "none"}})
	return jwt[:strings.LastIndexByte(jwt, '.')+1]
}
