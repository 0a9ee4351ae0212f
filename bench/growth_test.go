package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
)

// fixture.publishKeys makes the test issuer publish n keys. The last of these keys is the key that
// signs the tokens.
func (f *fixture) publishKeys(n int) {
	encode := base64.RawURLEncoding.EncodeToString
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	must(json.Unmarshal(f.JWKS(), &set))
	own := set.Keys[len(set.Keys)-1]
	set.Keys = nil
	for len(set.Keys) < n-1 {
		k := map[string]any{"kid": randomHex(20) + f.algorithm, "use": "sig", "alg": f.algorithm, "kty": own["kty"]}
		switch f.algorithm {
		case "RS256":
			// The modulus of an additional RSA key is a random odd number of the right size. It
			// would take minutes to generate a thousand real keys, and these keys sign nothing.
			modulus := make([]byte, 256)
			_, _ = rand.Read(modulus)
			modulus[0] |= 0x80
			modulus[255] |= 1
			k["n"], k["e"] = encode(modulus), "AQAB"
		case "ES256":
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			must(err)
			point, err := private.PublicKey.Bytes()
			must(err)
			k["crv"], k["x"], k["y"] = "P-256", encode(point[1:33]), encode(point[33:])
		}
		set.Keys = append(set.Keys, k)
	}
	set.Keys = append(set.Keys, own)
	raw, err := json.Marshal(set)
	must(err)
	f.SetJWKS(raw)
}

// validatorWithKeys returns a validator that has fetched a key set with n keys.
func validatorWithKeys(b *testing.B, f *fixture, n int) *xenaauth.Validator {
	b.Helper()
	f.publishKeys(n)
	defer f.SetJWKS(nil)
	v := coldValidator(f)
	if have := v.Status().Keys; have != n {
		b.Fatalf("%d keys of %d are usable", have, n)
	}
	return v
}

// BenchmarkGrowthKeys measures a request with a new token, for an issuer that publishes many keys.
// The result is a multiple of the time of the same request for an issuer that publishes a single
// key.
func BenchmarkGrowthKeys(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		for _, n := range []int{10, 1000} {
			b.Run(fmt.Sprintf("alg=%s/keys=%d", algorithm, n), func(b *testing.B) {
				f := issuerFor(algorithm)
				one, many := guardHandler(validatorWithKeys(b, f, 1), idleHandler{}), guardHandler(validatorWithKeys(b, f, n), idleHandler{})
				rs := requests(f.tokens(coldTokens))
				comparePair(b, "x-1key", blockSize, serveInTurn(one, rs, blockSize), blockSize, serveInTurn(many, rs, blockSize))
			})
		}
	}
}

// serveInTurn returns a function that serves n requests at each call. Each call continues in the
// list of requests after the last request of the previous call.
func serveInTurn(h http.Handler, rs []*http.Request, n int) func() {
	w := newDiscardingWriter()
	i := 0
	return func() {
		for range n {
			h.ServeHTTP(w, rs[i%len(rs)])
			i++
		}
	}
}

// A fullCache contains a validator whose cache contains many tokens. It also contains some of the
// cached tokens, with which the benchmarks send requests.
type fullCache struct {
	validator    *xenaauth.Validator
	tokenBytes   float64 // the number of bytes that one token takes in the cache
	sampleTokens []string
}

var fullCaches = map[int]*fullCache{}

// fillCache returns a fullCache with n tokens. The tokens use EdDSA, because signing with EdDSA is
// the fastest, and n can be a million. A token takes the same memory in the cache, whatever its
// algorithm is.
func fillCache(b *testing.B, n int) *fullCache {
	b.Helper()
	if c := fullCaches[n]; c != nil {
		return c
	}
	f := issuerFor("EdDSA")
	f.tokens(hotTokens)
	c := &fullCache{sampleTokens: make([]string, sampleSize)}
	ctx := context.Background()
	forEachIndex(sampleSize, func(i int) { c.sampleTokens[i] = f.mintToken() })
	before := heapBytes()
	// The cache of tokens gets space for more than n tokens. The cache consists of shards, and some
	// shards get more tokens than others. With space for exactly n tokens, the cache would lose
	// some of the tokens.
	c.validator = newValidator(f, func(cfg *xenaauth.Config) { cfg.CacheSize, cfg.CacheBytes = n+n/8+4096, 4<<30 })
	_, err := c.validator.Validate(ctx, f.tokens(1)[0])
	must(err)
	forEachIndex(n, func(i int) {
		token := ""
		if i < sampleSize {
			token = c.sampleTokens[i]
		} else {
			token = f.mintToken()
		}
		_, err := c.validator.Validate(ctx, token)
		must(err)
	})
	c.tokenBytes = float64(heapBytes()-before) / float64(n)
	if have := c.validator.Status().Tokens.Entries; have < n {
		b.Fatalf("%d tokens of %d are cached", have, n)
	}
	fullCaches[n] = c
	return c
}

