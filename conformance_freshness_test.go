package xenaauth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A service was idle for longer than its key set may be used without a look at the issuer. The issuer has withdrawn a
// key: no token of that key passes, be it new or known.
func TestA2_WithdrawnWhileIdle(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{60 * time.Second, 100 * time.Second, 10 * time.Minute, 50 * time.Minute} {
		for _, first := range []string{"known", "fresh", "young"} {
			outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
				issuer.SetCacheControl("max-age=60")
				tokens := map[string]string{"known": issuer.JWT(xenaauthtest.Token{}), "fresh": issuer.JWT(xenaauthtest.Token{})}
				a.passes(t, tokens["known"])
				issuer.Rotate()
				issuer.Retire()
				tokens["young"] = issuer.JWT(xenaauthtest.Token{})
				time.Sleep(idle)
				issuer.Slow(300 * time.Millisecond)
				began := time.Now()
				if first == "young" {
					a.passes(t, tokens["young"])
					require.LessOrEqual(t, time.Since(began), time.Second)
				} else {
					a.refuses(t, tokens[first], xenaauth.ReasonUnknownKey)
				}
				a.refuses(t, tokens["known"], xenaauth.ReasonUnknownKey)
				a.refuses(t, tokens["fresh"], xenaauth.ReasonUnknownKey)
				a.passes(t, tokens["young"])
			})
		}
	}
}

// The same where the key set moved at that time, and the old address goes on with the old keys.
func TestA2_WithdrawnAndMovedWhileIdle(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		issuer := &rvMoved{Issuer: newIssuer()}
		cfg := issuer.Config()
		cfg.HTTPClient = issuer.client()
		a := mount(t, cfg)
		known := issuer.JWT(xenaauthtest.Token{})
		a.passes(t, known)
		issuer.move(t, false)
		issuer.Rotate()
		issuer.Retire()
		time.Sleep(16 * time.Minute)
		a.refuses(t, known, xenaauth.ReasonUnknownKey)
	})
}

// If the issuer doesn't answer, the last good keys serve. That costs the requests of one second a wait, no longer than
// to its end.
func TestA2_IdleAndNoAnswer(t *testing.T) {
	t.Parallel()
	for _, fault := range []xenaauthtest.Fault{{Break: true}, {Status: 500}, {Delay: time.Hour}} {
		outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
			issuer.SetCacheControl("max-age=60")
			known := issuer.JWT(xenaauthtest.Token{})
			a.passes(t, known)
			issuer.Fail(xenaauthtest.All, fault)
			time.Sleep(100 * time.Second)
			began := time.Now()
			a.passes(t, known)
			require.LessOrEqual(t, time.Since(began), time.Second)
			for range 200 {
				began := time.Now()
				a.passes(t, known)
				a.passes(t, issuer.JWT(xenaauthtest.Token{}))
				require.Zero(t, time.Since(began))
				time.Sleep(time.Second)
			}
		})
	}
}

