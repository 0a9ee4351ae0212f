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
	// lifetime is the lifetime of the tokens. It is longer than any run, so that no token expires.
	lifetime = 12 * time.Hour
)

// discard is a ResponseWriter that discards everything and can be used again.
type discard struct {
	header http.Header
	status int
}

func newDiscard() *discard { return &discard{header: make(http.Header)} }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// counter is the handler behind the middleware. It counts requests.
type counter struct{ n int }

func (c *counter) ServeHTTP(http.ResponseWriter, *http.Request) { c.n++ }

// nothing is a handler that does nothing. Several goroutines may call it.
type nothing struct{}

func (nothing) ServeHTTP(http.ResponseWriter, *http.Request) {}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fixture is an issuer with a listener on loopback, because the other libraries need a server. It
// publishes two keys, as after a rotation.
type fixture struct {
	*xenaauthtest.Issuer
	algorithm string
	header    string // of its tokens
	mu        sync.Mutex
	minted    []string
}

var fixtures = map[string]*fixture{}

// issuer returns the issuer of an algorithm. It is never closed and ends with the process.
func issuer(algorithm string) *fixture {
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
	_, _ = rand.Read(b) // never fails
	return strings.ToUpper(hex.EncodeToString(b))
}

// claims returns the payload of a token as IdentityServer4 writes it. Each has another user,
// session and id.
func (f *fixture) claims(scopes string, from time.Time, valid time.Duration) string {
	now := from.Unix()
	random := strings.ToLower(randomHex(16))
	return fmt.Sprintf(`{"nbf":%d,"exp":%d,"iss":%q,"aud":["testapi",%q],"client_id":"web-portal",`+
		`"sub":"%s-%s-%s-%s-%s","auth_time":%d,"idp":"local","scope":[%s],"amr":["pwd"],"jti":%q,"sid":%q,"iat":%d}`,
		now, now+int64(valid/time.Second), f.URL(), f.URL()+"/resources",
		random[:8], random[8:12], random[12:16], random[16:20], random[20:], now-10, scopes, randomHex(16), randomHex(16), now)
}

const usualScopes = `"openid","profile","testapi","offline_access"`

// mint makes a token that differs from all others. It does not use the registry of the issuer,
// which would grow with each token.
func (f *fixture) mint() string {
	return f.SignBytes([]byte(f.header), []byte(f.claims(usualScopes, time.Now().Add(-10*time.Second), lifetime)))
}

// tokens returns n tokens. Each call returns the same tokens.
func (f *fixture) tokens(n int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if missing := n - len(f.minted); missing > 0 {
		more := make([]string, missing)
		each(missing, func(i int) { more[i] = f.mint() })
		f.minted = append(f.minted, more...)
	}
	return f.minted[:n:n]
}

// each calls do with every number from 0 to n-1, on all cores.
func each(n int, do func(i int)) {
	cores := runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for c := range cores {
		all.Go(func() {
			for i := c; i < n; i += cores {
				do(i)
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

// validator returns a Validator with the configuration of a typical user, except for the lifetime
// of the tokens.
func validator(f *fixture, change func(*xenaauth.Config)) *xenaauth.Validator {
	cfg := f.Config()
	cfg.MaxTokenLifetime = lifetime
	if change != nil {
		change(&cfg)
	}
	v, err := xenaauth.NewValidator(cfg)
	must(err)
	return v
}

// mount puts a handler behind the middleware, as a typical user does.
func mount(v xenaauth.TokenValidator, next http.Handler) http.Handler {
	return xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(scope))(next)
}

// The cold path is measured with more tokens than the cache can contain. Each token has left the
// cache when it comes again. So every request verifies its token and stores it in a full cache,
// which removes an entry.
const (
	coldTokens = 2048
	coldCache  = 1024
)

func coldValidator(f *fixture) *xenaauth.Validator {
	v := validator(f, func(c *xenaauth.Config) { c.CacheSize = coldCache })
	for _, t := range f.tokens(coldTokens) {
		_, err := v.Validate(context.Background(), t)
		must(err)
	}
	return v
}

// onlyMisses fails the benchmark if a token of the cold path was found in the cache.
func onlyMisses(b *testing.B, v *xenaauth.Validator) {
	b.Helper()
	if s := v.Status().Tokens; s.Hits != 0 {
		b.Fatalf("%d of %d lookups were hits", s.Hits, s.Hits+s.Misses)
	}
}

// segments splits a token.
func segments(token string) (header, payload, signature string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