// sampleSize is the number of tokens in fullCache.sampleTokens, which the second case of
// BenchmarkGrowthCached uses. Before the validator searches its cache of tokens, it searches a
// small table (type factcache.Hot). The table has no room for 8192 tokens, so the validator has to
// search the cache.
const sampleSize = 8192

// heapBytes returns how many bytes of heap memory are in use after a garbage collection.
func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

var sizes = []int{10_000, 100_000, 1_000_000}

// BenchmarkMemory measures how many bytes one token takes in the validator's cache.
func BenchmarkMemory(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			c := fillCache(b, n)
			b.ReportMetric(c.tokenBytes, "B/entry")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkGrowthCached measures a request whose token is already in the cache of the validator.
// The cache contains up to a million tokens. In the first of three cases, the requests use 256
// tokens. In the second case, they use 8192 tokens, so each look-up reads memory that no processor
// cache holds. In the third case, they use 256 tokens again, after the second case.
func BenchmarkGrowthCached(b *testing.B) {
	few := func(*fullCache) []string { return issuerFor("EdDSA").tokens(hotTokens) }
	many := func(c *fullCache) []string { return c.sampleTokens }
	for _, use := range []struct {
		name string
		pick func(*fullCache) []string
	}{{"256", few}, {"8192", many}, {"256-after-8192", few}} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("entries=%d/in-use=%s", n, use.name), func(b *testing.B) {
				least, c := fillCache(b, sizes[0]), fillCache(b, n)
				next := new(requestCounter)
				h := guardHandler(c.validator, next)
				rs := requests(use.pick(c))
				warmCaches(h, rs)
				measureRequests(b, h, rs, next)
				b.StopTimer()
				base := guardHandler(least.validator, idleHandler{})
				baseRequests := requests(use.pick(least))
				warmCaches(base, baseRequests)
				var ratios []float64
				one, other := serveInTurn(base, baseRequests, 1000), serveInTurn(h, rs, 1000)
				for range 200 {
					at := time.Now()
					one()
					took := time.Since(at)
					at = time.Now()
					other()
					ratios = append(ratios, float64(time.Since(at))/float64(took))
				}
				b.ReportMetric(median(ratios), "x-10k")
			})
		}
	}
}

// BenchmarkGrowthScopes measures a request whose token has 1, 100 or 1000 scopes. The scope that
// the API requires is the last in the token.
func BenchmarkGrowthScopes(b *testing.B) {
	// In the case "cold", the validator must find no token in its cache. Its cache of size 1 has 32
	// shards, and each shard stores one token. A shard that gets a second token drops the first
	// one. If a shard got only one of the tokens of this benchmark, the cache would find this token
	// at each later request. With 512 tokens, it is very unlikely that a shard gets only one.
	const tokenCount = 512
	for _, n := range []int{1, 100, 1000} {
		f := issuerFor("RS256")
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`"s%03d"`, i)
		}
		names[n-1] = `"` + scope + `"`
		var rs []*http.Request
		run := func(name string, cacheSize, use int) {
			b.Run(fmt.Sprintf("scopes=%d/%s", n, name), func(b *testing.B) {
				if rs == nil {
					rs = make([]*http.Request, tokenCount)
					forEachIndex(tokenCount, func(i int) {
						rs[i] = request(f.SignBytes([]byte(f.header), []byte(f.claims(strings.Join(names, ","), time.Now(), lifetime))))
					})
				}
				v := newValidator(f, func(c *xenaauth.Config) { c.CacheSize, c.CacheBytes = cacheSize, 4<<30 })
				next := new(requestCounter)
				h := guardHandler(v, next)
				warmCaches(h, rs[:use])
				measureRequests(b, h, rs[:use], next)
				if cacheSize == 1 {
					requireOnlyMisses(b, v)
				}
			})
		}
		run("cold", 1, tokenCount)
		run("warm", 1000, fewTokens)
	}
}

// BenchmarkGrowthRoutes measures how the time of a request depends on the number of guarded routes
// of the service. The token of each request is already in the cache. The requests use all routes in
// turn.
func BenchmarkGrowthRoutes(b *testing.B) {
	f := issuerFor("RS256")
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			m := xenaauth.NewMiddleware(newValidator(f, nil), nil)
			next := new(requestCounter)
			mux := http.NewServeMux()
			token := f.tokens(1)[0]
			rs := make([]*http.Request, n)
			for i := range n {
				path := fmt.Sprintf("/Api/Resource%d/Item", i)
				mux.Handle("GET "+path, m.Require(xenaauth.AllScopes(scope))(next))
				rs[i] = request(token)
				rs[i].URL.Path = path
				rs[i].RequestURI = path
			}
			warmCaches(mux, rs[:1])
			measureRequests(b, mux, rs, next)
		})
	}
}
