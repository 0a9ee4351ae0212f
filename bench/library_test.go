package bench

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// BenchmarkCold measures a request through the whole middleware. The token of the request is not in
// the cache of the validator, so the validator has to verify it.
func BenchmarkCold(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run("alg="+algorithm, func(b *testing.B) {
			f := issuerFor(algorithm)
			v := coldValidator(f)
			next := new(requestCounter)
			h := guardHandler(v, next)
			measureRequests(b, h, requests(f.tokens(coldTokens)), next)
			requireOnlyMisses(b, v)
		})
	}
}

// measureRequests measures requests to a guarded handler, one after the other. It fails the
// benchmark if a request is refused.
func measureRequests(b *testing.B, h http.Handler, rs []*http.Request, next *requestCounter) {
	b.Helper()
	w := newDiscardingWriter()
	b.ReportAllocs()
	i, n := 0, 0
	next.n = 0
	for b.Loop() {
		h.ServeHTTP(w, rs[i])
		if i++; i == len(rs) {
			i = 0
		}
		n++
	}
	if next.n != n {
		b.Fatalf("%d of %d requests passed", next.n, n)
	}
}

// fewTokens and hotTokens say how many different tokens a benchmark uses. The goals of
// docs/performance.md are measured with fewTokens. A service sees about hotTokens different tokens
// in a busy minute.
const (
	fewTokens = 16
	hotTokens = 256
)

// warmCaches sends every request several times to a guarded handler. Afterwards all caches of the
// validator contain the tokens of these requests.
func warmCaches(h http.Handler, rs []*http.Request) {
	w := newDiscardingWriter()
	for range 4 {
		for _, r := range rs {
			h.ServeHTTP(w, r)
		}
	}
}

// BenchmarkWarm measures a request through the whole middleware. The token of the request has been
// used several times before, so the validator finds it in its caches.
func BenchmarkWarm(b *testing.B) {
	for _, algorithm := range algorithms {
		for _, n := range []int{fewTokens, hotTokens} {
			b.Run(fmt.Sprintf("alg=%s/tokens=%d", algorithm, n), func(b *testing.B) {
				f := issuerFor(algorithm)
				next := new(requestCounter)
				h := guardHandler(newValidator(f, nil), next)
				rs := requests(f.tokens(n))
				warmCaches(h, rs)
				measureRequests(b, h, rs, next)
			})
		}
	}
}

// BenchmarkWarmRatio measures the time of a request whose token is already in the caches of the
// validator. It divides this time by the time that the standard library of Go needs to check the
// signature of one token.
func BenchmarkWarmRatio(b *testing.B) {
	const ops = 1000
	f := issuerFor("RS256")
	h := guardHandler(newValidator(f, nil), idleHandler{})
	rs := requests(f.tokens(fewTokens))
	warmCaches(h, rs)
	tokens := byteTokens(f.tokens(coldTokens))
	l := newLimitVerifier(f)
	w := newDiscardingWriter()
	i := 0
	comparePair(b, "x-limit", blockSize, func() {
		for range blockSize {
			if !l.verifyToken(tokens[i%len(tokens)]) {
				b.Fatal("bad signature")
			}
			i++
		}
	}, ops, func() {
		for n := range ops {
			h.ServeHTTP(w, rs[n%len(rs)])
		}
	})
}

// BenchmarkWarmParallel measures the same requests as BenchmarkWarm, but on all cores at the same
// time.
func BenchmarkWarmParallel(b *testing.B) {
	f := issuerFor("RS256")
	h := guardHandler(newValidator(f, nil), idleHandler{})
	rs := requests(f.tokens(fewTokens))
	warmCaches(h, rs)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := newDiscardingWriter()
		for i := 0; pb.Next(); i++ {
			h.ServeHTTP(w, rs[i%len(rs)])
		}
	})
}

// BenchmarkTwoCores measures requests on two cores and on one core alternately. It reports the time
// on two cores divided by the time on one core. The best possible result is 0.5.
func BenchmarkTwoCores(b *testing.B) {
	// These 16,000 requests take some milliseconds. Between its measurements, the benchmark changes
	// the number of cores, which stops all goroutines for a moment. That moment is much shorter
	// than the time of the requests.
	const ops = 16_000
	f := issuerFor("RS256")
	v := newValidator(f, nil)
	rs := requests(f.tokens(fewTokens))
	h := guardHandler(v, idleHandler{})
	warmCaches(h, rs)
	work := func(start int) {
		w := newDiscardingWriter()
		for i := range ops {
			h.ServeHTTP(w, rs[(start+i)%len(rs)])
		}
	}
	if runtime.GOMAXPROCS(0) < 2 {
		b.Skip("there is one core only")
	}
	cores := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(cores)
	comparePair(b, "x-1core", ops, func() {
		// Let Go use only one processor here. Otherwise the second core would collect the garbage
		// of the first core, and one core would look faster than it is.
		runtime.GOMAXPROCS(1)
		work(0)
	}, 2*ops, func() {
		runtime.GOMAXPROCS(2)
		var both sync.WaitGroup
		both.Go(func() { work(0) })
		both.Go(func() { work(fewTokens / 2) })
		both.Wait()
	})
}

