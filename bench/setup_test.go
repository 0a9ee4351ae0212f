package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

var algorithms = []string{"RS256", "ES256", "EdDSA"}

const (
	scope = "testapi"
	// lifetime is how long a token is valid. It is longer than any run, so that no token expires.
	lifetime = 12 * time.Hour
)

// A discardingWriter is a ResponseWriter that discards the response. A benchmark uses one
// discardingWriter for many responses.
type discardingWriter struct {
	header http.Header
	status int
}

func newDiscardingWriter() *discardingWriter { return &discardingWriter{header: make(http.Header)} }

func (d *discardingWriter) Header() http.Header         { return d.header }
func (d *discardingWriter) Write(b []byte) (int, error) { return len(b), nil }
func (d *discardingWriter) WriteHeader(status int)      { d.status = status }

// A requestCounter is the handler of an API behind the middleware. It counts the requests that the
// middleware lets through.
type requestCounter struct{ n int }

func (c *requestCounter) ServeHTTP(http.ResponseWriter, *http.Request) { c.n++ }

// idleHandler is an API's handler that does nothing. Several goroutines may call it at the same
// time.
type idleHandler struct{}

func (idleHandler) ServeHTTP(http.ResponseWriter, *http.Request) {}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A fixture is a test issuer that listens on the loopback address, because the other libraries
// fetch keys over HTTP. It publishes two keys, like an issuer that has rotated its keys.
type fixture struct {
	*xenaauthtest.Issuer
	algorithm string
	header    string // header is the JOSE header of the tokens
	mu        sync.Mutex
	minted    []string
}

var fixtures = map[string]*fixture{}

// issuerFor returns the test issuer that signs with the given algorithm. The issuer runs until the
// process ends.
func issuerFor(algorithm string) *fixture {
	if f := fixtures[algorithm]; f != nil {
		return f
	}
	f := newFixture(algorithm)
	fixtures[algorithm] = f
	return f
}

func newFixture(algorithm string) *fixture {
	f := &fixture{
		Issuer:    xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: algorithm}),
		algorithm: algorithm,
	}
	f.Rotate()
	f.SetCacheControl("max-age=86400")
	f.header = fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, algorithm, f.KeyID())
	return f
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // the returned error is ignored, because rand.Read never returns one
	return strings.ToUpper(hex.EncodeToString(b))
}

// fixture.claims returns the payload of a token as IdentityServer4 writes it. No two payloads have
// the same user, session or token id.
func (f *fixture) claims(scopes string, from time.Time, valid time.Duration) string {
	now := from.Unix()
	random := strings.ToLower(randomHex(16))
	return fmt.Sprintf(`{"nbf":%d,"exp":%d,"iss":%q,"aud":["testapi",%q],"client_id":"web-portal",`+
		`"sub":"%s-%s-%s-%s-%s","auth_time":%d,"idp":"local","scope":[%s],"amr":["pwd"],"jti":%q,"sid":%q,"iat":%d}`,
		now, now+int64(valid/time.Second), f.URL(), f.URL()+"/resources",
		random[:8], random[8:12], random[12:16], random[16:20], random[20:], now-10, scopes, randomHex(16), randomHex(16), now)
}

const usualScopes = `"openid","profile","testapi","offline_access"`

// fixture.mintToken makes a token that differs from all others. It signs the token itself, because
// the test issuer records each token that it issues, and would use more and more memory.
func (f *fixture) mintToken() string {
	return f.SignBytes([]byte(f.header), []byte(f.claims(usualScopes, time.Now().Add(-10*time.Second), lifetime)))
}

// fixture.tokens returns n tokens of the test issuer. Each call returns the same tokens, so that
// each token is made only once.
func (f *fixture) tokens(n int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if missing := n - len(f.minted); missing > 0 {
		more := make([]string, missing)
		forEachIndex(missing, func(i int) { more[i] = f.mintToken() })
		f.minted = append(f.minted, more...)
	}
	return f.minted[:n:n]
}

// forEachIndex calls processIndex with each number from 0 to n-1. The calls run on all processor
// cores at the same time.
func forEachIndex(n int, processIndex func(i int)) {
	cores := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for c := range cores {
		all.Go(func() {
			for i := c; i < n; i += cores {
				processIndex(i)
			}
		})
	}
	all.Wait()
}

func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/Api/User/FiscalSetup", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "bench")
	return r
}

func requests(tokens []string) []*http.Request {
	rs := make([]*http.Request, len(tokens))
	for i, t := range tokens {
		rs[i] = request(t)
	}
	return rs
}

// newValidator returns a Validator with the configuration of a typical service, but with a longer
// lifetime of tokens than usual. If editConfig is not nil, newValidator calls it before it uses the
// configuration.
func newValidator(f *fixture, editConfig func(*xenaauth.Config)) *xenaauth.Validator {
	cfg := f.Config()
	cfg.MaxTokenLifetime = lifetime
	if editConfig != nil {
		editConfig(&cfg)
	}
	v, err := xenaauth.NewValidator(cfg)
	must(err)
	return v
}

// guardHandler puts a handler behind the middleware, as a typical service does.
func guardHandler(v xenaauth.TokenValidator, next http.Handler) http.Handler {
	return xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(scope))(next)
}

// Benchmarks of new tokens use more tokens than the cache of the validator can contain. When a
// token is sent again, the cache no longer contains it. So every request verifies its token and
// stores the token in a full cache, which removes another token.
const (
	coldTokens = 2048
	coldCache  = 1024
)

func coldValidator(f *fixture) *xenaauth.Validator {
	v := newValidator(f, func(c *xenaauth.Config) { c.CacheSize = coldCache })
	for _, t := range f.tokens(coldTokens) {
		_, err := v.Validate(context.Background(), t)
		must(err)
	}
	return v
}

// requireOnlyMisses fails the benchmark if the validator found a token in its cache. The benchmark
// should send only tokens that the cache does not contain.
func requireOnlyMisses(b *testing.B, v *xenaauth.Validator) {
	b.Helper()
	if s := v.Status().Tokens; s.Hits != 0 {
		b.Fatalf("%d of %d lookups were hits", s.Hits, s.Hits+s.Misses)
	}
}

// splitToken returns the header, the payload and the signature of a JWT.
func splitToken(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
