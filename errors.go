package xenaauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Reason is a stable word that says why a request was refused. There are few reasons, so a Reason
// can be a metric label. A Reason may be shown to clients.
type Reason string

// These are the reasons of refusals. The comment of each reason says the status of the response,
// and the error code in its challenge.
const (
	// ReasonMissingToken is 401 without an error code: the request has no credentials, or
	// credentials of a scheme that is not accepted.
	ReasonMissingToken Reason = "missing_token"
	// ReasonMalformedRequest is 400 invalid_request: Authorization is repeated, too long or
	// malformed.
	ReasonMalformedRequest Reason = "malformed_request"
	// ReasonMalformedToken is 401 invalid_token: the token is too long, or is neither a JWT nor a
	// token that is introspected.
	ReasonMalformedToken Reason = "malformed_token"
	// ReasonTokenType is 401 invalid_token: an ID token, a logout token or another token that is
	// not an access token.
	ReasonTokenType Reason = "token_type"
	// ReasonAlgorithm is 401 invalid_token: the JWT's header has an algorithm or a member that is
	// not accepted, or the issuer publishes no key for the algorithm.
	ReasonAlgorithm Reason = "algorithm"
	// ReasonUnknownKey is 401 invalid_token: the issuer does not publish the key that the JWT
	// names.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonSignature is 401 invalid_token: the issuer's keys do not verify the signature.
	ReasonSignature Reason = "signature"
	// ReasonIssuer is 401 invalid_token: the token is from another issuer.
	ReasonIssuer Reason = "issuer"
	// ReasonAudience is 401 invalid_token: the token is for another API.
	ReasonAudience Reason = "audience"
	// ReasonExpired is 401 invalid_token: exp is in the past.
	ReasonExpired Reason = "expired"
	// ReasonNotYetValid is 401 invalid_token: nbf or iat is in the future.
	ReasonNotYetValid Reason = "not_yet_valid"
	// ReasonLifetime is 401 invalid_token: the token is valid for longer than this API accepts, or
	// its lifetime is unknown.
	ReasonLifetime Reason = "lifetime"
	// ReasonClaims is 401 invalid_token: a claim is missing or has an unusable value, or the
	// introspection response is about another user or client than the JWT.
	ReasonClaims Reason = "claims"
	// ReasonSubject is 401 invalid_token: the token names no user.
	ReasonSubject Reason = "subject"
	// ReasonConfirmation is 401 invalid_token: the token is bound to a key, and possession of this
	// key was not proven. It is also the reason if the route, or the scheme of the request,
	// requires a bound token and the token is not bound.
	ReasonConfirmation Reason = "confirmation"
	// ReasonProof is 401 invalid_dpop_proof: the proof of possession is missing or wrong (RFC 9449,
	// section 7.1).
	ReasonProof Reason = "proof"
	// ReasonProofNonce is 401 use_dpop_nonce: the proof of possession needs the nonce that the
	// response contains (RFC 9449, section 9). Clients send such requests in normal operation.
	ReasonProofNonce Reason = "proof_nonce"
	// ReasonProofReplayed is 401 invalid_dpop_proof: the proof of possession was used before (RFC
	// 9449, section 11.1).
	ReasonProofReplayed Reason = "proof_replayed"
	// ReasonInactive is 401 invalid_token: the issuer says that the token is not active.
	ReasonInactive Reason = "inactive"
	// ReasonRevoked is 401 invalid_token: the token was revoked at this service.
	ReasonRevoked Reason = "revoked"
	// ReasonInsufficientScope is 403 insufficient_scope: the token lacks a scope.
	ReasonInsufficientScope Reason = "insufficient_scope"
	// ReasonForbidden is 403 insufficient_scope: a policy (Where or WhereRequest) refused the user,
	// the requirement is the zero Requirement, or [Config.AllowAnyAudience] is set and the route
	// requires no scope.
	ReasonForbidden Reason = "forbidden"
	// ReasonAmbiguousTarget is 400 invalid_request: servers may read the path or host of the
	// request differently.
	ReasonAmbiguousTarget Reason = "ambiguous_target"
	// ReasonNoRule is 403 without an error code: no rule of the route table matches the request,
	// the matching rule denies the request, or the field Access of this rule is not set.
	ReasonNoRule Reason = "no_rule"
	// ReasonUnavailable is 503 without an error code: the token can't be checked now.
	ReasonUnavailable Reason = "unavailable"
)

