// Package tokencheck says step by step how a Validator has checked an access token: what each step
// found, at which step the token was refused, why, and what to do. The package decides nothing. It
// takes the decision from a Middleware or a Validator, and finds the step that belongs to the
// reason and the cause of the refusal.
package tokencheck

import (
	"slices"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// Check describes an access token, and the decision of a Validator about it. It is the input of
// [Explain].
type Check struct {
	// Config is the configuration of the Validator.
	Config xenaauth.Config
	// Token is the access token. No text in the result contains it.
	Token string
	// Refusal is the decision about the token. It is nil if the token was accepted.
	Refusal *xenaauth.Error
	// Scopes are the scopes that the route of the request requires.
	Scopes []string
	// JWKS is the issuer's JWK set that the Validator used. If it is "", the result does not say
	// which keys fit the token.
	JWKS string
	// Introspection is the issuer's introspection response for the token: the body of a response
	// with status 200. It is "" if there is none.
	Introspection string
	// Offline is true if the issuer was deliberately not called. If a step then fails because it
	// needs the issuer, its field Fix says to run the command without --offline.
	Offline bool
}

// State is the result of one step in the check of a token.
type State string

// These constants are the possible results of a step in the check of a token.
const (
	Held       State = "held"
	Failed     State = "failed"
	Unknown    State = "unknown" // Unknown: the step has no result, because it could not be made
	NotReached State = "not reached"
)

// Step is one step of the check of a token.
type Step struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what the token contains for this step, for example its issuer. Found is set only if
	// the token has passed the step.
	Found string `json:"found,omitempty"`
	// Why says why the token failed this step, or why the result of the step is unknown, and Fix
	// says what to do. Both are "" for all other steps.
	Why string `json:"why,omitempty"`
	Fix string `json:"fix,omitempty"`
}

// Claim is a claim with its value as JSON. A value of more than 200 bytes is cut, and a word such
// as "[a JWT]" stands in place of a token in the name or in the value.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Explanation says what happened in the check of a token.
type Explanation struct {
	// Steps are the steps of the check, in the order in which the Validator makes them.
	Steps []Step `json:"steps"`
	// Claims are the claims of the token, or those in its introspection response.
	Claims []Claim `json:"claims,omitempty"`
	// Verified reports whether the claims are really from the issuer: the signature is valid, or
	// the claims are from an introspection response.
	Verified bool `json:"verified"`
}

// Explain explains how a token was checked. It makes no calls to the issuer.
func Explain(c Check) Explanation {
	e := parsedCheck{Check: c}
	e.parseToken()
	x := Explanation{Claims: e.claimList()}
	steps := e.stepNames()
	stopIndex := len(steps)
	if c.Refusal != nil {
		// If the step of the refusal is not known, stopIndex is 0: the explanation must not say
		// that the token passed other steps.
		stopIndex = max(0, slices.Index(steps, e.failingStep(c.Refusal)))
	}
	for i, name := range steps {
		s := Step{Name: name, State: Held}
		switch {
		case i < stopIndex:
			s.Found = e.foundAt(name)
		case i > stopIndex:
			s.State = NotReached
		default:
			s.State = Failed
			if c.Refusal.StatusCode() == 503 {
				s.State = Unknown
			}
			s.Why = e.withoutTokens(setting.Names{}.ReplaceFields(setting.Cause(c.Refusal)))
			s.Fix = e.advice(name, c.Refusal)
		}
		x.Steps = append(x.Steps, s)
		if name == StepSignature || name == StepIntrospection && !e.isVerifiedLocally {
			x.Verified = i < stopIndex
		}
	}
	return x
}

// A parsedCheck is a Check together with the parsed parts of its token.
type parsedCheck struct {
	Check

	// isVerifiedLocally is true if the Validator itself verifies the token, with the keys of the
	// issuer. Then the token is a JWT.
	isVerifiedLocally bool
	header            *jose.Header // header is the header of a JWT; nil for other tokens
	headerErr         error
	// claimSet has the claims of the JWT or of the introspection response. It is nil if there are
	// no claims.
	claimSet  *claims.Set
	claimsErr error
}

// parsedCheck.hasIntrospection reports whether the issuer has sent an introspection response about
// the token.
func (e *parsedCheck) hasIntrospection() bool { return e.Introspection != "" }

// parsedCheck.parseToken parses the token, or its introspection response, with the same functions
// as the Validator.
func (e *parsedCheck) parseToken() {
	e.isVerifiedLocally = !e.Config.AlwaysIntrospect && jose.IsJWT(e.Token)
	if !e.isVerifiedLocally {
		if e.hasIntrospection() {
			e.claimSet, e.claimsErr = claims.Parse(e.Introspection, claims.Answer)
		}
		return
	}
	token, _ := jose.Split(e.Token)
	e.header, e.headerErr = jose.ParseHeader(token.Header())
	payload, err := token.Payload()
	if err != nil {
		e.claimsErr = err
		return
	}
	e.claimSet, e.claimsErr = claims.Parse(payload, claims.JWT)
}
