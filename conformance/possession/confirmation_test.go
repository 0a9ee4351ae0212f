// Package possession_test tests proofs of possession. A token that is bound to a key (RFC 7800)
// passes only if one of the configured proofs confirms the key.
package possession_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestConfirmation tests which members of the claim cnf a proof of possession must confirm, and
// which authentication scheme the request must have. Each case tests one of these rules.
func TestConfirmation(t *testing.T) {
	type object = map[string]any
	for name, tt := range map[string]struct {
		cnf    any
		scheme string
		fields []string
		status int
	}{
		"the member is confirmed":        {object{"key": "k"}, "Key", []string{"Proof", "k"}, 418},
		"another case of the scheme":     {object{"key": "k"}, "kEY", []string{"Proof", "k"}, 418},
		"beside an unknown member":       {object{"key": "k", "kc-jkt-type": "x", "jwk": object{"a": 1}}, "Key", []string{"Proof", "k"}, 418},
		"a certificate":                  {object{"x5t#S256": "c"}, "Bearer", []string{"Cert", "c"}, 418},
		"key and certificate":            {object{"key": "k", "x5t#S256": "c"}, "Key", []string{"Proof", "k", "Cert", "c"}, 418},
		"no proof":                       {object{"key": "k"}, "Key", nil, 401},
		"another key":                    {object{"key": "k"}, "Key", []string{"Proof", "k2"}, 401},
		"Bearer for a key":               {object{"key": "k"}, "Bearer", []string{"Proof", "k"}, 401},
		"Bearer for key and certificate": {object{"key": "k", "x5t#S256": "c"}, "Bearer", []string{"Proof", "k", "Cert", "c"}, 401},
		"Key for a certificate":          {object{"x5t#S256": "c"}, "Key", []string{"Cert", "c"}, 401},
		"the key without certificate":    {object{"key": "k", "x5t#S256": "c"}, "Key", []string{"Proof", "k"}, 401},
		"the certificate without key":    {object{"key": "k", "x5t#S256": "c"}, "Key", []string{"Cert", "c"}, 401},
		"a known member without a proof": {object{"key": "k", "jkt": "j"}, "Key", []string{"Proof", "k"}, 401},
		"unknown members only":           {object{"jwk": object{}}, "Key", []string{"Proof", "k"}, 401},
		"unknown members and Bearer":     {object{"jwk": object{}}, "Bearer", nil, 401},
		"a name in another case":         {object{"key": "k", "KEY": "k"}, "Key", []string{"Proof", "k"}, 401},
		"a known name in another case":   {object{"key": "k", "JKT": "j"}, "Key", []string{"Proof", "k"}, 401},
		"no members":                     {object{}, "Key", []string{"Proof", "k"}, 401},
		"an empty value":                 {object{"key": ""}, "Key", []string{"Proof", ""}, 401},
		"a number":                       {object{"key": 5}, "Key", []string{"Proof", "5"}, 401},
		"null as value":                  {object{"key": nil}, "Key", []string{"Proof", ""}, 401},
		"a list as value":                {object{"key": []string{"k"}}, "Key", []string{"Proof", "k"}, 401},
		"a text":                         {"k", "Key", []string{"Proof", "k"}, 401},
		"a list":                         {[]any{object{"key": "k"}}, "Key", []string{"Proof", "k"}, 401},
		"null":                           {json.RawMessage("null"), "Key", []string{"Proof", "k"}, 401},
		"null and Bearer":                {json.RawMessage("null"), "Bearer", nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil, newKeyProof(), newCertProof())
			token := s.token(tt.cnf)
			w := send(s.guardedHandler(), newRequest(tt.scheme+" "+token, tt.fields...))
			require.Equal(t, tt.status, w.Code, w.Body)
			if tt.status == 401 {
				require.Contains(t, w.Body.String(), `"confirmation"`)
				require.Empty(t, w.Header().Values("Confirmed"))
			}
			// This route also accepts requests without a user (Optional). A request with a bad
			// proof is still refused. It does not count as a request without a user.
			s = start(t, nil, newKeyProof(), newCertProof())
			w = send(s.m.Optional(harness.Teapot), newRequest(tt.scheme+" "+s.token(tt.cnf), tt.fields...))
			require.Equal(t, tt.status, w.Code, "optional route")
		})
	}
}

