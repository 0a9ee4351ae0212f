package xenaauthtest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A token without the scope of the route gets 403, because its scopes are the problem. It must not
// get 401: this status would mean that the token is not for this API. The test makes the token in
// the most obvious way, with Token.Scopes alone.
func TestWrongScopeIs403(t *testing.T) {
	for _, version := range []xenaauthtest.Version{
		xenaauthtest.IdentityServer3, xenaauthtest.IdentityServer4v1, xenaauthtest.IdentityServer4v3,
		xenaauthtest.IdentityServer4, xenaauthtest.Duende,
	} {
		for name, opts := range map[string]xenaauthtest.IssuerOptions{
			"": {}, ", scopes as a string": {ScopesAsString: true}, ", scopes only": {ScopeOnly: true},
		} {
			opts.Version, opts.Algorithm = version, "ES256"
			issuer := xenaauthtest.NewIssuer(&opts)
			cfg := issuer.HybridConfig()
			cfg.Logger = slog.New(slog.DiscardHandler)
			v, err := xenaauth.NewValidator(cfg)
			if err != nil {
				t.Fatal(err)
			}
			h := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("testapi"))(http.NotFoundHandler())
			for _, scopes := range [][]string{{"other"}, {"profile"}, {"openid", "offline_access"}, {}} {
				token := xenaauthtest.Token{Scopes: scopes}
				for form, minted := range map[string]string{"JWT": issuer.JWT(token), "opaque": issuer.Opaque(token)} {
					r := httptest.NewRequest("GET", "/", nil)
					r.Header.Set("Authorization", "Bearer "+minted)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					if w.Code != http.StatusForbidden {
						t.Errorf("%v%s, %s with scopes %q: %d %s", version, name, form, scopes, w.Code, w.Body)
					}
				}
			}
		}
	}
}
