package xenaauth_test

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// Of an ECDSA signature anybody can make a second one. The token is the same, and as revoked.
func TestRevokedTokenWithItsOtherSignature(t *testing.T) {
	issuer := newIssuer()
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	token := issuer.JWT(xenaauthtest.Token{})
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	require.NoError(t, err)
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := token[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
	require.Empty(t, reasonOf(t, v, twin), "it verifies: there is nothing wrong with it in itself")
	require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
	require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, token))
	require.Equal(t, xenaauth.ReasonRevoked, reasonOf(t, v, twin))
}

// That a token is not active is told by one member, whatever is wrong with the others.
func TestInactiveWithAnOddClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.CacheTTL, cfg.Introspection.StaleIfError = time.Second, time.Hour
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		token := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, reasonOf(t, v, token))
		time.Sleep(2 * time.Second)
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 200, ContentType: "application/json", Body: `{"active":false,"exp":-1}`})
		require.Equal(t, xenaauth.ReasonInactive, reasonOf(t, v, token))
		time.Sleep(time.Minute)
	})
}

// A queue of strangers' tokens is bounded, and doesn't make a slow but good issuer look down.
func TestQueueOfJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Introspection.Timeout = 2, time.Second
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		require.NoError(t, v.Warm(t.Context()))
		issuer.Slow(300 * time.Millisecond)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		issuer.ResetCalls()
		_, err = v.Validate(gone, "of somebody who has left")
		require.Error(t, err)
		for k := range 500 {
			go func() { _, _ = v.Validate(t.Context(), "junk"+strconv.Itoa(k)) }()
		}
		time.Sleep(5 * time.Second)
		require.Equal(t, "closed", v.Status().Introspection)
		require.Empty(t, reasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		time.Sleep(time.Minute)
	})
}

// What a hook does to a refusal doesn't reach the route that made it.
func TestHookCanNotRewriteARoute(t *testing.T) {
	m := xenaauth.NewMiddleware(new(scopesOf), &xenaauth.Options{ErrorBody: func(_ http.ResponseWriter, _ *http.Request, e *xenaauth.Error) {
		for i := range e.Scopes {
			e.Scopes[i] = "b"
		}
	}})
	h := m.Require(xenaauth.AllScopes("a"))(teapot)
	for range 3 {
		require.Equal(t, 403, get(h, t.Context(), "GET", "Bearer b").Code)
	}
}

// A context that outlives a token, as a connection's does, is no way around its end.
func TestBorrowedContextIsJudgedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer()
		v, err := xenaauth.NewValidator(issuer.Config())
		require.NoError(t, err)
		m := xenaauth.NewMiddleware(v, nil)
		check := func(ctx context.Context, token string) (context.Context, error) {
			r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
			r.Header.Set("Authorization", "Bearer "+token)
			allowed, err := m.Check(r)
			if err != nil {
				return nil, err
			}
			return allowed.Context(), nil
		}
		token := issuer.JWT(xenaauthtest.Token{})
		ctx, err := check(t.Context(), token)
		require.NoError(t, err)
		_, err = check(ctx, token)
		require.NoError(t, err)
		require.NoError(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)}))
		_, err = check(ctx, token)
		require.ErrorContains(t, err, "revoked")

		token = issuer.JWT(xenaauthtest.Token{Lifetime: time.Minute})
		ctx, err = check(t.Context(), token)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		_, err = check(ctx, token)
		require.ErrorContains(t, err, "expired")
	})
}

// A validator of somebody else's doesn't make a bad token optional by the reason it gives.
func TestOptionalGoesByTheRequest(t *testing.T) {
	m := xenaauth.NewMiddleware(oddValidator{err: &xenaauth.Error{Reason: xenaauth.ReasonMissingToken}}, nil)
	require.Equal(t, 401, get(m.Optional(teapot), t.Context(), "GET", "Bearer x").Code)
	require.Equal(t, 418, get(m.Optional(teapot), t.Context(), "GET", "").Code)
	require.Equal(t, 418, get(m.Optional(teapot), t.Context(), "GET", "Basic x").Code)
}

// A stranger's opaque tokens queue; one that was active when last asked about doesn't stand behind them.
func TestKnownTokenComesBeforeStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Introspection.CacheTTL = 1, time.Second
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		known := issuer.Opaque(xenaauthtest.Token{})
		require.Empty(t, reasonOf(t, v, known))
		time.Sleep(2 * time.Second) // its answer is stale
		issuer.Slow(300 * time.Millisecond)
		for k := range 12 {
			go func() { _, _ = v.Validate(t.Context(), "stranger"+strconv.Itoa(k)) }()
		}
		synctest.Wait()
		before := time.Now()
		require.Empty(t, reasonOf(t, v, known))
		require.LessOrEqual(t, time.Since(before), 600*time.Millisecond, "after the one under way, and its own")
		time.Sleep(time.Minute)
	})
}

// What has no scope and doesn't call itself an access token, or is for its own client too, may be an ID token without
// any of an ID token's claims.
func TestTokenThatNothingTellsFromAnIDToken(t *testing.T) {
	issuer := newIssuer()
	v, err := xenaauth.NewValidator(issuer.Config())
	require.NoError(t, err)
	client := "app.xena.biz"
	token := func(typ any, audience []string, scope any) string {
		return issuer.JWT(xenaauthtest.Token{ClientID: client, Header: map[string]any{"typ": typ},
			Claims: map[string]any{"aud": audience, "scope": scope}})
	}
	api, both := []string{issuer.API()}, []string{client, issuer.API()}
	for _, refused := range []string{token("JWT", api, nil), token(nil, api, nil), token("JWT", both, nil), token("at+jwt", both, nil)} {
		require.Equal(t, xenaauth.ReasonTokenType, reasonOf(t, v, refused))
	}
	for _, good := range []string{token("at+jwt", api, nil), token("JWT", api, "testapi"), token(nil, both, "testapi"), token("at+jwt", both, "testapi")} {
		require.Empty(t, reasonOf(t, v, good))
	}
}
