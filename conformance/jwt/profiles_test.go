package jwt_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func strict(issuer *xenaauthtest.Issuer) xenaauth.Config {
	cfg := issuer.Config()
	cfg.Profile = xenaauth.ProfileRFC9068
	return cfg
}

func TestP1_Typ(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	lax, letter := harness.Serve(t, issuer.Config()), harness.Serve(t, strict(issuer))
	scope := map[string]any{"scope": "testapi"}
	for typ, reasons := range map[any][2]xenaauth.Reason{
		"at+jwt":             {"", ""},
		"application/at+jwt": {"", ""},
		"AT+JWT":             {"", ""},
		"JWT":                {"", xenaauth.ReasonTokenType},
		"application/jwt":    {"", xenaauth.ReasonTokenType},
		nil:                  {"", xenaauth.ReasonTokenType},
		"logout+jwt":         {xenaauth.ReasonTokenType, xenaauth.ReasonTokenType},
		"dpop+jwt":           {xenaauth.ReasonTokenType, xenaauth.ReasonTokenType},
	} {
		token := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"typ": typ}, Claims: scope})
		require.Equal(t, reasons[0], harness.ReasonOf(t, lax.Validator, token), "%v", typ)
		if reasons[1] == "" {
			letter.Passes(t, token)
		} else {
			letter.Refuses(t, token, reasons[1])
		}
	}
}

func TestP2_RequiredClaims(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", ScopesAsString: true})
	lax, letter := harness.Serve(t, issuer.Config()), harness.Serve(t, strict(issuer))
	letter.Passes(t, issuer.JWT(xenaauthtest.Token{}))
	for name, reasons := range map[string][2]xenaauth.Reason{
		"iss":       {xenaauth.ReasonIssuer, xenaauth.ReasonIssuer},
		"exp":       {xenaauth.ReasonClaims, xenaauth.ReasonClaims},
		"aud":       {xenaauth.ReasonAudience, xenaauth.ReasonAudience},
		"client_id": {xenaauth.ReasonClaims, xenaauth.ReasonClaims},
		"sub":       {xenaauth.ReasonSubject, xenaauth.ReasonClaims},
		"iat":       {"", xenaauth.ReasonClaims},
		"jti":       {"", xenaauth.ReasonClaims},
		"nbf":       {"", ""},
		"sid":       {"", ""},
		"scope":     {xenaauth.ReasonInsufficientScope, xenaauth.ReasonInsufficientScope},
	} {
		token := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{name: nil}})
		for i, a := range []*harness.API{lax, letter} {
			if reasons[i] == "" {
				a.Passes(t, token)
			} else {
				a.Refuses(t, token, reasons[i])
			}
		}
	}
	azp := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"client_id": nil, "azp": "app"}})
	lax.Passes(t, azp)
	letter.Refuses(t, azp, xenaauth.ReasonClaims)
}

func TestP2_ClientTokens(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{Machine: true})
	harness.Serve(t, issuer.Config()).Refuses(t, token, xenaauth.ReasonSubject)
	cfg := issuer.Config()
	cfg.AllowClientTokens = true
	a := harness.Serve(t, cfg)
	a.Passes(t, token)
	require.Empty(t, harness.UserOf(t, a.Validator, token).Subject())
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Machine: true, Claims: map[string]any{"sub": ""}}), xenaauth.ReasonClaims)
}

