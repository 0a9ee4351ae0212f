package introspection_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the shared cache fails, the library introspects the tokens itself, and stores nothing in the
// shared cache. The log reports the failure once. The log line does not contain the text of the
// cache's error.
func TestSharedCacheFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*memoryStore){
		"error": func(s *memoryStore) { s.err = errors.New("dial tcp 10.1.2.3:6379: key k-e-y") },
		"panic": func(s *memoryStore) { s.panics = true },
		"hangs": func(s *memoryStore) { s.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer, store := harness.NewIssuer(), newStore()
				fail(store)
				cfg := issuer.HybridConfig()
				cfg.Introspection.Cache, cfg.Introspection.Timeout = store, time.Second
				a := harness.Mount(t, cfg)
				for i := range 10 {
					a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
					a.Refuses(t, fmt.Sprintf("nobody-issued-this-%d", i), xenaauth.ReasonInactive)
				}
				require.Equal(t, 20, issuer.Calls(xenaauthtest.Introspection))
				_, sets, _, _ := store.counts()
				require.Zero(t, sets, "Set must not be called after Get has failed")
				require.Equal(t, xenaauth.CacheStatus{Failures: 20}, a.Validator.(*xenaauth.Validator).Status().Shared)
				require.Equal(t, 1, strings.Count(a.Log.String(), "the shared cache fails"), a.Log)
				store.mu.Lock()
				store.err, store.panics, store.hangs = nil, false, false
				store.mu.Unlock()
				a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
				time.Sleep(time.Second)
				require.Len(t, store.waitForValues(t, 1), 1)
				require.Equal(t, 1, strings.Count(a.Log.String(), "the shared cache is back"), a.Log)
				for _, secret := range []string{"10.1.2.3", "6379", "k-e-y", "the shared cache panics"} {
					require.NotContains(t, a.Log.String(), secret)
				}
			})
		})
	}
}

// The shared cache stores only introspection responses of the issuer. If the issuer sends no usable
// response, the request is refused, and the library calls Cache.Set without a value, so that other
// instances no longer wait for it.
func TestSharedCacheDuringOutage(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		for name, fail := range map[string]func(*xenaauthtest.Issuer){
			"down":        (*xenaauthtest.Issuer).Down,
			"credentials": func(i *xenaauthtest.Issuer) { i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 401}) },
			"no sense":    func(i *xenaauthtest.Issuer) { i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Body: "{"}) },
			"unsaid":      func(i *xenaauthtest.Issuer) { i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 500}) },
			"HTTP panics": nil,
		} {
			issuer, store := harness.NewIssuer(), newStore()
			v := newFleet(t, issuer, store, 1, func(c *xenaauth.Config) {
				if fail == nil {
					c.HTTPClient = &http.Client{Transport: harness.RoundTripper(func(*http.Request) (*http.Response, error) { panic("no") })}
				}
			})[0]
			token := issuer.Opaque(xenaauthtest.Token{})
			if fail != nil {
				fail(issuer)
			}
			require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, token), name)
			time.Sleep(10 * time.Second)
			_, sets, values, asking := store.counts()
			require.Equal(t, []int{1, 0, 0}, []int{sets, values, asking}, name)
		}
	})
}

// During an outage of the issuer, an instance of the service still uses an introspection response
// that another instance put into the shared cache.
func TestSharedCacheServesDuringOutage(t *testing.T) {
	t.Parallel()
	issuer, store := harness.NewIssuer(), newStore()
	fleet := newFleet(t, issuer, store, 2, nil)
	token := issuer.Opaque(xenaauthtest.Token{})
	require.NoError(t, fleet[1].Warm(t.Context()))
	require.Empty(t, harness.ReasonOf(t, fleet[0], token))
	store.waitForValues(t, 1)
	issuer.Down()
	for range 10 { // after these failures the breaker is open
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, fleet[1], "nobody-issued-this"))
	}
	require.Empty(t, harness.ReasonOf(t, fleet[1], token))
}

func TestSharedCacheRace(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		issuer.Slow(100 * time.Millisecond)
		fleet := newFleet(t, issuer, store, 20, nil)
		token := issuer.Opaque(xenaauthtest.Token{})
		var wg sync.WaitGroup
		for _, v := range fleet {
			for range 20 {
				wg.Go(func() {
					if reason := harness.ReasonOf(t, v, token); reason != "" {
						t.Error(reason)
					}
				})
			}
		}
		wg.Wait()
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
	})
}

// The number of calls of Cache.Get at the same time is limited, even if the shared cache is slow.
// The limit is the number of introspection calls that may wait.
func TestSharedCacheIsBounded(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		store.hangs = true
		v := newFleet(t, issuer, store, 1, func(c *xenaauth.Config) {
			c.Introspection.MaxConcurrent, c.Introspection.Timeout = 2, time.Second
		})[0]
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() { _ = harness.ReasonOf(t, v, fmt.Sprintf("nobody-issued-this-%d", i)) })
		}
		wg.Wait()
		gets, _, _, _ := store.counts()
		require.Equal(t, 32, gets)
	})
}

// If Cache.Get takes long, this time does not count as a part of Introspection.Timeout: the
// introspection call after Cache.Get still has the whole timeout.
func TestSharedCacheSlowGet(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		store.hangs = true
		issuer.Slow(200 * time.Millisecond)
		v := newFleet(t, issuer, store, 1, func(c *xenaauth.Config) {
			c.Introspection.MaxConcurrent, c.Introspection.Timeout = 1, time.Second
		})[0]
		var wg sync.WaitGroup
		for range 3 {
			token := issuer.Opaque(xenaauthtest.Token{})
			wg.Go(func() {
				if reason := harness.ReasonOf(t, v, token); reason != "" {
					t.Error(reason)
				}
			})
		}
		wg.Wait()
	})
}

// If Set of the shared cache panics, the library has already responded to the client. Later tokens
// pass, and the log reports the failure once.
func TestSetOfSharedCachePanics(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer, store := harness.NewIssuer(), newStore()
		cfg := issuer.HybridConfig()
		cfg.Introspection.Cache = store
		a := harness.Mount(t, cfg)
		require.NoError(t, a.Validator.(*xenaauth.Validator).Warm(t.Context()))
		issuer.Slow(100 * time.Millisecond)
		time.AfterFunc(50*time.Millisecond, func() {
			// At this moment, the issuer has not responded yet. The library has already called Get
			// of the shared cache without a panic, and has not called Set yet.
			store.mu.Lock()
			defer store.mu.Unlock()
			store.panics = true
		})
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
		time.Sleep(time.Second)
		synctest.Wait()
		_, sets, values, _ := store.counts()
		require.Equal(t, []int{1, 0}, []int{sets, values})
		require.Equal(t, 1, strings.Count(a.Log.String(), "the shared cache fails"), a.Log)
		require.NotContains(t, a.Log.String(), "the shared cache panics")
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
	})
}
