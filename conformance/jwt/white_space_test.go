package jwt_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The JSON of a JOSE header may begin with white space. The library treats a token with this header
// as a JWT: it verifies the token locally, does not introspect it, and caches it. The hash for a
// revocation (HashToken) does not depend on the signature of this token.
func TestJ3_WhiteSpaceBeforeTheHeader(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for _, space := range []string{" ", "\t", "\r\n", "    ", strings.Repeat(" \n", 50)} {
		header := space + string(harness.JSON(t, map[string]any{"alg": "ES256", "kid": issuer.KeyID(), "typ": "at+jwt"}))
		claims := harness.JSON(t, issuer.Claims(xenaauthtest.Token{}))
		token := issuer.SignBytes([]byte(header), claims)
		a := harness.Serve(t, issuer.HybridConfig())
		issuer.ResetCalls()
		for range 3 {
			a.Passes(t, token)
		}
		forged := token[:len(token)-8] + "AAAAAAAA"
		a.Refuses(t, forged, xenaauth.ReasonSignature)
		foreign := issuer.SignBytes([]byte(header), harness.JSON(t, issuer.Claims(xenaauthtest.Token{Claims: map[string]any{"iss": "https://a.example"}})))
		a.Refuses(t, foreign, xenaauth.ReasonIssuer)
		require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
		hits := a.Validator.(*xenaauth.Validator).Status().Tokens.Hits
		require.GreaterOrEqual(t, hits, uint64(2), "the token must be found in the cache")

		require.Equal(t, xenaauth.HashToken(token), xenaauth.HashToken(forged), "the hash must not depend on the signature")
		harness.Revoke(t, a.Validator.(*xenaauth.Validator), xenaauth.Revocation{TokenHash: xenaauth.HashToken(forged)})
		a.Refuses(t, token, xenaauth.ReasonRevoked)
	}
	// A token of three segments counts as a JWT only if its first segment decodes to optional white
	// space and then "{". Otherwise the token is opaque.
	issuer.ResetCalls()
	a := harness.Serve(t, issuer.HybridConfig())
	for i, header := range []string{" ", " []", " null", "\v{}", "\ufeff{}"} {
		a.Refuses(t, harness.Base64(header)+".x.y", xenaauth.ReasonInactive)
		require.Equal(t, i+1, issuer.Calls(xenaauthtest.Introspection), "%q", header)
	}
}
