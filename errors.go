package xenaauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Reason is why a request was refused: a stable word. The set of reasons is small, so it is safe as
// a metric label. It may be shown to clients.
type Reason string

// The reasons, and what they are answered with.
const (
	ReasonMissingToken      Reason = "missing_token"      // 401 without an error code: no credentials, or those of another scheme
	ReasonMalformedRequest  Reason = "malformed_request"  // 400 invalid_request: Authorization is repeated, too long or not of legal syntax
	ReasonMalformedToken    Reason = "malformed_token"    // 401 invalid_token: too long, or neither a JWT nor a token to introspect
	ReasonTokenType         Reason = "token_type"         // 401 invalid_token: an ID token, a logout token, any other JWT that is no access token
	ReasonAlgorithm         Reason = "algorithm"          // 401 invalid_token: an algorithm or header that is not accepted
	ReasonUnknownKey        Reason = "unknown_key"        // 401 invalid_token: the issuer publishes no such key
	ReasonSignature         Reason = "signature"          // 401 invalid_token: the signature does not verify
	ReasonIssuer            Reason = "issuer"             // 401 invalid_token: from another issuer
	ReasonAudience          Reason = "audience"           // 401 invalid_token: for another API
	ReasonExpired           Reason = "expired"            // 401 invalid_token
	ReasonNotYetValid       Reason = "not_yet_valid"      // 401 invalid_token: nbf or iat lies in the future
	ReasonLifetime          Reason = "lifetime"           // 401 invalid_token: valid for longer than this API accepts
	ReasonClaims            Reason = "claims"             // 401 invalid_token: a claim is missing or has an unusable value
	ReasonSubject           Reason = "subject"            // 401 invalid_token: the token names no user
	ReasonConfirmation      Reason = "confirmation"       // 401 invalid_token: bound to a key whose possession was not shown
	ReasonInactive          Reason = "inactive"           // 401 invalid_token: the issuer says that the token is not active
	ReasonRevoked           Reason = "revoked"            // 401 invalid_token: the token was revoked at this service
	ReasonInsufficientScope Reason = "insufficient_scope" // 403 insufficient_scope: the token lacks a scope
	ReasonForbidden         Reason = "forbidden"          // 403 insufficient_scope: a policy (Where) refused the user
	ReasonAmbiguousTarget   Reason = "ambiguous_target"   // 400 invalid_request: upstreams may differ in what the request's path or host means
	ReasonNoRule            Reason = "no_rule"            // 403 without an error code: no rule of a route table names the request, or one denies it
	ReasonUnavailable       Reason = "unavailable"        // 503 without an error code: the token can't be checked now
)

// answer is the HTTP form of a refusal.
type answer struct {
	status      int
	code        string // RFC 6750, section 3.1
	description string
}

// answers maps each reason to its status, error code and description.
var answers = map[Reason]answer{
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
	ReasonInactive:          {401, "invalid_token", "The access token is not active."},
	ReasonRevoked:           {401, "invalid_token", "The access token was revoked."},
	ReasonInsufficientScope: {403, "insufficient_scope", "The access token lacks a scope."},
	ReasonForbidden:         {403, "insufficient_scope", "The access token does not allow this."},
	ReasonAmbiguousTarget:   {400, "invalid_request", "The request target is ambiguous."},
	ReasonNoRule:            {403, "", "No rule allows this request."},
	ReasonUnavailable:       {503, "", "Access tokens can't be checked just now."},
}

// Error is a refusal. A client may see its Reason, Code, StatusCode, Scopes, RetryAfter and Params,
// and its JSON form. The text of Error is for logs: it says what was expected and what came, and
// quotes values of the token, cut. No part of it contains a token, a secret or the address of a
// server; the only exception is the issuer's name.
//
// A [TokenValidator] or a policy of your own may return an Error to choose the response. A Reason
// that is none of the constants counts as ReasonUnavailable.
type Error struct {
	Reason Reason
	// Scopes are the scopes that the route requires: one sufficient set. Challenges contain it (RFC
	// 6750, section 3).
	Scopes []string
	// RetryAfter is how long the client should wait, if the Reason is ReasonUnavailable. 0 is sent
	// as one second.
	RetryAfter time.Duration
	// Params are further parameters of the challenge, for example acr_values and max_age (RFC 9470).
	// "error" and "error_description" replace those of the Reason, if the Reason has an error code.
	// Challenges leave out what they can't contain: names with upper-case letters, values with
	// characters other than printable ASCII or with " or \, values of more than 512 bytes, all
	// parameters but the first 8 in the order of their names, and the parameters that the
	// [Middleware] sets: realm, scope and resource_metadata.
	Params map[string]string
	// Err is the cause, for logs. It may be nil. Clients don't see it.
	Err error
}

// refuse returns a refusal as an error: a nil *Error in an error would not be nil.
func refuse(r Reason, cause error) error { return &Error{Reason: r, Err: cause} }

// answer returns the HTTP form of the refusal.
func (e *Error) answer() answer {
	a, ok := answers[e.Reason]
	if !ok {
		a = answers[ReasonUnavailable]
	}
	if len(e.Params) > 0 && a.code != "" {
		a.code = e.param("error", a.code)
		a.description = e.param("error_description", a.description)
	}
	return a
}

// param returns a parameter of Params. If a challenge can't contain the value, it returns otherwise.
func (e *Error) param(name, otherwise string) string {
	if v := e.Params[name]; v != "" && bearer.IsParamValue(v) {
		return v
	}
	return otherwise
}

// StatusCode is the HTTP status of the refusal: 400, 401, 403 or 503.
func (e *Error) StatusCode() int { return e.answer().status }

// Code is the error code of RFC 6750, section 3.1, or the one in Params. It is "" if the refusal has
// none.
func (e *Error) Code() string { return e.answer().code }

// Detail is the text for clients: the detail of the problem details and the error_description of the
// challenge.
func (e *Error) Detail() string { return e.answer().description }

// Error is the reason and its cause, for logs.
func (e *Error) Error() string {
	if e.Err == nil {
		return "xenaauth: " + string(e.Reason)
	}
	return "xenaauth: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// MarshalJSON returns the problem details (RFC 9457) of the refusal: title, status and detail, and
// as extensions the reason, the error code and the required scope. It does not contain the cause.
func (e *Error) MarshalJSON() ([]byte, error) {
	a := e.answer()
	return json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Reason Reason `json:"reason"`
		Error  string `json:"error,omitempty"`
		Scope  string `json:"scope,omitempty"`
	}{http.StatusText(a.status), a.status, a.description, e.Reason, a.code, strings.Join(e.Scopes, " ")})
}

// asError returns err as an *Error. An err that is not an *Error is an outage. If err wraps an
// *Error, err becomes the cause, for logs.
func asError(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return &Error{Reason: ReasonUnavailable, Err: err}
	case e == nil:
		return &Error{Reason: ReasonUnavailable}
	case error(e) != err:
		told := *e
		told.Err = err
		return &told
	}
	return e
}
