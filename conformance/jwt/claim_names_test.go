package jwt_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// changedConfig makes a configuration for tokens of the issuer. It calls setFields, which sets some
// fields of this configuration, and then returns the configuration.
func changedConfig(issuer *xenaauthtest.Issuer, setFields func(*xenaauth.Config)) xenaauth.Config {
	cfg := issuer.HybridConfig()
	setFields(&cfg)
	return cfg
}

func TestClientClaims(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.ClientClaims = []string{"cid", "appid"} }))
	standard := harness.Serve(t, issuer.HybridConfig())
	for name, c := range map[string]struct {
		claims map[string]any
		client string // the client of the user, or "" if the token is refused
	}{
		"the first":           {map[string]any{"cid": "okta"}, "okta"},
		"the second":          {map[string]any{"appid": "entra"}, "entra"},
		"both":                {map[string]any{"appid": "entra", "cid": "okta"}, "okta"},
		"beside client_id":    {map[string]any{"cid": "okta", "client_id": "another"}, "okta"},
		"an array of one":     {map[string]any{"cid": []string{"okta"}}, "okta"},
		"null and another":    {map[string]any{"cid": harness.RawJSON("null"), "appid": "entra"}, "entra"},
		"client_id alone":     {map[string]any{"client_id": "another"}, ""},
		"neither":             {map[string]any{}, ""},
		"empty":               {map[string]any{"cid": "", "appid": "entra"}, ""},
		"a number":            {map[string]any{"cid": 7, "appid": "entra"}, ""},
		"an array of two":     {map[string]any{"cid": []string{"okta", "b"}}, ""},
		"an empty array":      {map[string]any{"cid": []string{}}, ""},
		"an object":           {map[string]any{"cid": map[string]any{"cid": "okta"}}, ""},
		"a control character": {map[string]any{"cid": "ok\nta"}, ""},
		"another case":        {map[string]any{"CID": "okta"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.claims["client_id"] == nil {
				c.claims["client_id"] = nil
			}
			token := xenaauthtest.Token{Claims: c.claims}
			for _, text := range []string{issuer.JWT(token), issuer.Opaque(token)} {
				if c.client == "" {
					a.Refuses(t, text, xenaauth.ReasonClaims)
				} else {
					a.Passes(t, text)
					// The user of this second request comes from the cache of tokens.
					a.Passes(t, text)
					require.Equal(t, c.client, harness.UserOf(t, a.Validator, text).ClientID())
				}
				if c.claims["client_id"] == nil {
					standard.Refuses(t, text, xenaauth.ReasonClaims)
				}
			}
		})
	}
	// An ID token names its client in its audience. The library compares the audience with the
	// client of the token. Here the client is in cid, a claim of ClientClaims, and the library
	// recognizes the ID token.
	id := issuer.IDToken(xenaauthtest.Token{Claims: map[string]any{
		"nonce": nil, "at_hash": nil, "aud": "testapi", "cid": "testapi", "scope": "testapi"}})
	a.Refuses(t, id, xenaauth.ReasonTokenType)
}

// A Revocation with ClientID revokes a token if ClientID equals the client of the token. The client
// is in the first claim of Config.ClientClaims that the token has.
func TestClientClaims_Revocation(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.ClientClaims = []string{"cid"} }))
	mine := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cid": "okta"}})
	other := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cid": "other", "client_id": "okta"}})
	a.Passes(t, mine)
	require.NoError(t, a.Validator.(*xenaauth.Validator).Revoke(t.Context(), xenaauth.Revocation{ClientID: "okta"}))
	a.Refuses(t, mine, xenaauth.ReasonRevoked)
	a.Passes(t, other)
}

