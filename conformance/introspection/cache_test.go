package introspection_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestI6_Caching(t *testing.T) {
	t.Parallel()
	calls := func(t *testing.T, issuer *xenaauthtest.Issuer, want int) {
		t.Helper()
		require.Equal(t, want, issuer.Calls(xenaauthtest.Introspection))
		issuer.ResetCalls()
	}
	inTime := func(name string, f func(t *testing.T, issuer *xenaauthtest.Issuer)) {
		t.Run(name, func(t *testing.T) {
			harness.FakeTime(t, func(t *testing.T) { f(t, harness.NewIssuer()) })
		})
	}
	inTime("lifetime", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL = 30 * time.Second
		a := harness.Mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		for range 5 {
			a.Passes(t, token)
		}
		time.Sleep(29 * time.Second)
		a.Passes(t, token)
		calls(t, issuer, 1)
		issuer.Revoke(token)
		// the issuer has revoked the token, but the library still uses its cached response
		a.Passes(t, token)
		time.Sleep(time.Second)
		a.Refuses(t, token, xenaauth.ReasonInactive)
		calls(t, issuer, 1)
	})
	inTime("one minute by default", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := harness.Mount(t, issuer.HybridConfig())
		token := issuer.Opaque(xenaauthtest.Token{})
		a.Passes(t, token)
		time.Sleep(59 * time.Second)
		a.Passes(t, token)
		calls(t, issuer, 1)
		time.Sleep(2 * time.Second)
		a.Passes(t, token)
		calls(t, issuer, 1)
	})
	inTime("never beyond exp", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL = time.Hour
		a := harness.Mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{Lifetime: 20 * time.Second})
		a.Passes(t, token)
		time.Sleep(19 * time.Second)
		a.Passes(t, token)
		calls(t, issuer, 1)
		time.Sleep(time.Second)
		// The token is still valid, because the time exp plus the clock skew has not come yet. The
		// library introspects the token again, because it uses a cached response only until exp.
		a.Refuses(t, token, xenaauth.ReasonInactive)
		calls(t, issuer, 1)
	})
	inTime("inactive, for a short time", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := harness.Mount(t, issuer.HybridConfig())
		for range 5 {
			a.Refuses(t, "unknown", xenaauth.ReasonInactive)
		}
		calls(t, issuer, 1)
		time.Sleep(10 * time.Second)
		a.Refuses(t, "unknown", xenaauth.ReasonInactive)
		calls(t, issuer, 1)
	})
	inTime("inactive, in a cache apart", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheSize = 32
		a := harness.Mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		a.Passes(t, token)
		for i := range 500 {
			a.Refuses(t, "unknown"+harness.Base64([]byte{byte(i), byte(i >> 8)}), xenaauth.ReasonInactive)
		}
		calls(t, issuer, 501)
		a.Passes(t, token)
		calls(t, issuer, 0)
	})
	inTime("no caching", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL, cfg.Introspection.NegativeTTL = -1, -1
		a := harness.Mount(t, cfg)
		token := issuer.Opaque(xenaauthtest.Token{})
		for range 3 {
			a.Passes(t, token)
			a.Refuses(t, "unknown", xenaauth.ReasonInactive)
		}
		calls(t, issuer, 6)
	})
	inTime("no errors", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		a := harness.Mount(t, issuer.HybridConfig())
		token := issuer.Opaque(xenaauthtest.Token{})
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
		a.Refuses(t, token, xenaauth.ReasonUnavailable)
		issuer.Heal()
		a.Passes(t, token)
	})
	inTime("facts, not verdicts", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		cfg := issuer.HybridConfig()
		a := harness.Mount(t, cfg)
		other := harness.Guard(a.Validator, xenaauth.AllScopes("email"))
		token := issuer.Opaque(xenaauthtest.Token{Lifetime: 40 * time.Second, Claims: map[string]any{"nbf": time.Now().Unix() + 20}})
		a.Passes(t, token)
		other.Get(t, token).IsRefusalWithScope(t, xenaauth.ReasonInsufficientScope, "email")
		a.Passes(t, token)
		calls(t, issuer, 1)
	})
	inTime("each issuer and endpoint for itself", func(t *testing.T, issuer *xenaauthtest.Issuer) {
		other := harness.NewIssuer()
		token := issuer.Opaque(xenaauthtest.Token{})
		harness.Mount(t, issuer.HybridConfig()).Passes(t, token)
		harness.Mount(t, other.HybridConfig()).Refuses(t, token, xenaauth.ReasonInactive)
	})
}

