package bearer_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Each of the types below wraps a Validator in a way that may occur in a service.
type (
	// unwrappingWrapper is a wrapper around a Validator. Its method Unwrap returns the Validator.
	unwrappingWrapper struct{ next xenaauth.TokenValidator }
	// opaqueWrapper is a wrapper around a Validator. It has no method Unwrap, so the middleware
	// cannot find the Validator.
	opaqueWrapper struct{ next xenaauth.TokenValidator }
	// embeddingWrapper embeds the Validator and overrides only its method Validate.
	embeddingWrapper struct{ *xenaauth.Validator }
	// cachingWrapper is a wrapper around a Validator. It stores the user of each token and returns
	// the stored user when the token comes again.
	cachingWrapper struct {
		next  xenaauth.TokenValidator
		users map[string]*xenaauth.User
	}
	// unwrappingCache is a cachingWrapper that also has the method Unwrap.
	unwrappingCache struct{ cachingWrapper }
	// selfWrapper is a wrapper around a Validator. Its method Unwrap returns the wrapper itself.
	selfWrapper struct{ next xenaauth.TokenValidator }
)

func (w unwrappingWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return w.next.Validate(ctx, token)
}
func (w unwrappingWrapper) Unwrap() xenaauth.TokenValidator { return w.next }

func (w opaqueWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return w.next.Validate(ctx, token)
}

func (w embeddingWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return w.Validator.Validate(ctx, token)
}

func (w cachingWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	if u, ok := w.users[token]; ok {
		return u, nil
	}
	u, err := w.next.Validate(ctx, token)
	if err == nil {
		w.users[token] = u
	}
	return u, err
}

func (w unwrappingCache) Unwrap() xenaauth.TokenValidator { return w.next }

func (w selfWrapper) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	return w.next.Validate(ctx, token)
}
func (w selfWrapper) Unwrap() xenaauth.TokenValidator { return w }

// wrappersOf returns the Validator v and wrappers around v. The map key describes the wrapper. Each
// wrapper must behave like v.
func wrappersOf(v *xenaauth.Validator) map[string]xenaauth.TokenValidator {
	return map[string]xenaauth.TokenValidator{
		"bare": v, "unwrapping": unwrappingWrapper{v}, "two wrappers": unwrappingWrapper{unwrappingWrapper{v}}, "embedding": embeddingWrapper{v},
	}
}

// If a token is revoked while a request is between two guards, the second guard refuses the
// request. This is true for the Validator, for each wrapper without a cache, and for a wrapper with
// a cache if it has the method Unwrap.
func TestRevokedBetweenNestedGuards(t *testing.T) {
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	all := wrappersOf(v)
	all["opaque"], all["selfish"] = opaqueWrapper{v}, selfWrapper{v}
	all["caching, unwrapping"] = unwrappingCache{cachingWrapper{v, make(map[string]*xenaauth.User)}}
	for name, validator := range all {
		t.Run(name, func(t *testing.T) {
			m := xenaauth.NewMiddleware(validator, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
			token := issuer.JWT(xenaauthtest.Token{})
			inner := m.Require(xenaauth.AnyUser())(harness.Teapot)
			outer := m.Require(xenaauth.AnyUser())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.NoError(t, v.Revoke(r.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
				inner.ServeHTTP(w, r)
			}))
			w := harness.Send(outer, t.Context(), "GET", "Bearer "+token)
			require.Equal(t, 401, w.Code)
			require.Contains(t, w.Body.String(), `"revoked"`)
			require.Equal(t, 401, harness.Send(inner, t.Context(), "GET", "Bearer "+token).Code, "a later request")
		})
	}
}

// This Validator accepts tokens for any audience (Config.AllowAnyAudience). Every route must then
// require a scope: otherwise the middleware panics when the route is set up. If a wrapper hides the
// Validator, the middleware cannot see this setting. In this case the middleware does not panic,
// and a route that requires no scope refuses each token.
func TestWrappedAnyAudience(t *testing.T) {
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{ScopeOnly: true, Algorithm: "ES256"})
	v := harness.NewValidator(t, issuer.Config())
	token := "Bearer " + issuer.JWT(xenaauthtest.Token{})
	for name, validator := range wrappersOf(v) {
		m := xenaauth.NewMiddleware(validator, nil)
		require.Panics(t, func() { m.Require(xenaauth.AnyUser()) }, name)
		require.Panics(t, func() { m.Optional(harness.Teapot) }, name)
		require.Equal(t, 418, harness.Send(m.Require(xenaauth.AllScopes("testapi"))(harness.Teapot), t.Context(), "GET", token).Code)
	}
	for name, validator := range map[string]xenaauth.TokenValidator{
		"opaque": opaqueWrapper{v}, "selfish": selfWrapper{v}, "caching": cachingWrapper{v, make(map[string]*xenaauth.User)},
		"unwrapping to nil": unwrappingCache{cachingWrapper{opaqueWrapper{v}, make(map[string]*xenaauth.User)}},
	} {
		m := xenaauth.NewMiddleware(validator, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
		for range 2 {
			require.Equal(t, 403, harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", token).Code, name)
			require.Equal(t, 403, harness.Send(m.Optional(harness.Teapot), t.Context(), "GET", token).Code, name)
			require.Equal(t, 418, harness.Send(m.Require(xenaauth.AllScopes("testapi"))(harness.Teapot), t.Context(), "GET", token).Code, name)
		}
	}
}

// A middleware without a logger uses the logger of its Validator, even if other types wrap the
// Validator.
func TestWrappedLogger(t *testing.T) {
	issuer := harness.NewIssuer()
	for name := range wrappersOf(nil) {
		var log bytes.Buffer
		cfg := issuer.Config()
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		v := harness.NewValidator(t, cfg)
		m := xenaauth.NewMiddleware(wrappersOf(v)[name], nil)
		harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", "")
		require.Contains(t, log.String(), "missing_token", name)
	}
}

// The response to a text that cannot be a token does not depend on the type that wraps the
// Validator.
func TestWrappedSyntax(t *testing.T) {
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.HybridConfig())
	all := wrappersOf(v)
	all["opaque"] = opaqueWrapper{v}
	for name, validator := range all {
		m := xenaauth.NewMiddleware(validator, &xenaauth.Options{Logger: slog.New(slog.DiscardHandler)})
		for _, field := range []string{"Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer " + issuer.JWT(xenaauthtest.Token{}) + ","} {
			w := harness.Send(m.Require(xenaauth.AnyUser())(harness.Teapot), t.Context(), "GET", field)
			require.Equal(t, 400, w.Code, "%s: %s", name, field)
		}
	}
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
}

// If a wrapper around a Validator stores nothing, a request with a token in use costs no more
// allocations than without the wrapper.
func TestWrappedAllocations(t *testing.T) {
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	for name, validator := range wrappersOf(v) {
		h := xenaauth.NewMiddleware(validator, nil).Require(xenaauth.AllScopes("testapi"))(
			http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		w := httptest.NewRecorder()
		run := func() { h.ServeHTTP(w, r) }
		run()
		run()
		require.LessOrEqual(t, testing.AllocsPerRun(200, run), 1.0, name)
	}
}