func TestScopeClaims(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.ScopeClaims = []string{"permissions", "scp", "roles"} }))
	none := xenaauth.ReasonInsufficientScope
	for name, c := range map[string]struct {
		claims map[string]any
		scopes []string
		reason xenaauth.Reason
	}{
		"an array":             {map[string]any{"permissions": []string{"testapi", "read:x"}}, []string{"testapi", "read:x"}, ""},
		"a string":             {map[string]any{"permissions": "read:x testapi"}, []string{"read:x", "testapi"}, ""},
		"the second":           {map[string]any{"scp": "testapi"}, []string{"testapi"}, ""},
		"the third":            {map[string]any{"roles": []string{"testapi"}}, []string{"testapi"}, ""},
		"the first counts":     {map[string]any{"permissions": []string{"x"}, "roles": []string{"testapi"}}, []string{"x"}, none},
		"an empty one counts":  {map[string]any{"permissions": []string{}, "roles": []string{"testapi"}}, nil, none},
		"null does not":        {map[string]any{"permissions": harness.RawJSON("null"), "roles": []string{"testapi"}}, []string{"testapi"}, ""},
		"scope isn't listed":   {map[string]any{"scope": "testapi"}, nil, none},
		"a space in an array":  {map[string]any{"permissions": []string{"x testapi"}}, []string{"x testapi"}, none},
		"a number":             {map[string]any{"permissions": 7, "roles": []string{"testapi"}}, nil, xenaauth.ReasonClaims},
		"an array of numbers":  {map[string]any{"permissions": []any{"testapi", 7}}, nil, xenaauth.ReasonClaims},
		"none":                 {map[string]any{}, nil, none},
		"many, and an index":   {map[string]any{"permissions": append(make([]string, 0), manyNames("testapi")...)}, manyNames("testapi"), ""},
		"many of them, others": {map[string]any{"permissions": manyNames("x")}, manyNames("x"), none},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := c.claims["scope"]; !ok {
				c.claims["scope"] = nil
			}
			token := issuer.JWT(xenaauthtest.Token{Claims: c.claims})
			if c.reason == "" {
				a.Passes(t, token)
				a.Passes(t, token)
			} else {
				a.Refuses(t, token, c.reason)
			}
			if c.reason != xenaauth.ReasonClaims {
				require.Equal(t, c.scopes, append([]string(nil), harness.UserOf(t, a.Validator, token).Scopes()...))
			}
		})
	}
	t.Run("what a refusal says", func(t *testing.T) {
		m := xenaauth.NewMiddleware(a.Validator, nil)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"roles": "reader"}}))
		_, err := m.Check(r, xenaauth.AllScopes("writer"))
		require.ErrorContains(t, err, `scope is "reader", the route requires "writer"`)
	})
	t.Run("introspected", func(t *testing.T) {
		harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"c","permissions":["testapi"]}`)
		a.Passes(t, "opaque")
		harness.Serve(t, issuer.HybridConfig()).Refuses(t, "opaque", none)
	})
}

func manyNames(first string) []string {
	names := []string{first}
	for c := 'a'; c <= 'z'; c++ {
		names = append(names, "name:"+string(c))
	}
	return names
}

// Config.ScopeClaims lists the claims that may contain the scopes of a token. ID tokens may have
// such a claim too, for example roles. An ID token that names no client, or whose audience contains
// its client, is refused even if it has such a claim.
func TestScopeClaims_IDTokens(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) {
		c.ScopeClaims, c.AllowNonce, c.AllowClientAudience = []string{"roles"}, true, true
	}))
	roles := map[string]any{"roles": []string{"testapi"}, "scope": nil}
	set := func(changes map[string]any) map[string]any {
		all := map[string]any{"at_hash": nil}
		for _, m := range []map[string]any{roles, changes} {
			for name, value := range m {
				all[name] = value
			}
		}
		return all
	}
	for _, typ := range []any{"JWT", nil} {
		header := map[string]any{"typ": typ}
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Header: header, Claims: roles}))
		for _, claims := range []map[string]any{
			{"aud": "testapi"}, {"aud": "testapi", "azp": "testapi"}, {"aud": "testapi", "client_id": "testapi"},
			{"aud": []string{"app", "testapi"}, "azp": "app"},
		} {
			require.NotEmpty(t, harness.ReasonOf(t, a.Validator, issuer.IDToken(xenaauthtest.Token{Header: header, Claims: set(claims)})))
		}
		empty := map[string]any{"roles": nil, "scope": nil}
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Header: header, Claims: empty}), xenaauth.ReasonTokenType)
	}
}

func TestAllowMissingClientID(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	strict := harness.Serve(t, issuer.HybridConfig())
	lax := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.AllowMissingClientID = true }))
	unnamed := xenaauthtest.Token{Claims: map[string]any{"client_id": nil}}
	token := issuer.Opaque(unnamed)
	strict.Refuses(t, token, xenaauth.ReasonClaims)
	_, err := strict.Validator.Validate(t.Context(), token)
	const why = "client_id or azp is missing in the introspection response: see Config.AllowMissingClientID"
	require.ErrorContains(t, err, why)
	require.Contains(t, strict.Log.String(), why)

	lax.Passes(t, token)
	require.Empty(t, harness.UserOf(t, lax.Validator, token).ClientID())
	// A client that acts for itself has a token whose sub is the client.
	own := map[string]any{"sub": "a-client", "client_id": "a-client"}
	lax.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: own}), xenaauth.ReasonSubject)
	own["client_id"] = nil // without client_id the token looks like the token of a user
	require.Equal(t, "a-client", harness.UserOf(t, lax.Validator, issuer.Opaque(xenaauthtest.Token{Claims: own})).Subject())
	lax.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"client_id": nil, "sub": nil}}), xenaauth.ReasonSubject)
	lax.Refuses(t, issuer.JWT(unnamed), xenaauth.ReasonClaims) // a JWT without a client is refused, because it may be an ID token
	_, err = lax.Validator.Validate(t.Context(), issuer.JWT(unnamed))
	require.ErrorContains(t, err, "client_id or azp is missing")
	require.NotContains(t, err.Error(), "AllowMissingClientID")
	require.NoError(t, lax.Validator.(*xenaauth.Validator).Revoke(t.Context(), xenaauth.Revocation{Subject: "104711"}))
	lax.Refuses(t, token, xenaauth.ReasonRevoked)

	named := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) {
		c.AllowMissingClientID, c.ClientClaims = true, []string{"cid", "client_id"}
	}))
	// the claim cid names the client, but its value has the wrong type
	harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"c","cid":7,"scope":"testapi"}`)
	named.Refuses(t, "opaque", xenaauth.ReasonClaims)
}

