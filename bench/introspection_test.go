package bench

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func introspecting(f *fixture) *xenaauth.Validator {
	cfg := f.HybridConfig()
	cfg.MaxTokenLifetime = lifetime
	cfg.Introspection.CacheTTL = lifetime
	v, err := xenaauth.NewValidator(cfg)
	must(err)
	return v
}

// BenchmarkIntrospection measures a request with an opaque token. In the first case, the
// introspection response for the token is in the cache of the validator. In the second case, the
// token is new. The issuer listens on the loopback address.
func BenchmarkIntrospection(b *testing.B) {
	f := newFixture("EdDSA")
	defer f.Close()
	b.Run("cached", func(b *testing.B) {
		next := new(requestCounter)
		h := guardHandler(introspecting(f), next)
		rs := make([]*http.Request, fewTokens)
		for i := range rs {
			rs[i] = request(f.Opaque(xenaauthtest.Token{Lifetime: lifetime}))
		}
		warmCaches(h, rs)
		measureRequests(b, h, rs, next)
	})
	b.Run("new", func(b *testing.B) {
		next := new(requestCounter)
		h := guardHandler(introspecting(f), next)
		// no token is in the validator's cache, because the cache keeps fewer tokens than the
		// benchmark sends
		rs := make([]*http.Request, 20_000)
		for i := range rs {
			rs[i] = request(f.Opaque(xenaauthtest.Token{Lifetime: lifetime}))
		}
		measureRequests(b, h, rs, next)
	})
}

// BenchmarkIntrospectionStampede sends a thousand requests with the same new token at the same
// time. The issuer takes 5 ms for each introspection call. The benchmark measures how many calls
// the issuer gets, and how long the last request waits.
func BenchmarkIntrospectionStampede(b *testing.B) {
	const requests = 1000
	f := newFixture("EdDSA")
	defer f.Close()
	h := guardHandler(introspecting(f), idleHandler{})
	h.ServeHTTP(newDiscardingWriter(), request(f.Opaque(xenaauthtest.Token{})))
	f.Slow(5 * time.Millisecond)
	f.ResetCalls()
	rounds := 0
	for b.Loop() {
		r := request(f.Opaque(xenaauthtest.Token{}))
		start := make(chan struct{})
		var all sync.WaitGroup
		for range requests {
			all.Go(func() {
				w := newDiscardingWriter()
				<-start
				h.ServeHTTP(w, r)
				if w.status != 0 {
					b.Errorf("refused: %d", w.status)
				}
			})
		}
		close(start)
		all.Wait()
		rounds++
	}
	b.ReportMetric(float64(f.Calls(xenaauthtest.Introspection))/float64(rounds), "upstream-calls")
}
