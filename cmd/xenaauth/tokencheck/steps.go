package tokencheck

import (
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// These are the names of the steps in the check of a token.
const (
	StepToken         = "token"
	StepHeader        = "header"
	StepClaims        = "claims"
	StepIssuer        = "issuer"
	StepKind          = "token type"
	StepTimes         = "times"
	StepAudience      = "audience"
	StepParties       = "client"
	StepBinding       = "binding"
	StepProfile       = "profile"
	StepScopeClaim    = "scope claim"
	StepKeys          = "keys"
	StepSignature     = "signature"
	StepIntrospection = "introspection"
	StepUser          = "user"
	StepRoute         = "route"
)

// policySteps are the steps that check the claims of a token.
var policySteps = []string{
	StepIssuer, StepKind, StepTimes, StepAudience, StepParties, StepBinding, StepProfile,
}

// parsedCheck.stepNames returns the steps of the check in the order in which the Validator makes
// them.
func (e *parsedCheck) stepNames() (steps []string) {
	policy := policySteps
	if e.Config.Profile != xenaauth.ProfileRFC9068 || !e.isVerifiedLocally {
		policy = slices.DeleteFunc(slices.Clone(policy), func(s string) bool { return s == StepProfile })
	}
	steps = append(steps, StepToken)
	if e.isVerifiedLocally {
		steps = append(steps, StepHeader, StepClaims)
		steps = append(steps, policy...)
		if e.Config.Profile != xenaauth.ProfileRFC9068 {
			steps = append(steps, StepScopeClaim)
		}
		steps = append(steps, StepKeys, StepSignature)
		if e.Config.RequireActive {
			steps = append(steps, StepIntrospection)
		}
	} else if e.Config.Introspection != nil {
		steps = append(append(steps, StepIntrospection), policy...)
	}
	return append(steps, StepUser, StepRoute)
}

// parsedCheck.failingStep returns the step at which the token was refused. It finds the step from
// the reason of the refusal, and from the first words of the cause, which name a claim or a
// document.
func (e *parsedCheck) failingStep(refusal *xenaauth.Error) string {
	cause := setting.Cause(refusal)
	step := e.failingPolicyStep(refusal, cause)
	if step == "" {
		step = e.failingOtherStep(refusal, cause)
	}
	if e.isVerifiedLocally && e.Config.RequireActive && e.hasIntrospection() && step != StepUser && step != StepRoute {
		// The JWT itself is valid, so the refusal is about the issuer's introspection response.
		return StepIntrospection
	}
	return step
}

// parsedCheck.failingPolicyStep returns the step at which the token was refused because of its
// claims, or because of a proof of possession. For every other refusal, it returns "".
func (e *parsedCheck) failingPolicyStep(refusal *xenaauth.Error, cause string) string {
	switch refusal.Reason {
	case xenaauth.ReasonIssuer:
		return StepIssuer
	case xenaauth.ReasonAudience:
		return StepAudience
	case xenaauth.ReasonExpired, xenaauth.ReasonNotYetValid, xenaauth.ReasonLifetime:
		return StepTimes
	case xenaauth.ReasonConfirmation:
		if strings.HasPrefix(cause, "the token has no cnf") {
			return StepRoute // the token is valid, but the route requires a bound token
		}
		return StepBinding
	case xenaauth.ReasonProof, xenaauth.ReasonProofNonce, xenaauth.ReasonProofReplayed:
		// The token is valid, but the request has no valid proof of possession.
		return StepRoute
	case xenaauth.ReasonTokenType:
		switch {
		case strings.HasPrefix(cause, "scope and scp are missing"):
			return StepScopeClaim
		case strings.HasPrefix(cause, "an audience"):
			return StepAudience
		}
		return StepKind
	case xenaauth.ReasonClaims:
		switch {
		case e.isVerifiedLocally && e.claimsErr != nil:
			return StepClaims
		case strings.HasPrefix(cause, "introspection response"):
			return StepIntrospection
		case strings.HasPrefix(cause, "exp "):
			return StepTimes
		case e.Config.Profile == xenaauth.ProfileRFC9068 && isAboutProfile(cause):
			return StepProfile
		}
		return StepParties
	}
	return ""
}

// isAboutProfile reports whether a token was refused because of a claim that RFC 9068 requires and
// other profiles don't require. The parameter is the cause of the refusal.
func isAboutProfile(cause string) bool {
	name, rest, _ := strings.Cut(cause, " ")
	return rest == "is missing" && slices.Contains([]string{"aud", "sub", "iat", "jti"}, name) ||
		cause == "scope is not a string"
}

// parsedCheck.failingOtherStep returns the step at which the token was refused. It is for the
// refusals for which failingPolicyStep returns "".
func (e *parsedCheck) failingOtherStep(refusal *xenaauth.Error, cause string) string {
	switch refusal.Reason {
	case xenaauth.ReasonAlgorithm:
		if e.headerErr == nil && strings.HasPrefix(cause, "the issuer publishes no key") {
			return StepKeys
		}
		return StepHeader
	case xenaauth.ReasonMalformedToken:
		return e.malformedStep()
	case xenaauth.ReasonUnknownKey:
		return StepKeys
	case xenaauth.ReasonSignature:
		return StepSignature
	case xenaauth.ReasonInactive:
		return StepIntrospection
	case xenaauth.ReasonSubject, xenaauth.ReasonRevoked:
		return StepUser
	case xenaauth.ReasonInsufficientScope, xenaauth.ReasonForbidden:
		return StepRoute
	case xenaauth.ReasonUnavailable:
		fetched := strings.HasPrefix(cause, "key set:") ||
			strings.HasPrefix(cause, "metadata:") && e.Config.JWKSURL == ""
		switch {
		case !e.isVerifiedLocally:
			return StepIntrospection
		case fetched:
			return StepKeys
		case cause == jose.ErrTries.Error():
			return StepSignature
		case e.Config.RequireActive:
			return StepIntrospection
		}
		return StepKeys
	}
	return StepToken
}

// parsedCheck.malformedStep returns the step that belongs to the malformed part of the token: the
// token as a whole, its header, its claims or its signature.
func (e *parsedCheck) malformedStep() string {
	limit := e.Config.MaxTokenLength
	if limit == 0 {
		limit = xenaauth.DefaultMaxTokenLength
	}
	switch {
	case !e.isVerifiedLocally, len(e.Token) > limit:
		return StepToken
	case e.headerErr != nil:
		return StepHeader
	case e.claimsErr != nil:
		return StepClaims
	}
	return StepSignature
}