// If the sub of a token is its client, the token belongs to the client and not to a user (RFC 9068,
// section 2.2; RFC 9700, section 4.15). This rule applies to each claim that may name the client.
func TestP2_ClientAsSubject(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", ScopesAsString: true})
	byCID := issuer.HybridConfig()
	byCID.ClientClaims = []string{"cid"}
	for name, c := range map[string]struct {
		cfg    xenaauth.Config
		claims map[string]any
	}{
		"client_id":           {issuer.HybridConfig(), map[string]any{"sub": "service", "client_id": "service"}},
		"azp":                 {issuer.HybridConfig(), map[string]any{"sub": "service", "client_id": nil, "azp": "service"}},
		"cid":                 {byCID, map[string]any{"sub": "service", "client_id": "other", "cid": "service"}},
		"the strict profile":  {strict(issuer), map[string]any{"sub": "service", "client_id": "service"}},
		"beside a session id": {issuer.HybridConfig(), map[string]any{"sub": "service", "client_id": "service", "sid": "s"}},
	} {
		t.Run(name, func(t *testing.T) {
			token := xenaauthtest.Token{Claims: c.claims}
			tokens := []string{issuer.JWT(token)}
			if c.cfg.Introspection != nil {
				tokens = append(tokens, issuer.Opaque(token))
			}
			allowed, resolved := c.cfg, c.cfg
			allowed.AllowClientTokens = true
			resolved.Subject = func(_ context.Context, u *xenaauth.User) (string, error) { return "user of " + u.ClientID(), nil }
			refusing, allowing, resolving := harness.Serve(t, c.cfg), harness.Serve(t, allowed), harness.Serve(t, resolved)
			for _, token := range tokens {
				refusing.Refuses(t, token, xenaauth.ReasonSubject)
				require.Equal(t, "hello, ", allowing.Get(t, token).Body)
				require.Equal(t, "hello, user of service", resolving.Get(t, token).Body)
			}
			v := allowing.Validator.(*xenaauth.Validator)
			require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "service"}))
			for _, token := range tokens {
				allowing.Refuses(t, token, xenaauth.ReasonRevoked)
			}
		})
	}
}

// With Config.RequireActive, the library also introspects a JWT. If the JWT belongs to a client and
// not to a user, the introspection response may have no sub.
func TestP2_ClientAsSubject_RequireActive(t *testing.T) {
	t.Parallel()
	for body, reason := range map[string]xenaauth.Reason{
		// With Config.AllowMissingClientID, the introspection response need not name the client.
		`{"active":true,"sub":"service"}`:                       "",
		`{"active":true,"sub":"other"}`:                         xenaauth.ReasonClaims,
		`{"active":true,"client_id":"service"}`:                 "",
		`{"active":true,"client_id":"service","sub":"service"}`: "",
		`{"active":true,"client_id":"service","sub":"other"}`:   xenaauth.ReasonClaims,
		`{"active":true,"client_id":"other","sub":"service"}`:   xenaauth.ReasonClaims,
	} {
		issuer := harness.NewIssuer()
		harness.SetIntrospectionResponse(issuer, body)
		cfg := issuer.HybridConfig()
		cfg.RequireActive, cfg.AllowClientTokens, cfg.AllowMissingClientID = true, true, true
		a := harness.Serve(t, cfg)
		token := issuer.JWT(xenaauthtest.Token{ClientID: "service", Subject: "service"})
		require.Equal(t, reason, harness.ReasonOf(t, a.Validator, token), body)
	}
}

// The rules of ProfileRFC9068 for jti, iat, aud and scope are for JWTs only. Introspection
// responses must follow RFC 7662, which requires no member except active. But with this profile,
// azp can't replace client_id in an introspection response either.
func TestP2_StrictProfileAndIntrospection(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Profile = xenaauth.ProfileRFC9068
	a := harness.Serve(t, cfg)
	for _, name := range []string{"jti", "iat", "aud"} {
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{name: nil}}))
		require.NotEmpty(t, harness.ReasonOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{name: nil, "scope": "testapi"}})))
	}
	a.Passes(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"scope": []string{"openid", "testapi"}}}))
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"scope": []string{"openid", "testapi"}}}), xenaauth.ReasonClaims)
	a.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: map[string]any{"client_id": nil, "azp": "app"}}), xenaauth.ReasonClaims)
}

