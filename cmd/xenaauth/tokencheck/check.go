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

// Check is a check of an access token, after the decision.
type Check struct {
	// Config is the configuration of the Validator.
	Config xenaauth.Config
	// Token is the access token. No text in the result contains it.
	Token string
	// Refusal is the decision. It is nil if the token may pass.
	Refusal *xenaauth.Error
	// Scopes are the scopes that the route requires.
	Scopes []string
	// JWKS is the issuer's JWK set that the Validator used. If "", the result does not say which keys
	// fit the token.
	JWKS string
	// Introspection is the issuer's introspection response for the token: the body of a response with
	// status 200. It is "" if there is none.
	Introspection string
	// Offline is true if the issuer was deliberately not called. If a step needs the issuer, the
	// Fix of this step then says so.
	Offline bool
}

// State is the result of one step.
type State string

// These constants are the possible results of a step.
const (
	Held       State = "held"
	Failed     State = "failed"
	Unknown    State = "unknown" // Unknown: the issuer did not respond, so the step has no result
	NotReached State = "not reached"
)

// Step is one step of the check of a token.
type Step struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Found is what the token contains about the step. Found is set only if the check of this step
	// passed.
	Found string `json:"found,omitempty"`
	// Why and Fix are set only for the step that failed.
	Why string `json:"why,omitempty"`
	Fix string `json:"fix,omitempty"`
}

// Claim is a claim with its value as JSON.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Explanation is what happened in a check.
type Explanation struct {
	// Steps are the steps in the order in which the Validator makes them.
	Steps []Step `json:"steps"`
	// Claims are from the token or from the introspection response.
	Claims []Claim `json:"claims,omitempty"`
	// Verified reports whether the claims are really from the issuer: the signature is valid, or
	// the claims are from an introspection response.
	Verified bool `json:"verified"`
}

// Explain explains a check. It makes no calls.
func Explain(c Check) Explanation {
	e := explanation{Check: c}
	e.read()
	x := Explanation{Claims: e.claimList()}
	steps := e.order()
	stop := len(steps)
	if c.Refusal != nil {
		// If it is not known which step failed, the explanation must not say that other steps
		// passed.
		stop = max(0, slices.Index(steps, e.failing(c.Refusal)))
	}
	for i, name := range steps {
		s := Step{Name: name, State: Held}
		switch {
		case i < stop:
			s.Found = e.found(name)
		case i > stop:
			s.State = NotReached
		default:
			s.State = Failed
			if c.Refusal.StatusCode() == 503 {
				s.State = Unknown
			}
			s.Why = e.clean(setting.Names{}.In(setting.Cause(c.Refusal)))
			s.Fix = e.fix(name, c.Refusal)
		}
		x.Steps = append(x.Steps, s)
		if name == StepSignature || name == StepIntrospection && !e.local {
			x.Verified = i < stop
		}
	}
	return x
}

// An explanation holds what was found out about a token.
type explanation struct {
	Check

	// local says that the token is a JWT whose signature the Validator verifies itself, with the
	// keys of the issuer.
	local     bool
	header    *jose.Header // header is the header of a JWT; nil for other tokens
	headerErr error
	// set are the claims of the JWT or of the introspection response; nil if there are none
	set    *claims.Set
	setErr error
}

// The method asked reports whether the issuer responded to an introspection call.
func (e *explanation) asked() bool { return e.Introspection != "" }

// The method read parses the parts of the token with the same functions as the Validator.
func (e *explanation) read() {
	e.local = !e.Config.AlwaysIntrospect && jose.IsJWT(e.Token)
	if !e.local {
		if e.asked() {
			e.set, e.setErr = claims.Parse(e.Introspection, claims.Answer)
		}
		return
	}
	token, _ := jose.Split(e.Token)
	e.header, e.headerErr = jose.ParseHeader(token.Header())
	payload, err := token.Payload()
	if err != nil {
		e.setErr = err
		return
	}
	e.set, e.setErr = claims.Parse(payload, claims.JWT)
}
