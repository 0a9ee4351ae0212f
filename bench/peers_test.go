package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	auth0 "github.com/auth0/go-jwt-middleware/v3"
	auth0jwks "github.com/auth0/go-jwt-middleware/v3/jwks"
	auth0validator "github.com/auth0/go-jwt-middleware/v3/validator"
	coreos "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-chi/jwtauth/v5"
	golangjwt "github.com/golang-jwt/jwt/v5"
	capjwt "github.com/hashicorp/cap/jwt"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
	"github.com/lestrrat-go/httprc/v3"
	jwk2 "github.com/lestrrat-go/jwx/v2/jwk"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	jwk3 "github.com/lestrrat-go/jwx/v3/jwk"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"
	mcp "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// A peer is another library that verifies tokens, configured as its documentation says. If the
// library has no middleware, wrapVerifier adds a middleware that does as little as possible.
type peer struct {
	name  string
	mount func(ctx context.Context, f *fixture, next http.Handler) http.Handler
}

const audience = "testapi"

func (f *fixture) jwksURL() string { return f.URL() + "/.well-known/openid-configuration/jwks" }

type tokenKey struct{}

// wrapVerifier returns middleware for a library that has none. The middleware calls the
// verification function of the library and does almost nothing else.
func wrapVerifier(next http.Handler, verify func(ctx context.Context, token string) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		verified, err := verify(r.Context(), token)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, verified)))
	})
}

// userClaims contains claims of a token, for example the scope. Some libraries do not read these
// claims. A service that uses such a library has to define a type for the claims, as this benchmark
// does.
type userClaims struct {
	ClientID string   `json:"client_id"`
	Scope    []string `json:"scope"`
	Sid      string   `json:"sid"`
}

func (c *userClaims) scoped() error {
	if slices.Contains(c.Scope, scope) {
		return nil
	}
	return errors.New("insufficient scope")
}

// auth0Claims contains the custom claims that the library go-jwt-middleware needs in order to read
// scopes.
type auth0Claims struct{ userClaims }

func (c *auth0Claims) Validate(context.Context) error { return c.scoped() }

type golangClaims struct {
	userClaims
	golangjwt.RegisteredClaims
}

var peers = []peer{
	{"golang-jwt", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		keys, err := keyfunc.NewDefaultCtx(ctx, []string{f.jwksURL()})
		must(err)
		parser := golangjwt.NewParser(golangjwt.WithValidMethods([]string{f.algorithm}), golangjwt.WithIssuer(f.URL()),
			golangjwt.WithAudience(audience), golangjwt.WithExpirationRequired())
		return wrapVerifier(next, func(_ context.Context, token string) (any, error) {
			c := new(golangClaims)
			if _, err := parser.ParseWithClaims(token, c, keys.Keyfunc); err != nil {
				return nil, err
			}
			return c, c.scoped()
		})
	}},
	{"echo-jwt", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		keys, err := keyfunc.NewDefaultCtx(ctx, []string{f.jwksURL()})
		must(err)
		e := echo.New()
		e.Use(echojwt.WithConfig(echojwt.Config{KeyFunc: keys.Keyfunc}))
		e.GET("/*", echo.WrapHandler(next))
		return e
	}},
	{"go-oidc", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		v := coreos.NewVerifier(f.URL(), coreos.NewRemoteKeySet(ctx, f.jwksURL()),
			&coreos.Config{ClientID: audience, SupportedSigningAlgs: []string{f.algorithm}})
		return wrapVerifier(next, func(ctx context.Context, token string) (any, error) {
			t, err := v.Verify(ctx, token)
			if err != nil {
				return nil, err
			}
			c := new(userClaims)
			if err := t.Claims(c); err != nil {
				return nil, err
			}
			return c, c.scoped()
		})
	}},
	{"auth0-v3", func(_ context.Context, f *fixture, next http.Handler) http.Handler {
		id, err := url.Parse(f.URL())
		must(err)
		keys, err := auth0jwks.NewCachingProvider(auth0jwks.WithIssuerURL(id), auth0jwks.WithCacheTTL(time.Hour))
		must(err)
		v, err := auth0validator.New(auth0validator.WithKeyFunc(keys.KeyFunc),
			auth0validator.WithAlgorithm(auth0validator.SignatureAlgorithm(f.algorithm)),
			auth0validator.WithIssuer(f.URL()), auth0validator.WithAudience(audience),
			auth0validator.WithCustomClaims(func() *auth0Claims { return new(auth0Claims) }))
		must(err)
		m, err := auth0.New(auth0.WithValidator(v))
		must(err)
		return m.CheckJWT(next)
	}},
	{"zitadel-oidc", func(_ context.Context, f *fixture, next http.Handler) http.Handler {
		v := op.NewAccessTokenVerifier(f.URL(), rp.NewRemoteKeySet(http.DefaultClient, f.jwksURL()),
			op.WithSupportedAccessTokenSigningAlgorithms(f.algorithm))
		return wrapVerifier(next, func(ctx context.Context, token string) (any, error) {
			c, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, token, v)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(c.Scopes, scope) {
				return nil, errors.New("insufficient scope")
			}
			return c, oidc.CheckAudience(c, audience)
		})
	}},
	{"jwx-v2", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		cache := jwk2.NewCache(ctx)
		must(cache.Register(f.jwksURL(), jwk2.WithMinRefreshInterval(15*time.Minute)))
		_, err := cache.Refresh(ctx, f.jwksURL())
		must(err)
		keys := jwk2.NewCachedSet(cache, f.jwksURL())
		return wrapVerifier(next, func(_ context.Context, token string) (any, error) {
			return jwt2.ParseString(token, jwt2.WithKeySet(keys), jwt2.WithIssuer(f.URL()), jwt2.WithAudience(audience))
		})
	}},
	{"jwx-v3", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		cache, err := jwk3.NewCache(ctx, httprc.NewClient())
		must(err)
		must(cache.Register(ctx, f.jwksURL()))
		keys, err := cache.CachedSet(f.jwksURL())
		must(err)
		return wrapVerifier(next, func(_ context.Context, token string) (any, error) {
			return jwt3.ParseString(token, jwt3.WithKeySet(keys), jwt3.WithIssuer(f.URL()), jwt3.WithAudience(audience))
		})
	}},
	{"jwtauth", func(_ context.Context, f *fixture, next http.Handler) http.Handler {
		// the library jwtauth accepts a single key, and does not read key sets
		ja := jwtauth.New(f.algorithm, nil, f.publicKey(), jwt2.WithIssuer(f.URL()), jwt2.WithAudience(audience))
		return jwtauth.Verifier(ja)(jwtauth.Authenticator(ja)(next))
	}},
	{"hashicorp-cap", func(ctx context.Context, f *fixture, next http.Handler) http.Handler {
		keys, err := capjwt.NewJSONWebKeySet(ctx, f.jwksURL(), "")
		must(err)
		v, err := capjwt.NewValidator(keys)
		must(err)
		return wrapVerifier(next, func(ctx context.Context, token string) (any, error) {
			return v.Validate(ctx, token, capjwt.Expected{
				Issuer: f.URL(), Audiences: []string{audience}, SigningAlgorithms: []capjwt.Alg{capjwt.Alg(f.algorithm)},
			})
		})
	}},
}

