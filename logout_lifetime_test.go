package xenaauth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// Config.AllowAnyLifetime is about logout tokens too: one that lives for a month is accepted, once in that month.
func TestLogoutTokenOfAnyLifetime(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		month := time.Now().Add(30 * 24 * time.Hour)
		token := issuer.Sign(rvHeader(issuer, nil), rvClaims(issuer, map[string]any{"exp": month.Unix()}))
		status, reason := rvLogout(t, rvNew(t, issuer.Config()).LogoutHandler(rvClient), token)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonLifetime, reason)

		cfg := issuer.Config()
		cfg.AllowAnyLifetime = true
		h := rvNew(t, cfg).LogoutHandler(rvClient)
		status, reason = rvLogout(t, h, token)
		require.Equal(t, 200, status, reason)
		time.Sleep(29 * 24 * time.Hour)
		status, reason = rvLogout(t, h, token)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonRevoked, reason)
	})
}
