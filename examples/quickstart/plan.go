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
func planTour(issuer *xenaauthtest.Issuer) []tourSection {
	const (
		testapi = xenaauth.ScopeTestAPI
		profile = xenaauth.ScopeProfile
		email   = xenaauth.ScopeEmail
		openID  = xenaauth.ScopeOpenID
	)
	with := func(scopes ...string) []string {
		return bearerField(issuer.JWT(xenaauthtest.Token{Subject: demoUser, Scopes: scopes}))
	}
	claiming := func(name, value string) []string {
		return bearerField(issuer.JWT(xenaauthtest.Token{Subject: demoUser, Claims: map[string]any{name: value}}))
	}
	user := xenaauthtest.Token{Subject: demoUser}
	jwt := issuer.JWT(user)
	expired := issuer.JWT(xenaauthtest.Token{Subject: demoUser, Lifetime: -10 * time.Minute})
	opaque, unseen := issuer.Opaque(user), issuer.Opaque(user)
	// owner is a DPoP client: it has the key to which its token is bound
	owner := xenaauthtest.NewDPoPClient(nil)
	owner.Token = issuer.JWT(xenaauthtest.Token{Subject: demoUser, BoundTo: owner})

	open := tourAnswer{status: 200}
	allowed := tourAnswer{status: 200, user: demoUser}
	missing := func(challenge string) tourAnswer {
		return tourAnswer{status: 401, reason: xenaauth.ReasonMissingToken, detail: challenge}
	}
	invalid := func(reason xenaauth.Reason) tourAnswer {
		return tourAnswer{status: 401, reason: reason, detail: `Bearer error="invalid_token", scope="testapi"`}
	}
	unproven := tourAnswer{
		status: 401,
		reason: xenaauth.ReasonProof,
		detail: `DPoP error="invalid_dpop_proof", scope="testapi"`,
	}
	malformed := tourAnswer{
		status: 400,
		reason: xenaauth.ReasonMalformedRequest,
		detail: `Bearer error="invalid_request", scope="testapi"`,
	}
	lacking := func(scopes string) tourAnswer {
		challenge := fmt.Sprintf(`Bearer error="insufficient_scope", scope="%s"`, scopes)
		return tourAnswer{status: 403, reason: xenaauth.ReasonInsufficientScope, detail: challenge}
	}
	forbidden := tourAnswer{status: 403, reason: xenaauth.ReasonForbidden, detail: `Bearer error="insufficient_scope"`}
	outage := tourAnswer{status: 503, reason: xenaauth.ReasonUnavailable, detail: "Retry-After: 1"}

	return []tourSection{
		{"/healthz", "public", []tourStep{
			newStep("no token", nil, open),
		}},
		{"/readyz", "public", []tourStep{
			newStep("no token", nil, open),
		}},
		{"/Api/User/XenaUserMembership", "any user", []tourStep{
			newStep("no token", nil, missing(`Bearer`)),
			newStep("name and password (Basic)", []string{"Basic dXNlcjpwYXNzd29yZA=="}, missing(`Bearer`)),
			newStep("JWT", bearerField(jwt), allowed),
			newStep("opaque token", bearerField(opaque), allowed),
		}},
		{"/Api/User/FiscalSetup", "requires testapi", []tourStep{
			newStep("no token", nil, missing(`Bearer scope="testapi"`)),
			newStep("JWT", bearerField(jwt), allowed),
			newStep("JWT without the scope", with(openID, "otherapi"), lacking("testapi")),
			newStep("JWT, expired", bearerField(expired), invalid(xenaauth.ReasonExpired)),
			newStep("JWT for another audience", claiming("aud", "otherapi"), invalid(xenaauth.ReasonAudience)),
			newStep("JWT from another issuer", claiming("iss", "https://login.example"), invalid(xenaauth.ReasonIssuer)),
			newStep("JWT with a forged signature", bearerField(forgeSignature(jwt)), invalid(xenaauth.ReasonSignature)),
			newStep("JWT without a signature", bearerField(unsignedJWT(issuer)), invalid(xenaauth.ReasonAlgorithm)),
			newStep("ID token, replayed", bearerField(issuer.IDToken(user)), invalid(xenaauth.ReasonTokenType)),
			newStep("opaque token", bearerField(opaque), allowed),
			newStep("the same, revoked", bearerField(opaque), invalid(xenaauth.ReasonInactive)).
				prepareWith(func() { issuer.Revoke(opaque) }),
			newStep("two Authorization fields", append(bearerField(jwt), bearerField(jwt)...), malformed),
			newStep("a token with spaces in it", bearerField("not a token"), malformed),
		}},
		{"/Api/User/FiscalSetup", "with a token that is bound to a key of the client (DPoP)", []tourStep{
			newStep("JWT, bound", nil, allowed).sendWith(owner),
			newStep("the same, without its proof", []string{"DPoP " + owner.Token}, unproven),
		}},
		{"/Api/User/Profile", "requires testapi and profile", []tourStep{
			newStep("JWT with testapi only", with(testapi), lacking("testapi profile")),
			newStep("JWT with both", with(testapi, profile), allowed),
		}},
		{"/Api/User/Contact", "requires profile or email", []tourStep{
			newStep("JWT with neither", with(testapi), lacking("profile")),
			newStep("JWT with email", with(testapi, email), allowed),
		}},
		{"/Api/Fiscal/" + demoCompany + "/Order", "requires testapi, and that the user is in the company", []tourStep{
			newStep("JWT", bearerField(jwt), allowed),
		}},
		{"/Api/Fiscal/1/Order", "a company that the user is not in", []tourStep{
			newStep("JWT", bearerField(jwt), forbidden),
		}},
		{"/Api/User/FiscalSetup", "while the issuer is down", []tourStep{
			newStep("JWT", bearerField(jwt), allowed).prepareWith(issuer.Down),
			newStep("JWT, not seen before", with(testapi, openID), allowed),
			newStep("opaque token", bearerField(unseen), outage),
			newStep("the same, the issuer is back", bearerField(unseen), allowed).prepareWith(issuer.Heal),
		}},
	}
}

// bearerField returns the header field Authorization for a token.
func bearerField(token string) []string { return []string{"Bearer " + token} }

// forgeSignature returns a JWT with a wrong signature: it replaces the first character of the
// signature.
func forgeSignature(jwt string) string {
	at := strings.LastIndexByte(jwt, '.') + 1
	other := "A"
	if jwt[at] == 'A' {
		other = "B"
	}
	return jwt[:at] + other + jwt[at+1:]
}

// unsignedJWT returns a JWT whose header has the alg "none" and whose signature is empty.
func unsignedJWT(issuer *xenaauthtest.Issuer) string {
	jwt := issuer.JWT(xenaauthtest.Token{Subject: demoUser, Header: map[string]any{"alg": "none"}})
	return jwt[:strings.LastIndexByte(jwt, '.')+1]
}
