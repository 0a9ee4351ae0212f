package bench

import (
	"context"
	"net/http"
	"testing"
)

// BenchmarkRatio measures a request with a new token, for this library and for each other library.
// The result is a multiple of the limit: the time that the cryptography of the standard library
// takes alone. Other load on the machine changes this multiple less than it changes a time. So the
// goals in docs/performance.md are multiples of the limit.
func BenchmarkRatio(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run("alg="+algorithm+"/lib=xenaauth", func(b *testing.B) {
			f := issuer(algorithm)
			v := coldValidator(f)
			next := new(counter)
			measureRatio(b, f, mount(v, next), next)
			onlyMisses(b, v)
		})
		for _, p := range peers {
			b.Run("alg="+algorithm+"/lib="+p.name, func(b *testing.B) {
				f := issuer(algorithm)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				next := new(counter)
				measureRatio(b, f, p.mount(ctx, f, next), next)
			})
		}
	}
}

// measureRatio measures a handler that is guarded by one of the libraries. It reports the time of a
// request as a multiple of the time that the standard library needs to check the same token.
func measureRatio(b *testing.B, f *fixture, h http.Handler, next *counter) {
	b.Helper()
	texts := byteTokens(f.tokens(coldTokens))
	rs := requests(f.tokens(coldTokens))
	l := newLimitVerifier(f)
	w := newDiscard()
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
