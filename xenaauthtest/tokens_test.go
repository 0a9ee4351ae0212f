package xenaauthtest_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestAccessTokenShapes(t *testing.T) {
	allScopes := []any{"openid", "profile", "testapi", "offline_access"}
	for _, test := range []struct {
		version       xenaauthtest.Version
		typ           string
		kid           string
		x5t, alg      bool
		aud           any
		oneScope      any
		recent        bool
		opaque        string
		password, kty string
	}{
		{version: xenaauthtest.IdentityServer3, typ: "JWT", kid: `^[\w-]{27}$`, x5t: true,
			aud: resources, oneScope: "testapi", opaque: `^[\w-]{43}$`, password: "password"},
		{version: xenaauthtest.IdentityServer4v1, typ: "JWT", kid: `^[0-9A-F]{40}$`, x5t: true,
			aud: []any{resources, "testapi"}, oneScope: []any{"testapi"}, opaque: `^[\w-]{43}$`, password: "pwd"},
		{version: xenaauthtest.IdentityServer4v3, typ: "at+jwt", kid: `^[0-9A-F]{40}$`, x5t: true, alg: true,
			aud: "testapi", oneScope: []any{"testapi"}, opaque: `^[\w-]{43}$`, password: "pwd"},
		{version: xenaauthtest.IdentityServer4, typ: "at+jwt", kid: `^[0-9A-F]{40}ES256$`, x5t: true, alg: true, recent: true,
			aud: []any{"testapi", resources}, oneScope: []any{"testapi"}, opaque: `^[0-9A-F]{64}$`, password: "pwd"},
		{version: xenaauthtest.Duende, typ: "at+jwt", kid: `^[0-9A-F]{32}$`, alg: true, recent: true,
			aud: []any{"testapi", resources}, oneScope: []any{"testapi"}, opaque: `^[0-9A-F]{64}-1$`, password: "pwd"},
	} {
		t.Run(test.version.String(), func(t *testing.T) {
			i := fastIssuer(test.version)
			header, claims := decode(t, i.JWT(xenaauthtest.Token{}))
			equal(t, "header", header, i.Header())
			equal(t, "typ", header["typ"], test.typ)
			if kid := header["kid"].(string); kid != i.KeyID() || !regexp.MustCompile(test.kid).MatchString(kid) {
				t.Errorf("kid %q", kid)
			}
			equal(t, "x5t in header", header["x5t"] != nil, test.x5t)
			equal(t, "iss", claims["iss"], "https://login.xena.biz")
			equal(t, "aud", claims["aud"], test.aud)
			equal(t, "scope", claims["scope"], allScopes)
			equal(t, "sub", claims["sub"], "104711")
			equal(t, "amr", claims["amr"], []any{test.password})
			equal(t, "lifetime", claims["exp"].(float64)-claims["nbf"].(float64), 3600.0)
			for _, name := range []string{"jti", "iat", "sid"} {
				equal(t, name, claims[name] != nil, test.recent)
			}

			_, claims = decode(t, i.JWT(xenaauthtest.Token{Scopes: []string{"testapi"}}))
			equal(t, "one scope", claims["scope"], test.oneScope)
			_, claims = decode(t, i.JWT(xenaauthtest.Token{Scopes: []string{"openid"}}))
			equal(t, "aud without a scope of the API", claims["aud"], test.aud)

			if opaque := i.Opaque(xenaauthtest.Token{}); !regexp.MustCompile(test.opaque).MatchString(opaque) {
				t.Errorf("opaque token %q", opaque)
			}

			key := keySet(t, i)[0]
			equal(t, "alg in key set", key["alg"] != "", test.alg)
			x5t, _ := header["x5t"].(string)
			equal(t, "x5t in key set", key["x5t"], x5t)
			equal(t, "kid in key set", key["kid"], i.KeyID())
			equal(t, "use in key set", key["use"], "sig")
		})
	}
}

func TestMachineToken(t *testing.T) {
	for _, version := range versions {
		i := fastIssuer(version)
		_, claims := decode(t, i.JWT(xenaauthtest.Token{
			Machine: true,
			Claims:  object{"user_id": "7", "client_role": "x", "acr": "1", "client_id": "app"},
		}))
		for _, name := range []string{"sub", "auth_time", "idp", "amr", "sid", "user_id", "client_client_id"} {
			if claims[name] != nil {
				t.Errorf("%v: machine token with %s", version, name)
			}
		}
		equal(t, "client_user_id", claims["client_user_id"], "7")
		equal(t, "client_role", claims["client_role"], "x")
		equal(t, "client_id", claims["client_id"], "app")
		equal(t, "acr", claims["acr"], "1")
	}
}

