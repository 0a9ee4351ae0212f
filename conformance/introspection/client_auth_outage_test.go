package introspection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// authFunc is a function that implements ClientAuth.
type authFunc func(*http.Request, xenaauth.Introspection) error

func (f authFunc) Authenticate(r *http.Request, i xenaauth.Introspection) error { return f(r, i) }

// mapCache is a shared cache of introspection responses for tests. It keeps its values in a map.
type mapCache struct {
	mu     sync.Mutex
	values map[[32]byte][]byte
}

func (c *mapCache) Get(_ context.Context, key [32]byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key], nil
}

func (c *mapCache) Set(_ context.Context, key [32]byte, value []byte, _ time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = value
	return nil
}

// A ClientAuth of the service may fail with a refusal of another API, for example of a vault that
// contains the introspection secret. That refusal is not about the client's token. So the response
// to the client is 503, no cache stores the refusal, and the log does not contain its text.
func TestRefusalFromClientAuthIsAnOutage(t *testing.T) {
	t.Parallel()
	for _, reason := range []xenaauth.Reason{xenaauth.ReasonInactive, xenaauth.ReasonForbidden} {
		harness.FakeTime(t, func(t *testing.T) {
			refusal := &xenaauth.Error{Reason: reason, Err: errors.New("s3cret")}
			issuer, cache, log := harness.NewIssuer(), &mapCache{values: map[[32]byte][]byte{}}, new(bytes.Buffer)
			validator := func(auth xenaauth.ClientAuth) *xenaauth.Validator {
				cfg := issuer.HybridConfig()
				cfg.Introspection.Auth, cfg.Introspection.Cache = auth, cache
				cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
				return harness.NewValidator(t, cfg)
			}
			token := issuer.Opaque(xenaauthtest.Token{})
			var failure error = refusal
			first := validator(authFunc(func(r *http.Request, i xenaauth.Introspection) error {
				if failure != nil {
					return failure
				}
				return xenaauth.ClientSecretBasic.Authenticate(r, i)
			}))
			for _, failure = range []error{refusal, fmt.Errorf("vault: %w", refusal)} {
				_, err := first.Validate(t.Context(), token)
				e, ok := errors.AsType[*xenaauth.Error](err)
				require.True(t, ok)
				require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
				require.ErrorIs(t, err, failure)
				require.NotContains(t, err.Error(), "s3cret")
			}
			// During this wait (in fake time), the library calls the shared cache.
			time.Sleep(time.Second)
			_, err := validator(nil).Validate(t.Context(), token)
			require.NoError(t, err, "another instance")
			failure = nil
			_, err = first.Validate(t.Context(), token)
			require.NoError(t, err, "the same instance")
			require.NotContains(t, log.String(), "s3cret")
		})
	}
}

// A ClientAuth of the service may ignore the context of the introspection request. The
// introspection call, including a second try, still ends soon after Introspection.Timeout.
func TestSlowClientAuth(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.Timeout = 2 * time.Second
		cfg.Introspection.Auth = authFunc(func(*http.Request, xenaauth.Introspection) error {
			time.Sleep(time.Minute)
			return nil
		})
		v := harness.NewValidator(t, cfg)
		began := time.Now()
		_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
		e, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok)
		require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
		// If the first introspection request fails, the library may try a second one.
		// Introspection.Timeout limits the time of both together.
		require.InDelta(t, cfg.Introspection.Timeout, time.Since(began), float64(150*time.Millisecond))
		// Validate has returned, but the ClientAuth that the library called may still be running,
		// because it sleeps for a minute. The test waits until the ClientAuth has returned too.
		time.Sleep(2 * time.Minute)
	})
}
