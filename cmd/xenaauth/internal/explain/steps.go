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

// The steps, by the names that are shown.
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

// policySteps are the steps that look at the claims.
var policySteps = []string{
	stepIssuer, stepKind, stepTimes, stepAudience, stepParties, stepBinding, stepProfile,
}

// explanation is what the command knows about a token.
type explanation struct {
	cfg      xenaauth.Config
	token    string
	scopes   []string // that the route requires
	offline  bool
	recorder *recording.Recorder

	local     bool         // the token is verified with the keys of the issuer
	header    *jose.Header // of a JWT, or nil
	headerErr error
	set       *claims.Set // of the JWT or of the introspection response, or nil
	setErr    error
	asked     bool // the issuer answered an introspection call
}

// read reads the parts of the token, with the functions that the Validator uses.
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

// order returns the steps in the order in which the Validator takes them.
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

// failing returns the step at which the Validator stopped. It depends on the reason, and on the first
// words of the cause, which name the claim or the document.
func (e *explanation) failing(refusal *xenaauth.Error) string {
	cause := setting.Cause(refusal)
	step := e.failingPolicy(refusal, cause)
	if step == "" {
		step = e.failingElsewhere(refusal, cause)
	}
	if e.local && e.cfg.RequireActive && e.asked && step != stepUser && step != stepRoute {
		return stepIntrospection // the JWT itself is good: the cause is about the response
	}
	return step
}

// failingPolicy returns the step for a refusal because of the claims, or "".
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

// isProfile reports whether a cause is about a claim that only RFC 9068 requires.
func isProfile(cause string) bool {
	name, rest, _ := strings.Cut(cause, " ")
	return rest == "is missing" && slices.Contains([]string{"aud", "sub", "iat", "jti"}, name) ||
		cause == "scope is not a string"
}

// failingElsewhere returns the step for a refusal whose reason is not about the claims.
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

// malformed returns the part of the token that is malformed.
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
