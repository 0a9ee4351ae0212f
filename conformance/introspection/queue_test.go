package introspection_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Opaque tokens that are not in the cache wait in a queue for their introspection. The queue has 16
// places for each of the calls that may run at the same time (MaxConcurrent). A flood of unknown
// tokens fills the queue of a slow issuer. Tokens that find no place are refused at once, and the
// issuer gets no call for them. The breaker does not open: the library continues to call the
// issuer.
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
		const running, waiting = 2, 2 * 16
		var refused, inactive, others atomic.Int32
		began := time.Now()
		for k := range 500 {
			go func() {
				_, err := v.Validate(t.Context(), "junk"+strconv.Itoa(k))
				e, _ := errors.AsType[*xenaauth.Error](err)
				switch {
				case e != nil && e.Reason == xenaauth.ReasonInactive:
					inactive.Add(1)
				case e != nil && e.Reason == xenaauth.ReasonUnavailable && time.Since(began) == 0 &&
					strings.Contains(err.Error(), "too many calls at a time"):
					refused.Add(1)
				default:
					others.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 500-running-waiting, refused.Load(), "refused at once")
		require.Equal(t, running, issuer.Calls(xenaauthtest.Introspection))
		time.Sleep(5 * time.Second)
		calls := issuer.Calls(xenaauthtest.Introspection)
		require.LessOrEqual(t, calls, running+waiting)
		require.EqualValues(t, calls, inactive.Load(), "each call has an answer")
		require.EqualValues(t, running+waiting-calls, others.Load())
		require.Equal(t, "closed", v.Status().Introspection)
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		require.Equal(t, calls+1, issuer.Calls(xenaauthtest.Introspection))
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
