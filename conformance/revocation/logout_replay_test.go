package revocation_test

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
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestLogoutReplay(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		h := v.LogoutHandler(harness.ClientID)
		token := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"jti": "L1"}))
		status, reason := harness.Logout(t, h, token)
		require.Equal(t, 200, status, reason)
		again := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"jti": "L1", "sid": "S2"}))
		time.Sleep(time.Second)
		for _, replayed := range []string{token, again} {
			status, reason = harness.Logout(t, h, replayed)
			require.Equal(t, 400, status)
			require.Equal(t, xenaauth.ReasonRevoked, reason)
		}
		require.Equal(t, 1, v.Status().Revocations)
		status, reason = harness.Logout(t, h, issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"jti": "L2"})))
		require.Equal(t, 200, status, reason)
		// the time exp is over, but by less than the clock skew, so the logout token is still valid
		time.Sleep(5*time.Minute + 29*time.Second - 1)
		_, reason = harness.Logout(t, h, token)
		require.Equal(t, xenaauth.ReasonRevoked, reason)
		time.Sleep(time.Nanosecond)
		_, reason = harness.Logout(t, h, token)
		require.Equal(t, xenaauth.ReasonExpired, reason)
	})
}

// If a forged logout token is refused, the valid logout token with the same jti is still accepted.
func TestLogoutRefusedIsNotUsedUp(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	h := harness.NewValidator(t, issuer.Config()).LogoutHandler(harness.ClientID)
	jti := map[string]any{"jti": "L1"}
	stranger := harness.NewSigner(t, issuer.KeyID())
	status, _ := harness.Logout(t, h, stranger.JWT(t, harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, jti)))
	require.Equal(t, 400, status)
	status, reason := harness.Logout(t, h, issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, jti)))
	require.Equal(t, 200, status, reason)
}

func TestLogoutReplayConcurrently(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	require.NoError(t, v.Warm(t.Context()))
	h := v.LogoutHandler(harness.ClientID)
	const senders = 8
	for range 200 {
		token := issuer.LogoutToken(xenaauthtest.Token{})
		var good, replayed, ready atomic.Int32
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				// All senders of the logout token wait in this loop until the last sender is ready,
				// so that they send at the same moment. A channel would start them less exactly
				// together.
				for ready.Add(1); ready.Load() < senders; {
					runtime.Gosched()
				}
				switch status, _ := harness.Logout(t, h, token); status {
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
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		h := v.LogoutHandler(harness.ClientID)
		token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
		issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"20"}}})
		resp := harness.PostForm(t, h, harness.FormType, url.Values{"logout_token": {token}}.Encode())
		require.Equal(t, 503, resp.StatusCode)
		require.Equal(t, "20", resp.Header.Get("Retry-After"))
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.Zero(t, v.Status().Revocations)
		time.Sleep(20 * time.Second)
		issuer.Heal()
		status, reason := harness.Logout(t, h, token)
		require.Equal(t, 200, status, reason)
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
	})
}

func TestLogoutAfterRotation(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		h := v.LogoutHandler(harness.ClientID)
		old := issuer.LogoutToken(xenaauthtest.Token{})
		require.NoError(t, v.Warm(t.Context()))
		time.Sleep(time.Minute)
		issuer.Rotate()
		issuer.Retire()
		status, reason := harness.Logout(t, h, issuer.LogoutToken(xenaauthtest.Token{}))
		require.Equal(t, 200, status, reason)
		status, reason = harness.Logout(t, h, old)
		require.Equal(t, 400, status)
		require.Equal(t, xenaauth.ReasonUnknownKey, reason, "a withdrawn key must not verify a logout token")
		time.Sleep(time.Second)
		issuer.Down()
		issuer.Rotate()
		status, _ = harness.Logout(t, h, issuer.LogoutToken(xenaauthtest.Token{}))
		require.Equal(t, 503, status, "the key set is unavailable")
	})
}

// If the service answers a logout token with 503, the issuer sends the same token again. The
// service must not refuse it as a replay, because the session of the user would then not be
// revoked.
func TestLogoutTriedAgainAfterUnavailable(t *testing.T) {
	t.Parallel()
	t.Run("the bus fails", func(t *testing.T) {
		t.Parallel()
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			bus := &closableBus{shut: true}
			cfg := issuer.Config()
			cfg.RevocationBus = bus
			v := harness.NewValidator(t, cfg)
			h := v.LogoutHandler(harness.ClientID)
			token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
			resp := harness.PostForm(t, h, harness.FormType, url.Values{"logout_token": {token}}.Encode())
			require.Equal(t, 503, resp.StatusCode)
			seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			require.NoError(t, err)
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
			time.Sleep(time.Duration(seconds) * time.Second)
			bus.shut = false
			status, reason := harness.Logout(t, h, token)
			require.Equal(t, 200, status, reason)
			require.Equal(t, 1, bus.sent, "the second try must be published")
		})
	})
	t.Run("too many revocations", func(t *testing.T) {
		t.Parallel()
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			v := harness.NewValidator(t, issuer.Config())
			h := v.LogoutHandler(harness.ClientID)
			until := time.Now().Add(10 * time.Second)
			for n := range 100_000 {
				harness.Revoke(t, v, xenaauth.Revocation{TokenID: fmt.Sprint(n), Until: until})
			}
			token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
			status, _ := harness.Logout(t, h, token)
			require.Equal(t, 503, status)
			time.Sleep(10 * time.Second)
			status, reason := harness.Logout(t, h, token)
			require.Equal(t, 200, status, reason)
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})))
		})
	})
}