// reasonResponse is the part of the HTTP response that is the same for all refusals with one
// Reason.
type reasonResponse struct {
	status int
	// code is the error code in the challenge (RFC 6750, section 3.1; RFC 9449, section 7.1)
	code        string
	description string
}

// reasonResponses contains a reasonResponse for each Reason: the status, the error code and the
// description.
var reasonResponses = map[Reason]reasonResponse{
	ReasonMissingToken:      {401, "", "This resource needs an access token."},
	ReasonMalformedRequest:  {400, "invalid_request", "The Authorization field is malformed."},
	ReasonMalformedToken:    {401, "invalid_token", "The access token is malformed."},
	ReasonTokenType:         {401, "invalid_token", "The token is not an access token."},
	ReasonAlgorithm:         {401, "invalid_token", "The access token is signed in a way that is not accepted."},
	ReasonUnknownKey:        {401, "invalid_token", "The access token is signed with an unknown key."},
	ReasonSignature:         {401, "invalid_token", "The signature of the access token does not verify."},
	ReasonIssuer:            {401, "invalid_token", "The access token is from another issuer."},
	ReasonAudience:          {401, "invalid_token", "The access token is for another audience."},
	ReasonExpired:           {401, "invalid_token", "The access token has expired."},
	ReasonNotYetValid:       {401, "invalid_token", "The access token is not valid yet."},
	ReasonLifetime:          {401, "invalid_token", "The access token is valid for too long."},
	ReasonClaims:            {401, "invalid_token", "The access token lacks a claim or has an unusable one."},
	ReasonSubject:           {401, "invalid_token", "The access token stands for no user."},
	ReasonConfirmation:      {401, "invalid_token", "The access token is bound to a key that was not shown."},
	ReasonProof:             {401, "invalid_dpop_proof", "The proof of possession is missing or wrong."},
	ReasonProofNonce:        {401, "use_dpop_nonce", "The proof of possession needs the nonce of this response."},
	ReasonProofReplayed:     {401, "invalid_dpop_proof", "The proof of possession was used before."},
	ReasonInactive:          {401, "invalid_token", "The access token is not active."},
	ReasonRevoked:           {401, "invalid_token", "The access token was revoked."},
	ReasonInsufficientScope: {403, "insufficient_scope", "The access token lacks a scope."},
	ReasonForbidden:         {403, "insufficient_scope", "The access token does not allow this."},
	ReasonAmbiguousTarget:   {400, "invalid_request", "The request target is ambiguous."},
	ReasonNoRule:            {403, "", "No rule allows this request."},
	ReasonUnavailable:       {503, "", "Access tokens can't be checked just now."},
}

// Error is a refusal. A client may see its Reason, Code, StatusCode, Scopes, RetryAfter and Params,
// and its JSON form. The text of Error is for logs: it says which value was expected and which
// value the token has. Values of the token are quoted, and long values are cut. An Error of this
// package contains no token, no secret and no address of a server, except the issuer's name. But
// Err may be the error of a [TokenValidator], a policy, a Proof or [Config.Subject] of your own,
// with any text.
//
// Your own [TokenValidator] or policy may return an Error to choose the response. An unknown Reason
// counts as ReasonUnavailable.
type Error struct {
	Reason Reason
	// Scopes are a set of scopes that the token needs for this route. The client can request them
	// from the issuer. The challenge contains Scopes (RFC 6750, section 3).
	Scopes []string
	// RetryAfter is how long the client should wait, if the Reason is ReasonUnavailable. If it is
	// 0, the client is told to wait for one second.
	RetryAfter time.Duration
	// Params are further parameters of the challenge, for example acr_values and max_age (RFC
	// 9470). If the Reason has an error code, Params may replace it: Params["error"] replaces the
	// error code of the Reason, and Params["error_description"] replaces its description.
	//
	// A challenge leaves out a parameter if the name is not a token (RFC 9110, section 5.6.2), or
	// has upper-case letters or more than 64 bytes. It also leaves out a parameter if the value is
	// empty, has more than 512 bytes, or contains " or \ or a character beyond printable ASCII. It
	// also leaves out realm, scope and resource_metadata, because the [Middleware] sets these
	// parameters itself, and parameters that a [Proof] sets. Of the remaining parameters, the
	// challenge contains the first 8 in the order of their names.
	Params map[string]string
	// Err is the cause of the refusal, for logs. It may be nil. It is not sent to clients.
	Err error

	// problemTypes is Options.ProblemTypes of the Middleware that refused the request.
	problemTypes string
	// boundOnly says that the route accepts only a token that is bound to a key.
	boundOnly bool
	// policyName is the name of the policy (Where) that refused the request; "" if no policy did.
	policyName string
}