// With Config.RequireActive, the library also introspects a JWT. The introspection response must
// name the same user and the same client as the JWT, or the JWT is refused. The JWT is also refused
// if the response names no client. With Config.AllowMissingClientID, a response that names the same
// user and no client is accepted.
func TestAllowMissingClientID_RequireActive(t *testing.T) {
	t.Parallel()
	for body, reasons := range map[string][2]xenaauth.Reason{
		`{"active":true,"sub":"104711"}`:                                        {xenaauth.ReasonClaims, ""},
		`{"active":true,"sub":"104711","client_id":"` + harness.ClientID + `"}`: {"", ""},
		`{"active":true,"sub":"104711","client_id":"other"}`:                    {xenaauth.ReasonClaims, xenaauth.ReasonClaims},
		`{"active":true,"sub":"another"}`:                                       {xenaauth.ReasonClaims, xenaauth.ReasonClaims},
	} {
		for i, allow := range []bool{false, true} {
			issuer := harness.NewIssuer()
			harness.SetIntrospectionResponse(issuer, body)
			a := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) {
				c.RequireActive, c.AllowMissingClientID = true, allow
			}))
			require.Equal(t, reasons[i], harness.ReasonOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{})), "%s %v", body, allow)
		}
	}
}

func TestAllowClientAudience(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	strict := harness.Serve(t, issuer.HybridConfig())
	lax := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.AllowClientAudience = true }))
	byAudience := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) {
		c.AllowClientAudience, c.ClientClaims = true, []string{"aud"}
	}))
	for _, typ := range []any{"at+jwt", "JWT", nil} {
		header := map[string]any{"typ": typ}
		mint := func(claims map[string]any) []string {
			token := xenaauthtest.Token{Header: header, ClientID: "testapi", Claims: claims}
			return []string{issuer.JWT(token), issuer.Opaque(token)}
		}
		for _, token := range mint(map[string]any{"aud": "testapi"}) {
			strict.Refuses(t, token, xenaauth.ReasonTokenType)
			lax.Passes(t, token)
			byAudience.Passes(t, token)
		}
		// the authorization server of Spring writes introspection responses with these claims
		for _, token := range mint(map[string]any{"aud": "testapi", "client_id": nil}) {
			lax.Refuses(t, token, xenaauth.ReasonClaims)
			byAudience.Passes(t, token)
			require.Equal(t, "testapi", harness.UserOf(t, byAudience.Validator, token).ClientID())
		}
		for _, token := range mint(map[string]any{"aud": []string{"testapi", "other"}, "client_id": nil}) {
			byAudience.Refuses(t, token, xenaauth.ReasonClaims)
		}
		for _, claims := range []map[string]any{
			{"scope": nil}, {"scope": nil, "azp": "testapi"}, {"nonce": nil, "at_hash": nil, "azp": "testapi"},
			{"nonce": nil, "at_hash": nil, "client_id": "testapi"},
		} {
			claims["aud"] = "testapi"
			id := issuer.IDToken(xenaauthtest.Token{ClientID: "testapi", Header: header, Claims: claims})
			for _, a := range []*harness.API{strict, lax, byAudience} {
				require.NotEmpty(t, harness.ReasonOf(t, a.Validator, id))
			}
		}
	}
	// From now on, the introspection response describes an ID token.
	harness.SetIntrospectionResponse(issuer, `{"active":true,"sub":"u","client_id":"testapi","aud":"testapi"}`)
	lax.Refuses(t, "an-id-token", xenaauth.ReasonTokenType)
	for _, always := range []bool{false, true} { // an opaque token has no header, so it has no typ
		rfc9068 := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) {
			c.Profile, c.AllowClientAudience, c.AlwaysIntrospect = xenaauth.ProfileRFC9068, true, always
		}))
		rfc9068.Refuses(t, "an-id-token", xenaauth.ReasonTokenType)
	}
}

