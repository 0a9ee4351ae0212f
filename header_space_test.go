package xenaauth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A JOSE header may begin with white space. Such a token is a JWT everywhere: it is verified here and not introspected,
// it is found again when it is in use, and its name in a revocation leaves out the signature.
func TestHeaderThatBeginsWithWhiteSpace(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	for _, space := range []string{" ", "\t", "\r\n", "    ", strings.Repeat(" \n", 50)} {
		header := space + string(mustJSON(t, map[string]any{"alg": "ES256", "kid": issuer.KeyID(), "typ": "at+jwt"}))
		claims := mustJSON(t, issuer.Claims(xenaauthtest.Token{}))
		token := issuer.SignBytes([]byte(header), claims)
		a := serve(t, issuer.HybridConfig())
		issuer.ResetCalls()
		for range 3 {
			a.passes(t, token)
		}
		forged := token[:len(token)-8] + "AAAAAAAA"
		a.refuses(t, forged, xenaauth.ReasonSignature)
		foreign := issuer.SignBytes([]byte(header), mustJSON(t, issuer.Claims(xenaauthtest.Token{Claims: map[string]any{"iss": "https://a.example"}})))
		a.refuses(t, foreign, xenaauth.ReasonIssuer)
		require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
		hits := a.validator.(*xenaauth.Validator).Status().Tokens.Hits
		require.GreaterOrEqual(t, hits, uint64(2), "found again, not verified again")

		require.Equal(t, xenaauth.HashToken(token), xenaauth.HashToken(forged), "an ECDSA signature can be made anew")
		rvRevoke(t, a.validator.(*xenaauth.Validator), xenaauth.Revocation{TokenHash: xenaauth.HashToken(forged)})
		a.refuses(t, token, xenaauth.ReasonRevoked)
	}
	// Three segments that begin with white space and then with something else are an opaque token.
	issuer.ResetCalls()
	a := serve(t, issuer.HybridConfig())
	for i, header := range []string{" ", " []", " null", "\v{}", "\ufeff{}"} {
		a.refuses(t, b64(header)+".x.y", xenaauth.ReasonInactive)
		require.Equal(t, i+1, issuer.Calls(xenaauthtest.Introspection), "%q", header)
	}
}
