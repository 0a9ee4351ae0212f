package xenaauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestLogoutReplay(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		h := v.LogoutHandler(rvClient)
		token := issuer.Sign(rvHeader(issuer, nil), rvClaims(issuer, map[string]any{"jti": "L1"}))
		status, reason := rvLogout(t, h, token)
		require.Equal(t, 200, status, reason)
		again := issuer.Sign(rvHeader(issuer, nil), rvClaims(issuer, map[string]any{"jti": "L1", "sid": "S2"}))
		time.Sleep(time.Second)
		for _, replayed := range []string{token, again} {
			status, reason = rvLogout(t, h, replayed)
			require.Equal(t, 400, status)
			require.Equal(t, xenaauth.ReasonRevoked, reason)
		}
		require.Equal(t, 1, v.Status().Revocations)
		status, reason = rvLogout(t, h, issuer.Sign(rvHeader(issuer, nil), rvClaims(issuer, map[string]any{"jti": "L2"})))
		require.Equal(t, 200, status, reason)
		time.Sleep(5*time.Minute + 29*time.Second - 1) // for as long as the skew lets the token live
		_, reason = rvLogout(t, h, token)
		require.Equal(t, xenaauth.ReasonRevoked, reason)
		time.Sleep(time.Nanosecond)
		_, reason = rvLogout(t, h, token)
		require.Equal(t, xenaauth.ReasonExpired, reason)
	})
}

// A logout token that was refused for something else is not used up.
func TestLogoutRefusedIsNotUsedUp(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	h := rvNew(t, issuer.Config()).LogoutHandler(rvClient)
	jti := map[string]any{"jti": "L1"}
	stranger := newSigner(t, issuer.KeyID())
	status, _ := rvLogout(t, h, stranger.jwt(t, rvHeader(issuer, nil), rvClaims(issuer, jti)))
	require.Equal(t, 400, status)
	status, reason := rvLogout(t, h, issuer.Sign(rvHeader(issuer, nil), rvClaims(issuer, jti)))
	require.Equal(t, 200, status, reason)
}

func TestLogoutReplayConcurrently(t *testing.T) {
	t.Parallel()
	issuer := newIssuer()
	v := rvNew(t, issuer.Config())
	require.NoError(t, v.Warm(t.Context()))
	h := v.LogoutHandler(rvClient)
	const senders = 8
	for range 200 {
		token := issuer.LogoutToken(xenaauthtest.Token{})
		var good, replayed, ready atomic.Int32
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for ready.Add(1); ready.Load() < senders; { // closer together than a channel would let them go
					runtime.Gosched()
				}
				switch status, _ := rvLogout(t, h, token); status {
				case 200:
					good.Add(1)
				case 400:
					replayed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, good.Load())
		require.EqualValues(t, senders-1, replayed.Load())
	}
}

func TestLogoutWhileTheIssuerIsDown(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		h := v.LogoutHandler(rvClient)
		token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
		issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"20"}}})
		resp := rvPost(t, h, rvForm, url.Values{"logout_token": {token}}.Encode())
		require.Equal(t, 503, resp.StatusCode)
		require.Equal(t, "20", resp.Header.Get("Retry-After"))
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.Zero(t, v.Status().Revocations)
		time.Sleep(20 * time.Second)
		issuer.Heal()
		status, reason := rvLogout(t, h, token)
		require.Equal(t, 200, status, reason)
		require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
	})
}

func TestLogoutAfterRotation(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		v := rvNew(t, issuer.Config())
		h := v.LogoutHandler(rvClient)
		old := issuer.LogoutToken(xenaauthtest.Token{})
		require.NoError(t, v.Warm(t.Context()))
		time.Sleep(time.Minute)
		issuer.Rotate()
		issuer.Retire()
		status, reason := rvLogout(t, h, issuer.LogoutToken(xenaauthtest.Token{}))
		require.Equal(t, 200, status, reason)
		status, reason = rvLogout(t, h, old)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonUnknownKey, reason, "a key that was withdrawn proves nothing")
		time.Sleep(time.Second)
		issuer.Down()
		issuer.Rotate()
		status, _ = rvLogout(t, h, issuer.LogoutToken(xenaauthtest.Token{}))
		require.Equal(t, 503, status, "a key that can't be looked for just now")
	})
}

// 503 asks the issuer to try again: then its second try must not be taken for a replay, or the session lives on.
func TestLogoutTriedAgainAfterUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("the bus fails", func(t *testing.T) {
		t.Parallel()
		rvBubble(t, func(t *testing.T) {
			issuer := newIssuer()
			bus := &rvGate{shut: true}
			cfg := issuer.Config()
			cfg.RevocationBus = bus
			v := rvNew(t, cfg)
			h := v.LogoutHandler(rvClient)
			token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
			resp := rvPost(t, h, rvForm, url.Values{"logout_token": {token}}.Encode())
			require.Equal(t, 503, resp.StatusCode)
			seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			require.NoError(t, err)
			require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
			time.Sleep(time.Duration(seconds) * time.Second)
			bus.shut = false
			status, reason := rvLogout(t, h, token)
			require.Equal(t, 200, status, reason)
			require.Equal(t, 1, bus.sent, "the other instances are told at last")
		})
	})
	t.Run("too many revocations", func(t *testing.T) {
		t.Parallel()
		rvBubble(t, func(t *testing.T) {
			issuer := newIssuer()
			v := rvNew(t, issuer.Config())
			h := v.LogoutHandler(rvClient)
			until := time.Now().Add(10 * time.Second)
			for n := range 100_000 {
				rvRevoke(t, v, xenaauth.Revocation{TokenID: fmt.Sprint(n), Until: until})
			}
			token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
			status, _ := rvLogout(t, h, token)
			require.Equal(t, 503, status)
			time.Sleep(10 * time.Second)
			status, reason := rvLogout(t, h, token)
			require.Equal(t, 200, status, reason)
			require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
		})
	})
}