// mcpMiddleware returns the bearer middleware of the MCP SDK. This middleware does not verify
// tokens itself, so the benchmark gives it a verification function that does no work.
func mcpMiddleware(next http.Handler) http.Handler {
	info := &mcp.TokenInfo{Scopes: []string{scope}, Expiration: time.Now().Add(lifetime), UserID: "1"}
	return mcp.RequireBearerToken(func(context.Context, string, *http.Request) (*mcp.TokenInfo, error) {
		return info, nil
	}, &mcp.RequireBearerTokenOptions{Scopes: []string{scope}})(next)
}

// TestPeers shows that each measured library, and xenaauth, verifies tokens: a good token passes. A
// token with the claims of another token, a token with a broken signature, tokens with the
// algorithm none, an empty token and a text that is no token are refused.
func TestPeers(t *testing.T) {
	ours := peer{"xenaauth", func(_ context.Context, f *fixture, next http.Handler) http.Handler {
		return guardHandler(newValidator(f, nil), next)
	}}
	for _, algorithm := range algorithms {
		f := issuerFor(algorithm)
		good := f.mintToken()
		header, payload, signature := splitToken(good)
		_, other, _ := splitToken(f.mintToken())
		unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
		flipped := "A"
		if signature[0] == 'A' {
			flipped = "B"
		}
		if !newLimitVerifier(f).verifyToken([]byte(good)) || newLimitVerifier(f).verifyToken([]byte(header+"."+other+"."+signature)) {
			t.Errorf("%s: the limit does not verify", algorithm)
		}
		for _, p := range append([]peer{ours}, peers...) {
			t.Run(algorithm+"/"+p.name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				next := new(requestCounter)
				h := p.mount(ctx, f, next)
				serve := func(token string) int {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, request(token))
					return w.Code
				}
				if status := serve(good); status != http.StatusOK || next.n != 1 {
					t.Fatalf("a good token: %d", status)
				}
				for what, token := range map[string]string{
					"a forged":      header + "." + other + "." + signature,
					"a broken":      header + "." + payload + "." + flipped + signature[1:],
					"an unsigned":   unsigned + "." + payload + ".",
					"a signed none": unsigned + "." + payload + "." + signature,
					"an empty":      "",
					"a strange":     strings.Repeat("x", 900),
				} {
					if status := serve(token); status < 400 || next.n != 1 {
						t.Errorf("%s token: %d", what, status)
					}
				}
			})
		}
	}
}