func TestAllowNonce(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	strict := harness.Serve(t, issuer.HybridConfig())
	lax := harness.Serve(t, changedConfig(issuer, func(c *xenaauth.Config) { c.AllowNonce = true }))
	token := xenaauthtest.Token{Claims: map[string]any{"nonce": "n"}}
	for _, token := range []string{issuer.JWT(token), issuer.Opaque(token)} {
		strict.Refuses(t, token, xenaauth.ReasonTokenType)
		lax.Passes(t, token)
	}
	for _, typ := range []any{"at+jwt", "JWT", nil} {
		header := map[string]any{"typ": typ}
		for _, claims := range []map[string]any{
			{}, {"at_hash": nil}, {"at_hash": nil, "azp": harness.ClientID}, {"at_hash": nil, "aud": "testapi"},
			{"at_hash": nil, "aud": []string{harness.ClientID, "testapi"}, "azp": harness.ClientID},
		} {
			id := issuer.IDToken(xenaauthtest.Token{Header: header, Claims: claims})
			require.NotEmpty(t, harness.ReasonOf(t, lax.Validator, id), "%v %v", typ, claims)
		}
		lax.Refuses(t, issuer.LogoutToken(xenaauthtest.Token{Header: header}), xenaauth.ReasonTokenType)
	}
	for _, name := range []string{"at_hash", "c_hash", "events", "token_introspection"} {
		lax.Refuses(t, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{name: "x"}}), xenaauth.ReasonTokenType)
	}
}

func TestContradictingSwitches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*xenaauth.Config)
		wrong  string
	}{
		"an empty list":    {func(c *xenaauth.Config) { c.ClientClaims = []string{} }, "ClientClaims is an empty list"},
		"an empty name":    {func(c *xenaauth.Config) { c.ScopeClaims = []string{""} }, "ScopeClaims holds an empty"},
		"a name twice":     {func(c *xenaauth.Config) { c.ScopeClaims = []string{"a", "a"} }, "ScopeClaims holds an empty or a repeated"},
		"sub as client":    {func(c *xenaauth.Config) { c.ClientClaims = []string{"sub"} }, `ClientClaims holds "sub"`},
		"scope as client":  {func(c *xenaauth.Config) { c.ClientClaims = []string{"scope"} }, `ClientClaims holds "scope"`},
		"aud as scope":     {func(c *xenaauth.Config) { c.ScopeClaims = []string{"aud"} }, `ScopeClaims holds "aud"`},
		"aud, strictly":    {func(c *xenaauth.Config) { c.ClientClaims = []string{"aud"} }, "needs AllowClientAudience"},
		"nothing to ask":   {func(c *xenaauth.Config) { c.AllowMissingClientID, c.Introspection = true, nil }, "AllowMissingClientID"},
		"RFC 9068, client": {func(c *xenaauth.Config) { c.Profile, c.ClientClaims = xenaauth.ProfileRFC9068, []string{"cid"} }, "ClientClaims and ProfileRFC9068"},
		"RFC 9068, scope":  {func(c *xenaauth.Config) { c.Profile, c.ScopeClaims = xenaauth.ProfileRFC9068, []string{"roles"} }, "ScopeClaims and ProfileRFC9068"},
		"RFC 9068, the rest": {func(c *xenaauth.Config) {
			c.Profile, c.AllowNonce, c.AllowClientAudience = xenaauth.ProfileRFC9068, true, true
		}, ""},
		"the default, spelt": {func(c *xenaauth.Config) {
			c.ClientClaims, c.ScopeClaims = []string{"client_id", "azp"}, []string{"scope", "scp"}
		}, ""},
		"a claim that's long": {func(c *xenaauth.Config) { c.ScopeClaims = []string{"https://example.com/roles"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := changedConfig(harness.NewIssuer(), c.change).Validate()
			if c.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.wrong)
		})
	}
}
