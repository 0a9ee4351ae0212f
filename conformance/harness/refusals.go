package harness

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// Refusal is what a client sees of a refusal: the status, the error code in the challenge (Code),
// and the text in the body and the challenge (Detail).
type Refusal struct {
	Status       int
	Code, Detail string
}

// Refusals contains the refusal that a client must get for each reason. The tests compare these
// refusals with the responses of the library. So Refusals repeats the texts of the library and does
// not read them from the library.
var Refusals = map[xenaauth.Reason]Refusal{
	xenaauth.ReasonMissingToken:      {401, "", "This resource needs an access token."},
	xenaauth.ReasonMalformedRequest:  {400, "invalid_request", "The Authorization field is malformed."},
	xenaauth.ReasonMalformedToken:    {401, "invalid_token", "The access token is malformed."},
	xenaauth.ReasonTokenType:         {401, "invalid_token", "The token is not an access token."},
	xenaauth.ReasonAlgorithm:         {401, "invalid_token", "The access token is signed in a way that is not accepted."},
	xenaauth.ReasonUnknownKey:        {401, "invalid_token", "The access token is signed with an unknown key."},
	xenaauth.ReasonSignature:         {401, "invalid_token", "The signature of the access token does not verify."},
	xenaauth.ReasonIssuer:            {401, "invalid_token", "The access token is from another issuer."},
	xenaauth.ReasonAudience:          {401, "invalid_token", "The access token is for another audience."},
	xenaauth.ReasonExpired:           {401, "invalid_token", "The access token has expired."},
	xenaauth.ReasonNotYetValid:       {401, "invalid_token", "The access token is not valid yet."},
	xenaauth.ReasonLifetime:          {401, "invalid_token", "The access token is valid for too long."},
	xenaauth.ReasonClaims:            {401, "invalid_token", "The access token lacks a claim or has an unusable one."},
	xenaauth.ReasonSubject:           {401, "invalid_token", "The access token stands for no user."},
	xenaauth.ReasonConfirmation:      {401, "invalid_token", "The access token is bound to a key that was not shown."},
	xenaauth.ReasonProof:             {401, "invalid_dpop_proof", "The proof of possession is missing or wrong."},
	xenaauth.ReasonProofNonce:        {401, "use_dpop_nonce", "The proof of possession needs the nonce of this response."},
	xenaauth.ReasonProofReplayed:     {401, "invalid_dpop_proof", "The proof of possession was used before."},
	xenaauth.ReasonInactive:          {401, "invalid_token", "The access token is not active."},
	xenaauth.ReasonRevoked:           {401, "invalid_token", "The access token was revoked."},
	xenaauth.ReasonInsufficientScope: {403, "insufficient_scope", "The access token lacks a scope."},
	xenaauth.ReasonForbidden:         {403, "insufficient_scope", "The access token does not allow this."},
	xenaauth.ReasonAmbiguousTarget:   {400, "invalid_request", "The request target is ambiguous."},
	xenaauth.ReasonNoRule:            {403, "", "No rule allows this request."},
	xenaauth.ReasonUnavailable:       {503, "", "Access tokens can't be checked just now."},
}

func challenge(o Refusal, scope string) string {
	c := `Bearer realm="xena"`
	if o.Code != "" {
		c += `, error="` + o.Code + `", error_description="` + o.Detail + `"`
	}
	if scope != "" {
		c += `, scope="` + scope + `"`
	}
	return c
}

// Response is an HTTP response with its complete body.
type Response struct {
	Status int
	Proto  string
	Header http.Header
	Body   string
}

// IsRefusal is an assertion: the response must be the refusal with the reason wantReason. The route
// of the request must require the scope testapi.
func (got *Response) IsRefusal(t testing.TB, wantReason xenaauth.Reason) {
	t.Helper()
	scope := xenaauth.ScopeTestAPI
	switch wantReason {
	case xenaauth.ReasonForbidden, xenaauth.ReasonUnavailable, xenaauth.ReasonAmbiguousTarget, xenaauth.ReasonNoRule:
		scope = ""
	}
	got.IsRefusalWithScope(t, wantReason, scope)
}

// IsRefusalWithScope is an assertion: the response must be the refusal with the reason wantReason.
// The refusal must name the scopes in wantScope, which the route of the request requires.
func (got *Response) IsRefusalWithScope(t testing.TB, wantReason xenaauth.Reason, wantScope string) {
	t.Helper()
	want, ok := Refusals[wantReason]
	require.True(t, ok, wantReason)
	var body struct {
		Title, Detail, Error, Scope string
		Status                      int
		Reason                      xenaauth.Reason
	}
	require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"), got.Body)
	require.NoError(t, json.Unmarshal([]byte(got.Body), &body), got.Body)
	require.Equal(t, wantReason, body.Reason, got.Body)
	require.Equal(t, want.Status, got.Status)
	require.Equal(t, want.Status, body.Status)
	require.Equal(t, http.StatusText(want.Status), body.Title)
	require.Equal(t, want.Detail, body.Detail)
	require.Equal(t, want.Code, body.Error)
	require.Equal(t, wantScope, body.Scope)
	got.HasRefusalHeader(t, wantReason, wantScope)
}

// HasRefusalHeader is an assertion: the response must have the header fields of a refusal with the
// reason wantReason. The challenge must name the scopes in wantScope.
func (got *Response) HasRefusalHeader(t testing.TB, wantReason xenaauth.Reason, wantScope string) {
	t.Helper()
	want := Refusals[wantReason]
	require.Equal(t, []string{"no-store"}, got.Header.Values("Cache-Control"))
	require.Contains(t, got.Header.Values("Vary"), "Authorization")
	if want.Status == http.StatusServiceUnavailable {
		require.Empty(t, got.Header.Values("WWW-Authenticate"))
		require.Regexp(t, `^[1-9][0-9]*$`, got.Header.Get("Retry-After"))
		return
	}
	require.Empty(t, got.Header.Values("Retry-After"))
	require.Equal(t, []string{challenge(want, wantScope)}, got.Header.Values("WWW-Authenticate"))
}
