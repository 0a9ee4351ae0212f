package introspection_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Opaque tokens that are not in the cache wait in a queue for their introspection. The length of
// the queue is limited. A flood of unknown tokens fills the queue of a slow issuer. The breaker
// does not open: the library continues to call the issuer.
func TestIntrospectionQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Introspection.Timeout = 2, time.Second
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		require.NoError(t, v.Warm(t.Context()))
		issuer.Slow(300 * time.Millisecond)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		issuer.ResetCalls()
		_, err = v.Validate(gone, "of somebody who has left")
		require.Error(t, err)
		for k := range 500 {
			go func() { _, _ = v.Validate(t.Context(), "junk"+strconv.Itoa(k)) }()
		}
		time.Sleep(5 * time.Second)
		require.Equal(t, "closed", v.Status().Introspection)
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		time.Sleep(time.Minute)
	})
}

// Opaque tokens that the library does not know wait in a queue for their introspection. A token
// that was active at its last introspection does not wait behind them: it waits only until one of
// the running calls has ended.
func TestKnownTokenPassesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Introspection.CacheTTL = 1, time.Second
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		known := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, known))
		// After this wait, the cached introspection response is too old to be used.
		time.Sleep(2 * time.Second)
		issuer.Slow(300 * time.Millisecond)
		for k := range 12 {
			go func() { _, _ = v.Validate(t.Context(), "stranger"+strconv.Itoa(k)) }()
		}
		synctest.Wait()
		before := time.Now()
		require.Empty(t, harness.ReasonOf(t, v, known))
		require.LessOrEqual(t, time.Since(before), 600*time.Millisecond, "a token in use waits for at most one call of another token")
		time.Sleep(time.Minute)
	})
}
