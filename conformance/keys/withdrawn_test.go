package keys_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// For some time a service gets no requests. This idle time is longer than the time for which the
// key set is fresh. In the idle time, the issuer withdraws a key. Afterwards no token of the
// withdrawn key passes, neither a new token nor a cached one.
func TestA2_WithdrawnWhileIdle(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{60 * time.Second, 100 * time.Second, 10 * time.Minute, 50 * time.Minute} {
		for _, first := range []string{"known", "fresh", "young"} {
			harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
				issuer.SetCacheControl("max-age=60")
				tokens := map[string]string{"known": issuer.JWT(xenaauthtest.Token{}), "fresh": issuer.JWT(xenaauthtest.Token{})}
				a.Passes(t, tokens["known"])
				issuer.Rotate()
				issuer.Retire()
				tokens["young"] = issuer.JWT(xenaauthtest.Token{})
				time.Sleep(idle)
				issuer.Slow(300 * time.Millisecond)
				began := time.Now()
				if first == "young" {
					a.Passes(t, tokens["young"])
					require.LessOrEqual(t, time.Since(began), time.Second)
				} else {
					a.Refuses(t, tokens[first], xenaauth.ReasonUnknownKey)
				}
				a.Refuses(t, tokens["known"], xenaauth.ReasonUnknownKey)
				a.Refuses(t, tokens["fresh"], xenaauth.ReasonUnknownKey)
				a.Passes(t, tokens["young"])
			})
		}
	}
}

// While a service gets no requests, the issuer withdraws a key and moves the key set to another
// address. The old address still serves the withdrawn key. Afterwards no token of that key passes.
func TestA2_WithdrawnAndMovedWhileIdle(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		defer time.Sleep(time.Minute)
		issuer := &harness.MovedIssuer{Issuer: harness.NewIssuer()}
		cfg := issuer.Config()
		cfg.HTTPClient = issuer.HTTPClient()
		a := harness.Mount(t, cfg)
		known := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, known)
		issuer.Move(t, false)
		issuer.Rotate()
		issuer.Retire()
		time.Sleep(16 * time.Minute)
		a.Refuses(t, known, xenaauth.ReasonUnknownKey)
	})
}

// A service gets no requests for some time. If the issuer does not respond after this idle time,
// the library uses the last good keys. Requests wait for the issuer for at most a second.
func TestA2_IdleAndNoAnswer(t *testing.T) {
	t.Parallel()
	for _, fault := range []xenaauthtest.Fault{{Break: true}, {Status: 500}, {Delay: time.Hour}} {
		harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
			issuer.SetCacheControl("max-age=60")
			known := issuer.JWT(xenaauthtest.Token{})
			a.Passes(t, known)
			issuer.Fail(xenaauthtest.All, fault)
			time.Sleep(100 * time.Second)
			began := time.Now()
			a.Passes(t, known)
			require.LessOrEqual(t, time.Since(began), time.Second)
			for range 200 {
				began := time.Now()
				a.Passes(t, known)
				a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
				require.Zero(t, time.Since(began))
				time.Sleep(time.Second)
			}
		})
	}
}

