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

// Each case tests one rule. The rules say which members of cnf a proof must confirm, and which
// scheme the credentials must have.
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
			w := send(s.guarded(), request(tt.scheme+" "+token, tt.fields...))
			require.Equal(t, tt.status, w.Code, w.Body)
			if tt.status == 401 {
				require.Contains(t, w.Body.String(), `"confirmation"`)
				require.Empty(t, w.Header().Values("Confirmed"))
			}
			// On an optional route, a request with a bad proof is refused and does not become
			// anonymous.
			s = start(t, nil, newKeyProof(), newCertProof())
			w = send(s.m.Optional(harness.Teapot), request(tt.scheme+" "+s.token(tt.cnf), tt.fields...))
			require.Equal(t, tt.status, w.Code, "optional route")
		})
	}
}

// A token without cnf needs no proof and is accepted with the scheme Bearer. With the scheme of a
// proof it is refused.
func TestUnboundToken(t *testing.T) {
	proof := newKeyProof()
	s := start(t, nil, proof)
	token := s.issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, 418, send(s.guarded(), request("Bearer "+token)).Code)
	require.Equal(t, 401, send(s.guarded(), request("Key "+token, "Proof", "k")).Code)
	require.Empty(t, proof.calls)
}

// A bound token that is introspected needs a proof, as a bound JWT does.
func TestIntrospectedToken(t *testing.T) {
	s := start(t, nil, newKeyProof())
	token := s.issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{
		"cnf": map[string]any{"key": "k"}, "token_type": "DPoP",
	}})
	require.Equal(t, 401, send(s.guarded(), request("Bearer "+token, "Proof", "k")).Code)
	require.Equal(t, 401, send(s.guarded(), request("Key "+token)).Code)
	require.Equal(t, 418, send(s.guarded(), request("Key "+token, "Proof", "k")).Code)
}

// A middleware without proofs refuses each token with cnf.
func TestNoProofs(t *testing.T) {
	s := start(t, nil)
	for _, scheme := range []string{"Bearer ", "Key "} {
		w := send(s.guarded(), request(scheme+s.token(map[string]any{"key": "k"}), "Proof", "k"))
		require.Equal(t, 401, w.Code)
		require.Len(t, w.Header().Values("WWW-Authenticate"), 1)
	}
	// A middleware without proofs also refuses a token with cnf that a validator of the service has
	// accepted.
	user, err := xenaauth.NewUser(map[string]any{"sub": "ann", "cnf": map[string]any{"key": "k"}})
	require.NoError(t, err)
	m := middleware(harness.FixedValidator{User: user})
	require.Equal(t, 401, send(m.Require(xenaauth.AnyUser())(harness.Teapot), request("Bearer a", "Proof", "k")).Code)
}

// With Config.RequireActive, an introspection response may contain cnf. A JWT is refused if the
// response binds it to another key, or if the response binds it to a key and the JWT has no cnf.
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
			client.Transport = &rewriting{client.Transport, func(body map[string]any) {
				delete(body, "cnf")
				if tt.response != nil {
					body["cnf"] = tt.response
				}
			}}
			c.HTTPClient = &client
		}, newKeyProof())
		w := send(s.guarded(), request(tt.scheme+s.token(tt.jwt), "Proof", "k"))
		require.Equal(t, tt.status, w.Code, "%s: %s", name, w.Body)
	}
}
