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

// The queue of unknown tokens is bounded. If the queue is full because the issuer is slow, the
// breaker stays closed.
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

// Unknown opaque tokens wait in a queue. A token that was active at its last introspection does not
// wait in the queue for unknown tokens.
func TestKnownTokenPassesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Introspection.CacheTTL = 1, time.Second
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		known := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, known))
		time.Sleep(2 * time.Second) // by now the cached response about the token is too old
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
