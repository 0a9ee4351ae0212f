package xenaauth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A key that the issuer was just asked for and doesn't have is refused at once: nobody waits for the next fetch.
func TestAbsentKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		require.Empty(t, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		junk := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": "nobody", "x5t": nil}})
		require.Equal(t, xenaauth.ReasonUnknownKey, reasonOf(t, v, junk))
		start, calls := time.Now(), issuer.Calls(xenaauthtest.All)
		for range 3 {
			require.Equal(t, xenaauth.ReasonUnknownKey, reasonOf(t, v, junk))
		}
		logout := issuer.SignBytes(mustJSON(t, rvHeader(issuer, map[string]any{"kid": "nobody", "x5t": nil})), mustJSON(t, rvClaims(issuer, nil)))
		_, reason := rvLogout(t, v.LogoutHandler(rvClient), logout)
		require.Equal(t, xenaauth.ReasonUnknownKey, reason)
		require.Zero(t, time.Since(start))
		require.Equal(t, calls, issuer.Calls(xenaauthtest.All))
	})
}
