package keys_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A token with an unknown kid has just made the library fetch the key set, and the kid was not in
// it. Another token with this kid is refused immediately. The request does not wait for the next
// fetch of the key set.
func TestUnknownKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		junk := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": "nobody", "x5t": nil}})
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, junk))
		start, calls := time.Now(), issuer.Calls(xenaauthtest.All)
		for range 3 {
			require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, junk))
		}
		logout := issuer.SignBytes(harness.JSON(t, harness.LogoutHeader(issuer, map[string]any{"kid": "nobody", "x5t": nil})), harness.JSON(t, harness.LogoutClaims(issuer, nil)))
		_, reason := harness.Logout(t, v.LogoutHandler(harness.ClientID), logout)
		require.Equal(t, xenaauth.ReasonUnknownKey, reason)
		require.Zero(t, time.Since(start))
		require.Equal(t, calls, issuer.Calls(xenaauthtest.All))
	})
}

// A token with an unknown kid has just made the library fetch the key set, and the kid was not in
// it. If another token has this kid, the library reads no other part of the token and starts no
// fetch. So a flood of these tokens costs little.
func TestTokenOfUnknownKeyIsNotReadFurther(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		good := issuer.JWT(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, good))
		absent := map[string]any{"kid": "nobody", "x5t": nil}
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Header: absent})))
		header, _, _ := strings.Cut(issuer.JWT(xenaauthtest.Token{Header: absent}), ".")
		others := map[string]xenaauthtest.Token{
			"expired":     {Header: absent, Lifetime: -time.Hour},
			"another typ": {Header: map[string]any{"kid": "nobody", "x5t": nil, "typ": "dpop+jwt"}},
			"issuer":      {Header: absent, Claims: map[string]any{"iss": "https://a.example"}},
		}
		calls := issuer.Calls(xenaauthtest.All)
		for name, token := range others {
			require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, issuer.JWT(token)), name)
		}
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, header+".e30x.x"), "the payload must not be read")
		require.Equal(t, calls, issuer.Calls(xenaauthtest.All))

		// The kid of this token is in the key set, so the library checks the bad signature.
		parts := strings.Split(good, ".")
		require.Equal(t, xenaauth.ReasonSignature, harness.ReasonOf(t, v, parts[0]+"."+parts[1]+"."+harness.Base64(make([]byte, 64))))
		// A second after the last fetch, the library may fetch the key set again. A valid token
		// with an unknown kid starts this fetch. An expired token does not start it.
		time.Sleep(time.Second)
		require.Equal(t, xenaauth.ReasonExpired, harness.ReasonOf(t, v, issuer.JWT(others["expired"])))
		require.Equal(t, calls, issuer.Calls(xenaauthtest.All))
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Header: absent})))
		require.Equal(t, calls+1, issuer.Calls(xenaauthtest.All))
	})
}

// If the issuer has withdrawn a key from its key set, tokens of this key are refused as tokens of
// an unknown key. This is also true for tokens in the cache.
func TestWithdrawnKeyIsUnknown(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		old, fresh := issuer.JWT(xenaauthtest.Token{}), issuer.JWT(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, old))
		issuer.Rotate()
		issuer.Retire()
		time.Sleep(time.Second)
		require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, old))
		calls, start := issuer.Calls(xenaauthtest.All), time.Now()
		for range 3 {
			require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, old))
			require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, fresh))
		}
		require.Equal(t, calls, issuer.Calls(xenaauthtest.All))
		require.Zero(t, time.Since(start))
	})
}