// healed asks with a token until it passes and returns how long that took.
func healed(t *testing.T, a *api, token string) time.Duration {
	t.Helper()
	began := time.Now()
	for a.get(t, token).status != 200 {
		require.Less(t, time.Since(began), time.Hour)
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

// The issuer replaces a key by another of the same name, or tokens and keys have no name at all. The tokens of the new
// key pass as soon as the old set is 10 s old and was fetched anew.
func TestA3_SameNameNewKey(t *testing.T) {
	t.Parallel()
	ec := func(kid string) *signer { return newSigner(t, kid) }
	named := func(s *signer) map[string]any { return map[string]any{"kid": s.kid} }
	nameless := func(*signer) map[string]any { return nil }
	thumb := func(*signer) map[string]any { return map[string]any{"kid": "renamed", "x5t": "t"} }
	for name, c := range map[string]struct {
		old, young *signer
		header     func(*signer) map[string]any
		jwk        map[string]any
		reason     xenaauth.Reason
	}{
		"kid":                     {ec("k"), ec("k"), named, nil, xenaauth.ReasonSignature},
		"kid, another type":       {ec("k"), rsaSigner("k"), named, nil, xenaauth.ReasonAlgorithm},
		"no kid":                  {ec("a"), ec("b"), nameless, nil, xenaauth.ReasonSignature},
		"no kid, keys without":    {ec("a"), ec("b"), nameless, map[string]any{"kid": nil}, xenaauth.ReasonSignature},
		"no kid, another type":    {ec("a"), rsaSigner("b"), nameless, nil, xenaauth.ReasonAlgorithm},
		"certificate of one name": {ec("a"), ec("b"), thumb, map[string]any{"x5t": "t"}, xenaauth.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
				token := func(s *signer) string {
					header := map[string]any{"alg": "ES256", "typ": "at+jwt"}
					if s.key == rsaKey() {
						header["alg"] = "RS256"
					}
					return s.jwt(t, with(header, c.header(s)), issuer.Claims(xenaauthtest.Token{}))
				}
				publish(t, issuer, c.old.jwk(c.jwk))
				old, young := token(c.old), token(c.young)
				a.passes(t, old)
				time.Sleep(time.Minute)
				publish(t, issuer, c.young.jwk(c.jwk))
				issuer.ResetCalls()
				began := time.Now()
				a.refuses(t, young, c.reason)
				require.Zero(t, time.Since(began), "that request is not held")
				synctest.Wait()
				a.passes(t, young)
				require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
				require.NotEmpty(t, reasonOf(t, a.validator, old), "what the old key proved is gone")

				// And at the worst moment, when the set was fetched just now.
				publish(t, issuer, c.old.jwk(c.jwk))
				require.LessOrEqual(t, healed(t, a, old), 10*time.Second+100*time.Millisecond)
			})
		})
	}
}

// A logout token's signature counts as well as an access token's.
func TestA3_SameNameNewKeyOfALogoutToken(t *testing.T) {
	t.Parallel()
	rvBubble(t, func(t *testing.T) {
		issuer := newIssuer()
		old, young := newSigner(t, "k"), newSigner(t, "k")
		publish(t, issuer, old.jwk(nil))
		v := rvNew(t, issuer.Config())
		require.Empty(t, reasonOf(t, v, old.jwt(t, map[string]any{"alg": "ES256", "kid": "k"}, issuer.Claims(xenaauthtest.Token{}))))
		time.Sleep(time.Minute)
		publish(t, issuer, young.jwk(nil))
		h := v.LogoutHandler(rvClient)
		logout := young.jwt(t, rvHeader(issuer, map[string]any{"kid": "k"}), rvClaims(issuer, nil))
		_, reason := rvLogout(t, h, logout)
		require.Equal(t, xenaauth.ReasonSignature, reason)
		synctest.Wait()
		status, _ := rvLogout(t, h, logout)
		require.Equal(t, 200, status)
	})
}

// Strangers who know a kid make the issuer serve a key set every 10 s, and no more often.
func TestA4_BadSignatures(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		forger := newIssuer()
		forged := forger.JWT(xenaauthtest.Token{Header: map[string]any{"kid": issuer.KeyID(), "x5t": nil}})
		nameless := forger.JWT(xenaauthtest.Token{Header: map[string]any{"kid": nil, "x5t": nil}})
		other := forger.JWT(xenaauthtest.Token{Header: map[string]any{"alg": "RS256", "kid": nil, "x5t": nil}})
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		flood := func() {
			for range 1000 { // 100 s of it
				began := time.Now()
				a.refuses(t, forged, xenaauth.ReasonSignature)
				a.refuses(t, nameless, xenaauth.ReasonSignature)
				a.refuses(t, other, xenaauth.ReasonAlgorithm)
				a.passes(t, issuer.JWT(xenaauthtest.Token{}))
				require.Zero(t, time.Since(began))
				time.Sleep(100 * time.Millisecond)
			}
		}
		flood()
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 1+10)
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 2)
		issuer.Down()
		issuer.ResetCalls()
		flood()
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 20, "no more often than a failed refresh is tried again")
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 20)
	})
}
