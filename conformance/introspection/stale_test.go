package introspection_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func staleValidator(t testing.TB, issuer *xenaauthtest.Issuer, stale time.Duration) *xenaauth.Validator {
	return harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) {
		c.Introspection.CacheTTL, c.Introspection.StaleIfError = time.Minute, stale
	})
}

func TestStaleIsOffByDefault(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.IntrospectingValidator(t, issuer, nil)
		token := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, token))
		issuer.Down()
		time.Sleep(time.Minute - 1)
		require.Empty(t, harness.ReasonOf(t, v, token))
		time.Sleep(time.Nanosecond)
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, token))
	})
}

func TestStaleIfError(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*xenaauthtest.Issuer){
		"down":          (*xenaauthtest.Issuer).Down,
		"503":           func(i *xenaauthtest.Issuer) { i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 503}) },
		"without reply": func(i *xenaauthtest.Issuer) { i.Slow(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				v := staleValidator(t, issuer, 10*time.Minute)
				token := issuer.Opaque(xenaauthtest.Token{})
				require.Empty(t, harness.ReasonOf(t, v, token))
				end := time.Now().Add(11 * time.Minute)
				fail(issuer)
				for time.Until(end) > 20*time.Second {
					require.Empty(t, harness.ReasonOf(t, v, token))
					time.Sleep(10 * time.Second)
				}
				time.Sleep(time.Until(end) - time.Millisecond)
				require.Empty(t, harness.ReasonOf(t, v, token))
				time.Sleep(time.Until(end))
				require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, token))
				issuer.Heal()
				time.Sleep(2 * time.Second)
				require.Empty(t, harness.ReasonOf(t, v, token))
				require.Equal(t, "closed", v.Status().Introspection)
			})
		})
	}
}

func TestStaleNeverBeyondExp(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := staleValidator(t, issuer, time.Hour)
		token := issuer.Opaque(xenaauthtest.Token{Lifetime: 5 * time.Minute})
		require.Empty(t, harness.ReasonOf(t, v, token))
		end := time.Now().Add(5 * time.Minute)
		issuer.Down()
		time.Sleep(time.Until(end) - time.Millisecond)
		require.Empty(t, harness.ReasonOf(t, v, token))
		time.Sleep(time.Until(end))
		require.NotEmpty(t, harness.ReasonOf(t, v, token), "a stale response ends with exp, without skew")
	})
}

func TestStaleYieldsToAnyResponse(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := staleValidator(t, issuer, 30*time.Minute)
		token := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, token))
		time.Sleep(2 * time.Minute)
		issuer.Down()
		require.Empty(t, harness.ReasonOf(t, v, token))
		issuer.Heal()
		issuer.Revoke(token)
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, token))
		issuer.Down()
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, token))
		time.Sleep(time.Minute)
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, token), "an inactive response ends the use of the stale one")

		other := issuer.Opaque(xenaauthtest.Token{})
		issuer.Heal()
		time.Sleep(2 * time.Second)
		require.Empty(t, harness.ReasonOf(t, v, other))
		calls := issuer.Calls(xenaauthtest.Introspection)
		time.Sleep(2 * time.Minute)
		require.Empty(t, harness.ReasonOf(t, v, other))
		require.Equal(t, calls+1, issuer.Calls(xenaauthtest.Introspection), "the issuer is called again when it is reachable")
		harness.Revoke(t, v, xenaauth.Revocation{TokenHash: xenaauth.HashToken(other)})
		issuer.Down()
		time.Sleep(2 * time.Minute)
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, other))
	})
}

func TestIntrospectionResponsesAreCached(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		calls := func(v *xenaauth.Validator, token string, times int) int {
			issuer.ResetCalls()
			for range times {
				_, _ = v.Validate(t.Context(), token)
			}
			return issuer.Calls(xenaauthtest.Introspection)
		}
		good := issuer.Opaque(xenaauthtest.Token{})
		v := harness.IntrospectingValidator(t, issuer, nil)
		require.Equal(t, 1, calls(v, good, 5))
		require.Equal(t, 1, calls(v, "unknown", 5))
		time.Sleep(10*time.Second - 1)
		require.Zero(t, calls(v, "unknown", 5))
		time.Sleep(time.Nanosecond)
		require.Equal(t, 1, calls(v, "unknown", 5))
		require.Zero(t, calls(v, good, 5))
		time.Sleep(50 * time.Second)
		require.Equal(t, 1, calls(v, good, 5))
		always := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) { c.AlwaysIntrospect = true })
		require.Equal(t, 5, calls(always, good, 5))
		none := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) { c.Introspection.CacheTTL, c.Introspection.NegativeTTL = -1, -1 })
		require.Equal(t, 5, calls(none, good, 5))
		require.Equal(t, 5, calls(none, "unknown", 5))
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500})
		require.Equal(t, 5, calls(v, issuer.Opaque(xenaauthtest.Token{}), 5), "errors must not be cached")
	})
}

// If an introspection response says "active": false, the token is inactive, even if another member
// of the response is invalid.
func TestInactiveWithAnInvalidClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL, cfg.Introspection.StaleIfError = time.Second, time.Hour
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		token := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, token))
		time.Sleep(2 * time.Second)
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 200, ContentType: "application/json", Body: `{"active":false,"exp":-1}`})
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, token))
		time.Sleep(time.Minute)
	})
}