func TestTokenOverrides(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	header, claims := decode(t, i.JWT(xenaauthtest.Token{
		Subject: "1", ClientID: "app", Lifetime: -time.Minute,
		Claims: object{"role": []string{"a", "b"}, "jti": nil},
		Header: object{"kid": nil, "typ": "x"},
	}))
	equal(t, "header", header, object{"alg": "ES256", "typ": "x", "x5t": i.Header()["x5t"]})
	equal(t, "sub", claims["sub"], "1")
	equal(t, "client_id", claims["client_id"], "app")
	equal(t, "role", claims["role"], []any{"a", "b"})
	if _, ok := claims["jti"]; ok {
		t.Error("jti was not removed")
	}
	ago := float64(time.Now().Unix()) - claims["exp"].(float64)
	if ago < 60 || ago > 90 {
		t.Errorf("expired %v seconds ago, want 60", ago)
	}
	equal(t, "lifetime", claims["exp"].(float64)-claims["nbf"].(float64), 3600.0)
}

// The comment of Token.Lifetime says which Lifetime makes a token that a validator with the default
// configuration refuses.
func TestExpiredToken(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	v, err := xenaauth.NewValidator(i.Config())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Validate(t.Context(), i.JWT(xenaauthtest.Token{Lifetime: -time.Second})); err != nil {
		t.Errorf("a token that expired a second ago: %v", err)
	}
	_, err = v.Validate(t.Context(), i.JWT(xenaauthtest.Token{Lifetime: -time.Minute}))
	if e, _ := errors.AsType[*xenaauth.Error](err); e == nil || e.Reason != xenaauth.ReasonExpired {
		t.Errorf("a token that expired a minute ago: %v", err)
	}
}

func TestOtherModels(t *testing.T) {
	i := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{
		Algorithm: "ES256", ScopeOnly: true, ScopesAsString: true, URL: "https://id.example/tenant/",
	})
	_, claims := decode(t, i.JWT(xenaauthtest.Token{Scopes: []string{"a", "b"}}))
	equal(t, "aud", claims["aud"], nil)
	equal(t, "scope", claims["scope"], "a b")
	equal(t, "iss", claims["iss"], "https://id.example/tenant/")
	equal(t, "jwks_uri", metadata(t, i)["jwks_uri"], "https://id.example/tenant/.well-known/openid-configuration/jwks")
	cfg := i.Config()
	if !cfg.AllowAnyAudience || cfg.Audiences != nil || cfg.HTTPClient == nil || cfg.Issuer != i.URL() {
		t.Errorf("configuration %+v", cfg)
	}
}

func TestTokensOfOtherKinds(t *testing.T) {
	for version, typ := range map[xenaauthtest.Version]string{
		xenaauthtest.IdentityServer4:   "at+jwt",
		xenaauthtest.IdentityServer3:   "JWT",
		xenaauthtest.IdentityServer4v1: "JWT",
		xenaauthtest.IdentityServer4v3: "at+jwt",
		xenaauthtest.Duende:            "logout+jwt",
	} {
		i := fastIssuer(version)
		id, logout := i.IDToken(xenaauthtest.Token{}), i.LogoutToken(xenaauthtest.Token{})
		idHeader, idClaims := decode(t, id)
		logoutHeader, logoutClaims := decode(t, logout)
		equal(t, "typ of ID token", idHeader["typ"], "JWT")
		equal(t, "typ of logout token", logoutHeader["typ"], typ)
		for _, claims := range []object{idClaims, logoutClaims} {
			if claims["client_id"] != nil || claims["scope"] != nil {
				t.Errorf("%v: client_id or scope in %v", version, claims)
			}
			equal(t, "aud", claims["aud"], "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz")
		}
		if idClaims["nonce"] == nil || idClaims["at_hash"] == nil || logoutClaims["events"] == nil {
			t.Errorf("%v: incomplete %v or %v", version, idClaims, logoutClaims)
		}
		wantInactive(t, i, "ID token", id)
		wantInactive(t, i, "logout token", logout)
	}
}
