package cost_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// heapBytes returns the number of bytes of the heap that are in use.
func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// manyScopes returns a scope claim that takes much more memory than its text: each scope needs a
// string header and a map entry.
func manyScopes(n int) string {
	var b strings.Builder
	b.WriteString("testapi")
	for i := range n {
		fmt.Fprintf(&b, " %x", i)
	}
	return b.String()
}

// Each cache of tokens takes little more memory than the setting CacheBytes says, whatever the
// tokens contain. The size of the cache in Status is near the measured size.
func TestCachesAreBoundedInBytes(t *testing.T) {
	const bound = 4 << 20
	issuer := harness.NewIssuer()
	for _, kind := range []struct {
		name   string
		mint   func(xenaauthtest.Token) string
		status func(xenaauth.Status) xenaauth.CacheStatus
	}{
		{"JWT", issuer.JWT, func(s xenaauth.Status) xenaauth.CacheStatus { return s.Tokens }},
		{"opaque", issuer.Opaque, func(s xenaauth.Status) xenaauth.CacheStatus { return s.Active }},
	} {
		for _, c := range []struct {
			name   string
			tokens int
			claims map[string]any
			full   bool
		}{
			{"ordinary", 1000, nil, false},
			{"long", 800, map[string]any{"x": strings.Repeat("x", 11<<10)}, true},
			{"long with escapes", 800, map[string]any{"scope": "testapi " + strings.Repeat("<", 1<<10), "x": strings.Repeat("x", 5<<10)}, true},
			{"many scopes", 800, map[string]any{"scope": manyScopes(500), "x": strings.Repeat("x", 4<<10)}, true},
		} {
			t.Run(kind.name+"/"+c.name, func(t *testing.T) {
				cfg := issuer.HybridConfig()
				cfg.CacheBytes, cfg.Introspection.CacheBytes = bound, bound
				v := harness.NewValidator(t, cfg)
				// this call fetches the keys before the measurement begins
				require.Empty(t, harness.ReasonOf(t, v, kind.mint(xenaauthtest.Token{})))
				tokens := make([]string, c.tokens)
				for i := range tokens {
					tokens[i] = kind.mint(xenaauthtest.Token{Subject: fmt.Sprint("U", i), Claims: c.claims})
				}
				before := heapBytes()
				for _, token := range tokens {
					// At the first call the library verifies the token. At the second call it finds
					// the token in its cache, and at the third call in its table of tokens in use.
					for range 3 {
						require.Empty(t, harness.ReasonOf(t, v, token))
					}
				}
				took, counted := heapBytes()-before, kind.status(v.Status()).Bytes
				t.Logf("%d tokens take %d KiB, counted as %d KiB", c.tokens, took>>10, counted>>10)
				require.LessOrEqual(t, counted, bound)
				require.LessOrEqual(t, took, bound*5/4, "measured")
				// An opaque token in use is in two caches, and each cache counts the size of the
				// token, because the caches may remove the token at different times.
				require.InDelta(t, 1.7, float64(counted)/float64(took), 0.9, "the counted bytes must be near the measured bytes")
				require.Equal(t, c.full, kind.status(v.Status()).Entries < c.tokens, "the cache must be bounded by bytes, not by the number of entries")
				runtime.KeepAlive(v)
				runtime.KeepAlive(tokens)
			})
		}
	}
}

// A middleware keeps the responses of its refusals, so that it can send them again. The memory of
// these responses is limited, even if each refusal names a different scope. The middleware keeps no
// response that is very long, and only a limited number of shorter responses.
func TestRememberedRefusalsAreBounded(t *testing.T) {
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{})
	for _, c := range []struct {
		name     string
		length   int // length of each scope, in bytes
		requests int
	}{
		{"long scopes", 10 << 10, 1200},
		{"many shorter scopes", 600, 6000},
	} {
		t.Run(c.name, func(t *testing.T) {
			mw := xenaauth.NewMiddleware(harness.NewValidator(t, issuer.Config()), &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
			scope := strings.Repeat("x", c.length)
			before := heapBytes()
			for n := range c.requests {
				h := mw.Require(xenaauth.AllScopes(fmt.Sprint(n, scope)))(http.HandlerFunc(harness.Hello))
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, http.StatusForbidden, w.Code)
			}
			took := heapBytes() - before
			t.Logf("%d refusals take %d KiB", c.requests, took>>10)
			require.Less(t, took, 4<<20)
			runtime.KeepAlive(mw)
		})
	}
}

func TestCacheBytesOfConfig(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for _, n := range []int{-1, 1, 1<<20 - 1} {
		cfg := issuer.HybridConfig()
		cfg.CacheBytes, cfg.Introspection.CacheBytes = n, n
		err := cfg.Validate()
		require.ErrorContains(t, err, "Config.CacheBytes")
		require.ErrorContains(t, err, "Config.Introspection.CacheBytes")
	}
	cfg := issuer.HybridConfig()
	cfg.CacheBytes, cfg.Introspection.CacheBytes = 1<<20, 1<<20
	require.NoError(t, cfg.Validate())
}