// refuse returns a refusal with the given reason and cause. The type of its result is error and not
// *Error, because a nil *Error in a variable of type error would not equal nil.
func refuse(r Reason, cause error) error { return &Error{Reason: r, Err: cause} }

// Error.lookUpResponse returns the status, the error code and the description that belong to the
// Reason of the refusal.
func (e *Error) lookUpResponse() reasonResponse {
	a, ok := reasonResponses[e.Reason]
	if !ok {
		a = reasonResponses[ReasonUnavailable]
	}
	if len(e.Params) > 0 && a.code != "" {
		a.code = e.paramOrDefault("error", a.code)
		a.description = e.paramOrDefault("error_description", a.description)
	}
	return a
}

// Error.paramOrDefault returns the parameter of Params with the given name. If Params has no such
// parameter, or if a challenge can't contain its value, it returns defaultValue.
func (e *Error) paramOrDefault(name, defaultValue string) string {
	if v := e.Params[name]; v != "" && bearer.IsParamValue(v) {
		return v
	}
	return defaultValue
}

// StatusCode is the HTTP status of the refusal: 400, 401, 403 or 503.
func (e *Error) StatusCode() int { return e.lookUpResponse().status }

// Code is the error code of the challenge (RFC 6750, section 3.1): the value of "error" in Params,
// or else the code of the Reason. For a Reason without an error code, Code is "".
func (e *Error) Code() string { return e.lookUpResponse().code }

// Detail is a text that explains the refusal to clients. The problem details contain it as detail.
// If the refusal has an error code, the challenge contains it as error_description.
func (e *Error) Detail() string { return e.lookUpResponse().description }

// Error returns the reason and the cause of the refusal, for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return "xenaauth: " + string(e.Reason)
	}
	return "xenaauth: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the cause of the refusal, which is the field Err. It may be nil.
func (e *Error) Unwrap() error { return e.Err }

// problemType returns the member type of the problem details (RFC 9457, section 3.1.1): a URI that
// names the reason of the refusal. It returns "" if Options.ProblemTypes is "".
func (e *Error) problemType() string {
	if e.problemTypes == "" {
		return ""
	}
	reason := e.Reason
	if _, ok := reasonResponses[reason]; !ok {
		reason = ReasonUnavailable
	}
	return e.problemTypes + string(reason)
}

// MarshalJSON returns the problem details (RFC 9457) of the refusal: title, status and detail, and
// the extensions reason, error and scope. An Error from a [Middleware] with [Options].ProblemTypes
// also has a type. The cause is not included.
func (e *Error) MarshalJSON() ([]byte, error) {
	a := e.lookUpResponse()
	return json.Marshal(struct {
		Type   string `json:"type,omitempty"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Reason Reason `json:"reason"`
		Error  string `json:"error,omitempty"`
		Scope  string `json:"scope,omitempty"`
	}{e.problemType(), http.StatusText(a.status), a.status, a.description, e.Reason, a.code, strings.Join(e.Scopes, " ")})
}

// asError returns the *Error that err is or wraps. If err wraps an *Error, asError returns a copy
// of this *Error whose cause is err, so that logs contain the text of the wrapper. Any other err
// counts as an outage.
func asError(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return &Error{Reason: ReasonUnavailable, Err: err}
	case e == nil:
		return &Error{Reason: ReasonUnavailable}
	case error(e) != err:
		refusalCopy := *e
		refusalCopy.Err = err
		return &refusalCopy
	}
	return e
}