func TestP3_ScopeForms(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	lax, letter := harness.Serve(t, issuer.Config()), harness.Serve(t, strict(issuer))
	none := xenaauth.ReasonInsufficientScope
	for name, c := range map[string]struct {
		claims      map[string]any
		lax, letter xenaauth.Reason
		scopes      []string
	}{
		"string":            {map[string]any{"scope": "openid testapi"}, "", "", []string{"openid", "testapi"}},
		"one":               {map[string]any{"scope": "testapi"}, "", "", []string{"testapi"}},
		"spaces":            {map[string]any{"scope": "  openid   testapi "}, "", "", []string{"openid", "testapi"}},
		"list":              {map[string]any{"scope": []string{"openid", "testapi"}}, "", xenaauth.ReasonClaims, []string{"openid", "testapi"}},
		"scp list":          {map[string]any{"scope": nil, "scp": []string{"testapi"}}, "", xenaauth.ReasonClaims, []string{"testapi"}},
		"scp string":        {map[string]any{"scope": nil, "scp": "email testapi"}, "", "", []string{"email", "testapi"}},
		"scope before scp":  {map[string]any{"scope": "email", "scp": "testapi"}, none, none, []string{"email"}},
		"empty":             {map[string]any{"scope": ""}, none, none, nil},
		"empty list":        {map[string]any{"scope": []string{}}, none, xenaauth.ReasonClaims, nil},
		"escaped":           {map[string]any{"scope": harness.RawJSON(`"email test\u0061pi"`)}, "", "", []string{"email", "testapi"}},
		"an escaped space":  {map[string]any{"scope": harness.RawJSON(`"email\u0020testapi"`)}, "", "", []string{"email", "testapi"}},
		"number":            {map[string]any{"scope": 7}, xenaauth.ReasonClaims, xenaauth.ReasonClaims, nil},
		"null":              {map[string]any{"scope": harness.RawJSON("null")}, xenaauth.ReasonClaims, xenaauth.ReasonClaims, nil},
		"mixed list":        {map[string]any{"scope": []any{"testapi", 7}}, xenaauth.ReasonClaims, xenaauth.ReasonClaims, nil},
		"a space in a list": {map[string]any{"scope": []string{"email testapi"}}, none, xenaauth.ReasonClaims, []string{"email testapi"}},
	} {
		t.Run(name, func(t *testing.T) {
			token := issuer.JWT(xenaauthtest.Token{Claims: c.claims})
			for a, reason := range map[*harness.API]xenaauth.Reason{lax: c.lax, letter: c.letter} {
				if reason == "" {
					a.Passes(t, token)
				} else {
					a.Refuses(t, token, reason)
				}
			}
			if c.lax == "" || c.lax == none {
				require.Equal(t, c.scopes, append([]string(nil), harness.UserOf(t, lax.Validator, token).Scopes()...))
			}
		})
	}
}

func TestP4_EncryptedOrUnsigned(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, strict(issuer))
	claims := map[string]any{"scope": "testapi"}
	a.Refuses(t, harness.Base64(`{"alg":"RSA-OAEP-256","enc":"A256GCM","typ":"at+jwt","cty":"at+jwt"}`)+".a2V5.aXY.Y2lwaGVy.dGFn", xenaauth.ReasonMalformedToken)
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"alg": "none"}, Claims: claims}), xenaauth.ReasonAlgorithm)
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"enc": "A256GCM"}, Claims: claims}), xenaauth.ReasonAlgorithm)
	a.Passes(t, issuer.JWT(xenaauthtest.Token{Claims: claims}))
}

func TestP5_AuthenticationAndAuthorizationClaims(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, strict(issuer))
	user := harness.UserOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"scope": "testapi", "auth_time": 1789999990, "acr": "urn:mace:incommon:iap:silver", "amr": []string{"pwd", "mfa"},
		"roles": []string{"bookkeeper"}, "groups": "7", "entitlements": []any{map[string]any{"value": "invoices"}},
	}}))
	require.EqualValues(t, 1789999990, user.AuthenticatedAt().Unix())
	require.Equal(t, "urn:mace:incommon:iap:silver", user.AuthenticationContext())
	require.Equal(t, []string{"pwd", "mfa"}, user.AuthenticationMethods())
	var roles, groups []string
	var entitlements []map[string]string
	require.NoError(t, user.Claim("roles", &roles))
	require.NoError(t, user.Claim("groups", &groups))
	require.NoError(t, user.Claim("entitlements", &entitlements))
	require.Equal(t, []string{"bookkeeper"}, roles)
	require.Equal(t, []string{"7"}, groups)
	require.Equal(t, []map[string]string{{"value": "invoices"}}, entitlements)
	require.ErrorIs(t, user.Claim("Roles", &roles), xenaauth.ErrNoClaim)

	// The library makes no decision with the claims auth_time, acr, amr and idp. It only passes
	// them to the service. So a token is accepted even if the values of these claims have a wrong
	// type.
	odd := harness.UserOf(t, a.Validator, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"scope": "testapi", "auth_time": []int{1}, "acr": 7, "amr": map[string]any{}, "idp": false,
	}}))
	require.True(t, odd.AuthenticatedAt().IsZero())
	require.Empty(t, odd.AuthenticationContext()+odd.IdentityProvider())
	require.Empty(t, odd.AuthenticationMethods())
}
