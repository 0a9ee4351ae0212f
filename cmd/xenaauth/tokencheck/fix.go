package tokencheck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
)

const askDoctor = "Run xenaauth doctor: it checks the issuer and says what to do."

// adviceByReason says what to do about a refusal. It has only the reasons for which the advice is
// always the same.
var adviceByReason = map[xenaauth.Reason]string{
	xenaauth.ReasonMalformedRequest: "Send the token alone, without quotes, spaces and line " +
		"breaks: it was perhaps cut or wrapped when it was copied.",
	xenaauth.ReasonAlgorithm: "Let the issuer sign access tokens with a supported " +
		"algorithm, and add it to XENA_ALGORITHMS if that is set.",
	xenaauth.ReasonUnknownKey: "Check that the token is from this issuer and not from its " +
		"test or production twin. If the issuer has withdrawn the key, the client needs a " +
		"new token.",
	xenaauth.ReasonSignature: "Check that the token was not cut or changed on its way. If " +
		"it was not, another server than the issuer signed it.",
	xenaauth.ReasonExpired: "The client needs a new token. If this token is new, a " +
		"clock is wrong: run xenaauth doctor.",
	xenaauth.ReasonNotYetValid: "The issuer's clock is ahead of the clock here: run " +
		"xenaauth doctor, and let both follow a time server.",
	xenaauth.ReasonInactive: "The client needs a new token. If this token is new, ask " +
		"the issuer's operator whether the client may use the API of " +
		"XENA_INTROSPECTION_CLIENT_ID: a token for another API is not active either.",
	xenaauth.ReasonSubject: "The token is from the client credentials grant. Use a " +
		"token of a user, or accept clients that act for themselves: " +
		"XENA_ALLOW_CLIENT_TOKENS=true. In code, Config.Subject can name the user of a " +
		"service account.",
	xenaauth.ReasonRevoked: "The client needs a new token.",
	xenaauth.ReasonProof: "The client must send a new proof of possession with each request, for " +
		"the method and the URL of this request.",
	xenaauth.ReasonProofNonce: "The client must send the request again, with the nonce of the " +
		"response in its proof.",
	xenaauth.ReasonProofReplayed: "The client must make a new proof of possession for each " +
		"request, also when it repeats a request.",
	xenaauth.ReasonForbidden: "With XENA_ALLOW_ANY_AUDIENCE every route must require a " +
		"scope: give one with --scope.",
}

// parsedCheck.advice returns what to do about a refusal. The parameter step is the step of the
// check at which the token was refused.
func (e *parsedCheck) advice(step string, refusal *xenaauth.Error) string {
	cause := setting.Cause(refusal)
	answered := refusal.Reason != xenaauth.ReasonInactive && refusal.Reason != xenaauth.ReasonUnavailable
	if step == StepIntrospection && answered {
		return "The introspection response of the issuer does not fit the configuration. Compare " +
			"the claims of both."
	}
	switch refusal.Reason {
	case xenaauth.ReasonIssuer:
		return e.fixIssuer(cause)
	case xenaauth.ReasonAudience:
		return "Use a token for this API: the client must request one of its scopes. If aud " +
			"names this API by another name, add that to XENA_AUDIENCE."
	case xenaauth.ReasonLifetime:
		return e.fixLifetime()
	case xenaauth.ReasonTokenType:
		return fixKind(cause)
	case xenaauth.ReasonClaims:
		return fixClaims(cause)
	case xenaauth.ReasonConfirmation:
		if strings.HasPrefix(cause, "the token has no cnf") {
			return "The client must get a token that is bound to a key: it sends a DPoP proof (RFC " +
				"9449) or a client certificate (RFC 8705) to the issuer when it requests the token."
		}
		return "The token is bound to a key of the client (cnf), so it passes only with a proof of " +
			"possession, and the service must check this proof: DPoP (RFC 9449) with " +
			"XENA_DPOP=accepted, dpop.FromEnv and XENA_PUBLIC_ORIGINS, or a client certificate " +
			"(RFC 8705) with package mtls."
	case xenaauth.ReasonMalformedToken:
		return e.fixMalformed(cause)
	case xenaauth.ReasonInsufficientScope:
		return e.fixScope()
	case xenaauth.ReasonUnavailable:
		if e.Offline {
			return "This step needs the issuer: run the command without --offline."
		}
		return askDoctor
	}
	return adviceByReason[refusal.Reason]
}