// waitUntilAccepted sends a token repeatedly until the token is accepted, and returns the time that
// passed.
func waitUntilAccepted(t *testing.T, a *harness.API, token string) time.Duration {
	t.Helper()
	began := time.Now()
	for a.Get(t, token).Status != 200 {
		require.Less(t, time.Since(began), time.Hour)
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(began)
}

// The issuer replaces a key in its key set. The new key has the same kid as the old key, or neither
// key has a kid. Tokens of the new key pass after the next fetch of the key set. The first refused
// token starts this fetch, unless the last fetch was less than 10 s ago.
func TestA3_SameKidNewKey(t *testing.T) {
	t.Parallel()
	ec := func(kid string) *harness.Signer { return harness.NewSigner(t, kid) }
	named := func(s *harness.Signer) map[string]any { return map[string]any{"kid": s.KeyID} }
	nameless := func(*harness.Signer) map[string]any { return nil }
	thumb := func(*harness.Signer) map[string]any { return map[string]any{"kid": "renamed", "x5t": "t"} }
	for name, c := range map[string]struct {
		old, young *harness.Signer
		header     func(*harness.Signer) map[string]any
		jwk        map[string]any
		reason     xenaauth.Reason
	}{
		"kid":                     {ec("k"), ec("k"), named, nil, xenaauth.ReasonSignature},
		"kid, another type":       {ec("k"), harness.RSASigner("k"), named, nil, xenaauth.ReasonAlgorithm},
		"no kid":                  {ec("a"), ec("b"), nameless, nil, xenaauth.ReasonSignature},
		"no kid, keys without":    {ec("a"), ec("b"), nameless, map[string]any{"kid": nil}, xenaauth.ReasonSignature},
		"no kid, another type":    {ec("a"), harness.RSASigner("b"), nameless, nil, xenaauth.ReasonAlgorithm},
		"certificate of one name": {ec("a"), ec("b"), thumb, map[string]any{"x5t": "t"}, xenaauth.ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
				token := func(s *harness.Signer) string {
					header := map[string]any{"alg": "ES256", "typ": "at+jwt"}
					if s.Key == harness.RSAKey() {
						header["alg"] = "RS256"
					}
					return s.JWT(t, harness.With(header, c.header(s)), issuer.Claims(xenaauthtest.Token{}))
				}
				harness.Publish(t, issuer, c.old.JWK(c.jwk))
				old, young := token(c.old), token(c.young)
				a.Passes(t, old)
				time.Sleep(time.Minute)
				harness.Publish(t, issuer, c.young.JWK(c.jwk))
				issuer.ResetCalls()
				began := time.Now()
				a.Refuses(t, young, c.reason)
				require.Zero(t, time.Since(began), "the request must not wait")
				synctest.Wait()
				a.Passes(t, young)
				require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
				require.NotEmpty(t, harness.ReasonOf(t, a.Validator, old), "tokens of the old key must be refused")

				// Right after a fetch of the key set, the issuer replaces the key again. This is
				// the worst moment, because the next fetch can start only 10 s later.
				harness.Publish(t, issuer, c.old.JWK(c.jwk))
				require.LessOrEqual(t, waitUntilAccepted(t, a, old), 10*time.Second+100*time.Millisecond)
			})
		})
	}
}

// If the signature of a logout token is bad, the library refreshes the key set, as it does for an
// access token.
func TestA3_SameKidNewKeyOfALogoutToken(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		old, young := harness.NewSigner(t, "k"), harness.NewSigner(t, "k")
		harness.Publish(t, issuer, old.JWK(nil))
		v := harness.NewValidator(t, issuer.Config())
		require.Empty(t, harness.ReasonOf(t, v, old.JWT(t, map[string]any{"alg": "ES256", "kid": "k"}, issuer.Claims(xenaauthtest.Token{}))))
		time.Sleep(time.Minute)
		harness.Publish(t, issuer, young.JWK(nil))
		h := v.LogoutHandler(harness.ClientID)
		logout := young.JWT(t, harness.LogoutHeader(issuer, map[string]any{"kid": "k"}), harness.LogoutClaims(issuer, nil))
		_, reason := harness.Logout(t, h, logout)
		require.Equal(t, xenaauth.ReasonSignature, reason)
		synctest.Wait()
		status, _ := harness.Logout(t, h, logout)
		require.Equal(t, 200, status)
	})
}

// A flood of tokens with a known kid and a bad signature causes at most one fetch of the key set in
// 10 s, or in 5 s while the issuer fails.
func TestA4_BadSignatures(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		forger := harness.NewIssuer()
		forged := forger.JWT(xenaauthtest.Token{Header: map[string]any{"kid": issuer.KeyID(), "x5t": nil}})
		nameless := forger.JWT(xenaauthtest.Token{Header: map[string]any{"kid": nil, "x5t": nil}})
		other := forger.JWT(xenaauthtest.Token{Header: map[string]any{"alg": "RS256", "kid": nil, "x5t": nil}})
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		flood := func() {
			for range 1000 { // the loop takes 100 s of fake time
				began := time.Now()
				a.Refuses(t, forged, xenaauth.ReasonSignature)
				a.Refuses(t, nameless, xenaauth.ReasonSignature)
				a.Refuses(t, other, xenaauth.ReasonAlgorithm)
				a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
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
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 20, "at most one fetch in 5 s")
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 20)
	})
}
