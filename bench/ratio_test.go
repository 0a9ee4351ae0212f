package bench

import (
	"context"
	"net/http"
	"testing"
)

// BenchmarkRatio measures a request with a new token, for this library and for each other library.
// It divides the time of the request by the least possible time: the time that the standard library
// needs for the cryptography alone. Other load on the machine changes this ratio less than it
// changes a time. So the goals in docs/performance.md are ratios. There the least possible time is
// called the limit.
func BenchmarkRatio(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run("alg="+algorithm+"/lib=xenaauth", func(b *testing.B) {
			f := issuerFor(algorithm)
			v := coldValidator(f)
			next := new(requestCounter)
			measureRatio(b, f, guardHandler(v, next), next)
			requireOnlyMisses(b, v)
		})
		for _, p := range peers {
			b.Run("alg="+algorithm+"/lib="+p.name, func(b *testing.B) {
				f := issuerFor(algorithm)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				next := new(requestCounter)
				measureRatio(b, f, p.mount(ctx, f, next), next)
			})
		}
	}
}

// measureRatio measures a handler that is guarded by one of the libraries. It reports the time of a
// request as a multiple of the time that the standard library needs to check the same token.
func measureRatio(b *testing.B, f *fixture, h http.Handler, next *requestCounter) {
	b.Helper()
	texts := byteTokens(f.tokens(coldTokens))
	rs := requests(f.tokens(coldTokens))
	l := newLimitVerifier(f)
	w := newDiscardingWriter()
	done, served := 0, 0
	comparePair(b, "x-limit", blockSize, func() {
		for range blockSize {
			if !l.verifyToken(texts[done%len(texts)]) {
				b.Fatal("bad signature")
			}
			done++
		}
	}, blockSize, func() {
		for range blockSize {
			h.ServeHTTP(w, rs[served%len(rs)])
			served++
		}
	})
	if next.n != served {
		b.Fatalf("%d of %d requests passed", next.n, served)
	}
}