// A token without the claim cnf is not bound to a key and needs no proof. It is accepted with the
// scheme Bearer. It is refused with the authentication scheme of a proof.
func TestUnboundToken(t *testing.T) {
	proof := newKeyProof()
	s := start(t, nil, proof)
	token := s.issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, 418, send(s.guardedHandler(), newRequest("Bearer "+token)).Code)
	require.Equal(t, 401, send(s.guardedHandler(), newRequest("Key "+token, "Proof", "k")).Code)
	require.Empty(t, proof.calls)
}

// An introspected token that is bound to a key needs a proof of possession, as a JWT does.
func TestIntrospectedToken(t *testing.T) {
	s := start(t, nil, newKeyProof())
	token := s.issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{
		"cnf": map[string]any{"key": "k"}, "token_type": "DPoP",
	}})
	require.Equal(t, 401, send(s.guardedHandler(), newRequest("Bearer "+token, "Proof", "k")).Code)
	require.Equal(t, 401, send(s.guardedHandler(), newRequest("Key "+token)).Code)
	require.Equal(t, 418, send(s.guardedHandler(), newRequest("Key "+token, "Proof", "k")).Code)
}

// If a middleware checks no proofs of possession, it refuses each token with the claim cnf.
func TestNoProofs(t *testing.T) {
	s := start(t, nil)
	for _, scheme := range []string{"Bearer ", "Key "} {
		w := send(s.guardedHandler(), newRequest(scheme+s.token(map[string]any{"key": "k"}), "Proof", "k"))
		require.Equal(t, 401, w.Code)
		require.Len(t, w.Header().Values("WWW-Authenticate"), 1)
	}
	// A validator of the service, in place of the Validator of the library, may accept a token with
	// the claim cnf. If the middleware checks no proofs of possession, it still refuses this token.
	user, err := xenaauth.NewUser(map[string]any{"sub": "ann", "cnf": map[string]any{"key": "k"}})
	require.NoError(t, err)
	m := middleware(harness.FixedValidator{User: user})
	require.Equal(t, 401, send(m.Require(xenaauth.AnyUser())(harness.Teapot), newRequest("Bearer a", "Proof", "k")).Code)
}

// With Config.RequireActive, the library also introspects a JWT, and the introspection response may
// contain cnf. The JWT is refused if the cnf in the response names another key than the JWT, or if
// only the response has a cnf.
func TestActiveTokenBoundElsewhere(t *testing.T) {
	key := map[string]any{"key": "k"}
	for name, tt := range map[string]struct {
		jwt, response any
		scheme        string
		status        int
	}{
		"the same key":    {key, key, "Key ", 418},
		"another key":     {key, map[string]any{"key": "k2"}, "Key ", 401},
		"no key":          {key, nil, "Key ", 418},
		"no key, Bearer":  {key, nil, "Bearer ", 401},
		"a key after all": {nil, key, "Bearer ", 401},
		"a key, Key":      {nil, key, "Key ", 401},
	} {
		s := start(t, func(c *xenaauth.Config) {
			c.RequireActive = true
			client := *c.HTTPClient
			client.Transport = &responseRewriter{client.Transport, func(body map[string]any) {
				delete(body, "cnf")
				if tt.response != nil {
					body["cnf"] = tt.response
				}
			}}
			c.HTTPClient = &client
		}, newKeyProof())
		w := send(s.guardedHandler(), newRequest(tt.scheme+s.token(tt.jwt), "Proof", "k"))
		require.Equal(t, tt.status, w.Code, "%s: %s", name, w.Body)
	}
}