func (e *parsedCheck) fixIssuer(cause string) string {
	if e.claimSet == nil || e.claimSet.Issuer == "" {
		return "Check that the token is an access token of the issuer in XENA_ISSUER."
	}
	if strings.Contains(cause, ": only ") {
		return "Set XENA_ISSUER to exactly what the issuer writes: " +
			"XENA_ISSUER=" + setting.QuoteForOutput(e.claimSet.Issuer) + "."
	}
	return "Use a token of the issuer in XENA_ISSUER. If this service should trust the issuer of " +
		"this token, set XENA_ISSUER=" +
		setting.QuoteForOutput(e.claimSet.Issuer) + "."
}

func (e *parsedCheck) fixLifetime() string {
	if e.claimSet == nil || e.claimSet.ExpiresAt == 0 || e.claimSet.NotBefore == 0 && e.claimSet.IssuedAt == 0 {
		return "Let the issuer write nbf or iat into access tokens, or set " +
			"XENA_ALLOW_ANY_LIFETIME=true."
	}
	from := e.claimSet.NotBefore
	if from == 0 {
		from = e.claimSet.IssuedAt
	}
	have := e.claimSet.ExpiresAt - from
	if have <= 0 || have > int64(100*365*24*time.Hour/time.Second) {
		return "Lower the lifetime of access tokens at the issuer."
	}
	return fmt.Sprintf("Lower the lifetime of access tokens at the issuer, or set "+
		"XENA_MAX_TOKEN_LIFETIME=%s.",
		time.Duration(have)*time.Second)
}

func fixKind(cause string) string {
	switch {
	case strings.Contains(cause, "ID token"), strings.HasPrefix(cause, "scope and scp"):
		return "Send the access token, not the ID token: the client got both from the issuer."
	case strings.Contains(cause, "logout token"):
		return "Send an access token. A logout token belongs to the back-channel logout endpoint."
	}
	return "Send an access token: this is another kind of token."
}

func fixClaims(cause string) string {
	switch {
	case strings.HasPrefix(cause, "exp "):
		return "Let the issuer write exp into access tokens: tokens without an end are not " +
			"accepted."
	case strings.Contains(cause, "Config.ClientClaims"):
		return "Check which claim names the client, and set XENA_CLIENT_CLAIMS to it: Okta " +
			"writes cid, Entra ID v1 and AD FS write appid."
	case strings.Contains(cause, "Config.AllowMissingClientID"):
		return "If the issuer never names the client in introspection responses, set " +
			"XENA_ALLOW_MISSING_CLIENT_ID=true."
	case isAboutProfile(cause):
		return "Let the issuer follow RFC 9068, or remove XENA_PROFILE=rfc9068."
	}
	return "Ask the issuer's operator to correct the claim."
}

func (e *parsedCheck) fixMalformed(cause string) string {
	switch {
	case strings.Contains(cause, "Introspection is not set"):
		return "If the issuer issues opaque tokens, set XENA_INTROSPECTION_CLIENT_ID and " +
			"XENA_INTROSPECTION_CLIENT_SECRET. If it issues JWTs, this is no JWT: it was perhaps " +
			"cut when it was copied."
	case strings.HasPrefix(cause, "token has "):
		return "Let the issuer write smaller tokens, or set a larger XENA_MAX_TOKEN_LENGTH " +
			"(XENA_INTROSPECTION_MAX_TOKEN_LENGTH for opaque tokens)."
	}
	return "Check that the whole token was copied: it is not a JWS in compact form."
}

// parsedCheck.fixScope returns advice that names the missing scope. If the token has a scope with a
// similar name, the advice names this scope too.
func (e *parsedCheck) fixScope() string {
	var have []string
	if e.claimSet != nil {
		have = e.claimSet.Scopes
	}
	for _, want := range e.Scopes {
		if slices.Contains(have, want) {
			continue
		}
		for _, s := range have {
			if areSimilar(s, want) {
				return fmt.Sprintf("The token has %s, the route requires %s: one of them is "+
					"probably a typing error. Correct the requirement of the route.",
					setting.QuoteForOutput(s), setting.QuoteForOutput(want))
			}
		}
		return fmt.Sprintf("The client must request the scope %s, and the user must allow it. "+
			"Check also that the route requires the right scope.", setting.QuoteForOutput(want))
	}
	return "The client must request the scopes of the route."
}

// areSimilar reports whether two words are nearly the same: they differ in case, or at most two
// letters were added, removed or changed. If one of the words is very short (2 bytes or fewer) or
// very long (more than 100 bytes), the words may differ in case only.
func areSimilar(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	const most, longest = 2, 100
	if len(a) > longest || len(b) > longest || len(a) <= most || len(b) <= most {
		return a == b
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)] <= most
}