func TestI6_SingleFlight(t *testing.T) {
	t.Parallel()
	t.Run("a thousand", func(t *testing.T) {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			a := harness.Mount(t, issuer.HybridConfig())
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.Slow(800 * time.Millisecond)
			var passed atomic.Int64
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			first := make(chan error, 1)
			wg.Go(func() {
				_, err := a.Validator.Validate(ctx, token)
				first <- err
			})
			// after this wait the metadata are there, and the introspection call is running
			time.Sleep(1500 * time.Millisecond)
			for range 1000 {
				wg.Go(func() {
					if _, err := a.Validator.Validate(t.Context(), token); err == nil {
						passed.Add(1)
					}
				})
			}
			synctest.Wait()
			// the first request is canceled; the other requests still get the introspection
			// response
			cancel()
			wg.Wait()
			require.Error(t, <-first)
			require.EqualValues(t, 1000, passed.Load())
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Metadata))
		})
	})
	t.Run("at full speed", func(t *testing.T) {
		issuer := harness.NewIssuer()
		a := harness.Mount(t, issuer.HybridConfig())
		// In each round, 100 requests with the same token share one introspection call. In some of
		// the 200 rounds, a request may come at the moment at which the introspection response
		// arrives. Such a request must not cause a second call.
		for range 200 {
			token := issuer.Opaque(xenaauthtest.Token{})
			issuer.ResetCalls()
			start := make(chan struct{})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					<-start
					_, err := a.Validator.Validate(t.Context(), token)
					if err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			wg.Wait()
			require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
		}
	})
}

func TestI6_OpaqueTokensOnly(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.HybridConfig())
	for _, opaque := range []string{
		"plain", "one.dot", "a.b.c.d.e", "a.b.c.d", "two.dots.here", "eA.b.c", "fyJ.b.c", ".b.c", "e.b.c", "a/b+c==", strings.Repeat("a", 1024),
		harness.Base64(`{"alg":"dir"}`) + ".b.c.d.e",
	} {
		issuer.ResetCalls()
		a.Refuses(t, opaque, xenaauth.ReasonInactive)
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), opaque)
	}
	issuer.ResetCalls()
	a.Refuses(t, strings.Repeat("a", 1025), xenaauth.ReasonMalformedToken)
	a.Refuses(t, "eyJ.b.c", xenaauth.ReasonMalformedToken)
	a.Refuses(t, harness.Base64(`{"alg":"none"}`)+".e30.", xenaauth.ReasonAlgorithm)
	token := issuer.JWT(xenaauthtest.Token{})
	a.Passes(t, token)
	issuer.Revoke(token)
	a.Passes(t, token)
	a.Refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
	harness.Serve(t, issuer.Config()).Refuses(t, "plain", xenaauth.ReasonMalformedToken)
}

func TestI6_AlwaysIntrospect(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.AlwaysIntrospect = true
	a := harness.Serve(t, cfg)
	for _, token := range []string{issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})} {
		a.Passes(t, token)
		a.Passes(t, token)
		issuer.Revoke(token)
		a.Refuses(t, token, xenaauth.ReasonInactive)
	}
	require.Zero(t, issuer.Calls(xenaauthtest.JWKS))
}

func TestI6_RequireActive(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.RequireActive = true
	cfg.Introspection.CacheTTL = -1
	a := harness.Serve(t, cfg)
	token := issuer.JWT(xenaauthtest.Token{})
	a.Passes(t, token)
	issuer.Revoke(token)
	a.Refuses(t, token, xenaauth.ReasonInactive)
	issuer.ResetCalls()
	a.Refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection), "a forged token must not be introspected")
	fresh := issuer.JWT(xenaauthtest.Token{})
	for _, who := range []string{`"sub":"another","client_id":"9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"`, `"sub":"104711","client_id":"another"`} {
		harness.SetIntrospectionResponse(issuer, `{"active":true,`+who+`}`)
		a.Refuses(t, fresh, xenaauth.ReasonClaims)
	}
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
	a.Refuses(t, fresh, xenaauth.ReasonUnavailable)
	issuer.Heal()
	a.Passes(t, fresh)
}

// An expired JWT is refused as expired without an introspection call. This is also true if the JWT
// was cached before.
func TestI6_RequireActive_Expired(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.RequireActive = true
		cfg.Introspection.CacheTTL = -1
		a := harness.Mount(t, cfg)
		token := issuer.JWT(xenaauthtest.Token{Lifetime: time.Minute})
		// At the first request the library verifies the token. At later requests it finds the token
		// in its cache, and then in its table of tokens in use.
		for range 3 {
			a.Passes(t, token)
		}
		time.Sleep(2 * time.Minute)
		issuer.ResetCalls()
		for range 3 {
			a.Refuses(t, token, xenaauth.ReasonExpired)
		}
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Minute}), xenaauth.ReasonExpired)
		require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
	})
}
