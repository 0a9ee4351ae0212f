package bench

import (
	"context"
	"net/http"
	"testing"
)

// BenchmarkRatio measures a request with a new token as a multiple of the limit, for this library
// and for each peer. The goals use ratios, because other load of the machine changes a ratio less
// than a time.
func BenchmarkRatio(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run("alg="+algorithm+"/lib=xenaauth", func(b *testing.B) {
			f := issuer(algorithm)
			v := coldValidator(f)
			next := new(counter)
			ratio(b, f, mount(v, next), next)
			onlyMisses(b, v)
		})
		for _, p := range peers {
			b.Run("alg="+algorithm+"/lib="+p.name, func(b *testing.B) {
				f := issuer(algorithm)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				next := new(counter)
				ratio(b, f, p.mount(ctx, f, next), next)
			})
		}
	}
}

// The function ratio measures the limit and a handler with the same tokens.
func ratio(b *testing.B, f *fixture, h http.Handler, next *counter) {
	b.Helper()
	texts := byteTokens(f.tokens(coldTokens))
	rs := requests(f.tokens(coldTokens))
	l := newLimit(f)
	w := newDiscard()
	done, served := 0, 0
	paired(b, "x-limit", block, func() {
		for range block {
			if !l.token(texts[done%len(texts)]) {
				b.Fatal("bad signature")
			}
			done++
		}
	}, block, func() {
		for range block {
			h.ServeHTTP(w, rs[served%len(rs)])
			served++
		}
	})
	if next.n != served {
		b.Fatalf("%d of %d requests passed", next.n, served)
	}
}
