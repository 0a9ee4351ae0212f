package explain

import (
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// These are the names of the steps in the output.
const (
	stepToken         = "token"
	stepHeader        = "header"
	stepClaims        = "claims"
	stepIssuer        = "issuer"
	stepKind          = "token type"
	stepTimes         = "times"
	stepAudience      = "audience"
	stepParties       = "client"
	stepBinding       = "binding"
	stepProfile       = "profile"
	stepScopeClaim    = "scope claim"
	stepKeys          = "keys"
	stepSignature     = "signature"
	stepIntrospection = "introspection"
	stepUser          = "user"
	stepRoute         = "route"
)

// policySteps are the steps that check the claims.
var policySteps = []string{
	stepIssuer, stepKind, stepTimes, stepAudience, stepParties, stepBinding, stepProfile,
}

// An explanation holds what the command has found out about a token.
type explanation struct {
	cfg      xenaauth.Config
	token    string
	scopes   []string // the scopes that the route requires
	offline  bool
	recorder *recording.Recorder

	local     bool         // the keys of the issuer verify the token, without introspection
	header    *jose.Header // the header of a JWT; nil for other tokens
	headerErr error
	set       *claims.Set // claims of the JWT or introspection response; nil if there are none
	setErr    error
	asked     bool // the issuer responded to an introspection call
}

// read parses the parts of the token with the same functions as the Validator.
func (e *explanation) read() {
	call, _ := e.recorder.Last(recording.Introspection)
	e.asked = call.Status == 200
	e.local = !e.cfg.AlwaysIntrospect && jose.IsJWT(e.token)
	if !e.local {
		if e.asked {
			e.set, e.setErr = claims.Parse(call.Body, claims.Answer)
		}
		return
	}
	token, _ := jose.Split(e.token)
	e.header, e.headerErr = jose.ParseHeader(token.Header())
	payload, err := token.Payload()
	if err != nil {
		e.setErr = err
		return
	}
	e.set, e.setErr = claims.Parse(payload, claims.JWT)
}

// order returns the steps in the order in which the Validator makes them.
func (e *explanation) order() (steps []string) {
	policy := policySteps
	if e.cfg.Profile != xenaauth.ProfileRFC9068 || !e.local {
		policy = slices.DeleteFunc(slices.Clone(policy), func(s string) bool { return s == stepProfile })
	}
	steps = append(steps, stepToken)
	if e.local {
		steps = append(steps, stepHeader, stepClaims)
		steps = append(steps, policy...)
		if e.cfg.Profile != xenaauth.ProfileRFC9068 {
			steps = append(steps, stepScopeClaim)
		}
		steps = append(steps, stepKeys, stepSignature)
		if e.cfg.RequireActive {
			steps = append(steps, stepIntrospection)
		}
	} else if e.cfg.Introspection != nil {
		steps = append(append(steps, stepIntrospection), policy...)
	}
	return append(steps, stepUser, stepRoute)
}

// failing returns the step that failed. It finds the step from the reason of the refusal and from
// the first words of the cause, which name a claim or a document.
func (e *explanation) failing(refusal *xenaauth.Error) string {
	cause := setting.Cause(refusal)
	step := e.failingPolicy(refusal, cause)
	if step == "" {
		step = e.failingElsewhere(refusal, cause)
	}
	if e.local && e.cfg.RequireActive && e.asked && step != stepUser && step != stepRoute {
		return stepIntrospection // the JWT is valid, so the issuer's response is the cause
	}
	return step
}

// failingPolicy returns the step that failed if the claims caused the refusal. Otherwise it returns
// "".
func (e *explanation) failingPolicy(refusal *xenaauth.Error, cause string) string {
	switch refusal.Reason {
	case xenaauth.ReasonIssuer:
		return stepIssuer
	case xenaauth.ReasonAudience:
		return stepAudience
	case xenaauth.ReasonExpired, xenaauth.ReasonNotYetValid, xenaauth.ReasonLifetime:
		return stepTimes
	case xenaauth.ReasonConfirmation:
		return stepBinding
	case xenaauth.ReasonTokenType:
		switch {
		case strings.HasPrefix(cause, "scope and scp are missing"):
			return stepScopeClaim
		case strings.HasPrefix(cause, "an audience"):
			return stepAudience
		}
		return stepKind
	case xenaauth.ReasonClaims:
		switch {
		case e.local && e.setErr != nil:
			return stepClaims
		case strings.HasPrefix(cause, "introspection response"):
			return stepIntrospection
		case strings.HasPrefix(cause, "exp "):
			return stepTimes
		case e.cfg.Profile == xenaauth.ProfileRFC9068 && isProfile(cause):
			return stepProfile
		}
		return stepParties
	}
	return ""
}

// isProfile reports whether a cause is about a claim that RFC 9068 requires and other profiles
// don't.
func isProfile(cause string) bool {
	name, rest, _ := strings.Cut(cause, " ")
	return rest == "is missing" && slices.Contains([]string{"aud", "sub", "iat", "jti"}, name) ||
		cause == "scope is not a string"
}

// failingElsewhere returns the step that failed if the claims did not cause the refusal.
func (e *explanation) failingElsewhere(refusal *xenaauth.Error, cause string) string {
	switch refusal.Reason {
	case xenaauth.ReasonAlgorithm:
		if e.headerErr == nil && strings.HasPrefix(cause, "the issuer publishes no key") {
			return stepKeys
		}
		return stepHeader
	case xenaauth.ReasonMalformedToken:
		return e.malformed()
	case xenaauth.ReasonUnknownKey:
		return stepKeys
	case xenaauth.ReasonSignature:
		return stepSignature
	case xenaauth.ReasonInactive:
		return stepIntrospection
	case xenaauth.ReasonSubject:
		return stepUser
	case xenaauth.ReasonInsufficientScope, xenaauth.ReasonForbidden:
		return stepRoute
	case xenaauth.ReasonUnavailable:
		fetched := strings.HasPrefix(cause, "key set:") ||
			strings.HasPrefix(cause, "metadata:") && e.cfg.JWKSURL == ""
		switch {
		case !e.local:
			return stepIntrospection
		case fetched:
			return stepKeys
		case cause == jose.ErrTries.Error():
			return stepSignature
		case e.cfg.RequireActive:
			return stepIntrospection
		}
		return stepKeys
	}
	return stepToken
}

// malformed returns the step of the part of the token that is malformed.
func (e *explanation) malformed() string {
	limit := e.cfg.MaxTokenLength
	if limit == 0 {
		limit = xenaauth.DefaultMaxTokenLength
	}
	switch {
	case !e.local, len(e.token) > limit:
		return stepToken
	case e.headerErr != nil:
		return stepHeader
	case e.setErr != nil:
		return stepClaims
	}
	return stepSignature
}