// BenchmarkLookup measures the validation of a token that is in the validator's cache, without
// HTTP.
func BenchmarkLookup(b *testing.B) {
	f := issuerFor("RS256")
	v := newValidator(f, nil)
	tokens := slices.Clone(f.tokens(fewTokens))
	for range 4 {
		for _, t := range tokens {
			_, err := v.Validate(context.Background(), t)
			must(err)
		}
	}
	// Each request gets its own copy of the token, because in a real server each request has its
	// own string. Without the copy, a look-up in the cache could be faster, because the cache
	// contains a string at the same address.
	for i, t := range tokens {
		tokens[i] = strings.Clone(t)
	}
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := v.Validate(ctx, tokens[i]); err != nil {
			b.Fatal(err)
		}
		i = (i + 1) % len(tokens)
	}
}

// freeValidator is a fake validator that does no work and always returns the same user.
type freeValidator struct{ user *xenaauth.User }

func (f freeValidator) Validate(context.Context, string) (*xenaauth.User, error) { return f.user, nil }

// BenchmarkMiddleware measures the middleware alone: its fake validator does no work.
func BenchmarkMiddleware(b *testing.B) {
	user, err := xenaauth.NewUser(map[string]any{"sub": "1", "client_id": "c", "scope": "openid profile testapi offline_access"})
	must(err)
	next := new(requestCounter)
	h := guardHandler(freeValidator{user}, next)
	rs := requests(issuerFor("RS256").tokens(1))
	b.Run("validation=free/lib=xenaauth", func(b *testing.B) { measureRequests(b, h, rs, next) })
	b.Run("validation=free/lib=mcp-go-sdk", func(b *testing.B) { measureRequests(b, mcpMiddleware(next), rs, next) })
	b.Run("none", func(b *testing.B) { measureRequests(b, http.Handler(next), rs, next) })
}

// BenchmarkReject measures how long the middleware takes to refuse a bad token.
func BenchmarkReject(b *testing.B) {
	f := issuerFor("RS256")
	good := f.tokens(1)[0]
	header, payload, signature := splitToken(good)
	claims := f.claims(usualScopes, time.Now(), lifetime)
	strangers := make([]string, 64)
	for i := range strangers {
		strangers[i] = encode(fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"at+jwt"}`, randomHex(20)+"RS256")) + "." + payload + "." + signature
	}
	for _, c := range []struct {
		name   string
		reason xenaauth.Reason
		tokens []string
	}{
		{"none", xenaauth.ReasonMissingToken, nil},
		{"garbage", xenaauth.ReasonMalformedToken, []string{strings.Repeat("garbage", 136)}},
		{"garbage-jwt", xenaauth.ReasonMalformedToken, []string{"eyJ" + strings.Repeat("x", 97) + "." + strings.Repeat("y", 500) + "." + strings.Repeat("z", 342)}},
		{"opaque", xenaauth.ReasonMalformedToken, []string{randomHex(32)}},
		{"unknown-kid", xenaauth.ReasonUnknownKey, strangers},
		{"bad-signature", xenaauth.ReasonSignature, []string{header + "." + encode(claims) + "." + signature}},
		{"expired", xenaauth.ReasonExpired, []string{f.SignBytes([]byte(f.header), []byte(f.claims(usualScopes, time.Now().Add(-3*time.Hour), time.Hour)))}},
	} {
		b.Run("token="+c.name, func(b *testing.B) {
			v := newValidator(f, nil)
			rs := requests(c.tokens)
			if len(rs) == 0 {
				r := request("")
				r.Header.Del("Authorization")
				rs = []*http.Request{r}
			}
			m := xenaauth.NewMiddleware(v, nil)
			require := xenaauth.AllScopes(scope)
			if _, err := v.Validate(context.Background(), good); err != nil {
				b.Fatal(err)
			}
			// Tokens that name an unknown key start at most one fetch of the key set in a second,
			// and a request can wait for that fetch. forceFetch causes the fetch before the
			// measurement, so that no measured request waits.
			forceFetch := func() {
				var all sync.WaitGroup
				for _, r := range rs {
					all.Go(func() {
						_, err := m.Check(r, require)
						if e, ok := err.(*xenaauth.Error); !ok || e.Reason != c.reason {
							b.Errorf("got %v, want %s", err, c.reason)
						}
					})
				}
				all.Wait()
			}
			forceFetch()
			if c.reason != xenaauth.ReasonUnknownKey {
				forceFetch = nil
			}
			measureRefusals(b, m.Require(require)(idleHandler{}), rs, forceFetch)
		})
	}
}

// measureRefusals measures the refusals of bad tokens, one after the other. If forceFetch is not
// nil, measureRefusals stops the clock every half second and calls forceFetch.
func measureRefusals(b *testing.B, h http.Handler, rs []*http.Request, forceFetch func()) {
	b.Helper()
	w := newDiscardingWriter()
	b.ReportAllocs()
	i := 0
	lastFetch := time.Now()
	for b.Loop() {
		w.status = 0
		clear(w.header)
		h.ServeHTTP(w, rs[i])
		if w.status < 400 {
			b.Fatal("accepted")
		}
		if i++; i < len(rs) {
			continue
		}
		i = 0
		if forceFetch != nil && time.Since(lastFetch) > time.Second/2 {
			b.StopTimer()
			forceFetch()
			lastFetch = time.Now()
			b.StartTimer()
		}
	}
}
