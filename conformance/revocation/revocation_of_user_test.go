package revocation_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the token of a user has a sid, the method User.Revocation returns a Revocation of all tokens
// with this sid, also of other clients and of tokens that are issued later. If the token has no
// sid, the Revocation is for the tokens that this client got for this user until now, also in other
// sessions.
func TestUserRevocation(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	login := claims{"sub": "U1", "client_id": "app", "sid": "S1", "jti": "J1"}
	noSession := mergeClaims(login, claims{"sid": nil})
	machine := claims{"sub": "robot", "client_id": "robot", "sid": nil, "jti": "J5"}
	for _, c := range []struct {
		name             string
		revokedClaims    claims
		refused, allowed []claims
		// laterClaims are the claims of another token for the same login as
		// revokedClaims. The issuer makes that token a minute later.
		laterClaims  claims
		laterRefused bool
	}{
		{"a session", login, []claims{
			mergeClaims(login, claims{"jti": "J2"}), mergeClaims(login, claims{"client_id": "another app"}),
		}, []claims{
			mergeClaims(login, claims{"sid": "S2"}), mergeClaims(login, claims{"sid": nil}), mergeClaims(login, claims{"sub": "U2", "sid": "S3"}),
		}, mergeClaims(login, claims{"jti": "J9"}), true},
		{"no sid", noSession, []claims{
			mergeClaims(noSession, claims{"jti": "J2"}), mergeClaims(login, claims{"sid": "S7"}),
		}, []claims{
			mergeClaims(noSession, claims{"sub": "U2"}), mergeClaims(noSession, claims{"client_id": "another app"}),
		}, noSession, false},
		{"a client of its own", machine, nil, []claims{login}, machine, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.Config()
				cfg.AllowClientTokens = true
				v := harness.NewValidator(t, cfg)
				mint := func(c claims) string { return issuer.JWT(xenaauthtest.Token{Claims: c}) }
				mine := mint(c.revokedClaims)
				var refused, allowed []string
				for _, other := range c.refused {
					refused = append(refused, mint(other))
				}
				for _, other := range c.allowed {
					allowed = append(allowed, mint(other))
				}
				harness.Revoke(t, v, harness.UserOf(t, v, mine).Revocation())
				for _, token := range append(refused, mine) {
					require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
				}
				for _, token := range allowed {
					require.Empty(t, harness.ReasonOf(t, v, token))
				}
				time.Sleep(time.Minute)
				want := xenaauth.Reason("")
				if c.laterRefused {
					want = xenaauth.ReasonRevoked
				}
				require.Equal(t, want, harness.ReasonOf(t, v, mint(c.laterClaims)))
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, mine))
			})
		})
	}
}

// If the clock of the issuer is ahead, the time at which a token was issued is in the future. The
// Revocation that User.Revocation returns revokes this token too.
func TestRevocationOfTokenFromTheFuture(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	made := time.Now().Add(25 * time.Second).Unix()
	token := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": nil, "nbf": made, "iat": made}})
	harness.Revoke(t, v, harness.UserOf(t, v, token).Revocation())
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
}

// For nil, and for a user without sid, sub and client, the method User.Revocation returns an empty
// Revocation. The method Revoke refuses it, because an empty Revocation would revoke all tokens.
func TestRevocationOfUserWithoutClaims(t *testing.T) {
	t.Parallel()
	v := harness.NewValidator(t, harness.NewIssuer().Config())
	empty, err := xenaauth.NewUser(map[string]any{"name": "x"})
	require.NoError(t, err)
	for _, u := range []*xenaauth.User{nil, empty} {
		require.Zero(t, u.Revocation())
		require.Error(t, v.Revoke(t.Context(), u.Revocation()))
	}
	require.Zero(t, v.Status().Revocations)
}

// An opaque token may contain two dots like a JWT. HashToken makes the hash of the whole text,
// because an opaque token has no signature that can be left out.
func TestHashOfDottedOpaqueToken(t *testing.T) {
	t.Parallel()
	require.NotEqual(t, xenaauth.HashToken("a.b.c"), xenaauth.HashToken("a.b.d"))
	require.NotEqual(t, xenaauth.HashToken("a.b.c"), xenaauth.HashToken("a.b."))
	issuer := harness.NewIssuer()
	token := issuer.JWT(xenaauthtest.Token{})
	require.Equal(t, xenaauth.HashToken(token), xenaauth.HashToken(token[:len(token)-4]+"AAAA"), "the hash of a JWT must not depend on its signature")
	require.NotEqual(t, xenaauth.HashToken(token), xenaauth.HashToken(issuer.JWT(xenaauthtest.Token{Subject: "U2"})))
}

// The number of revocations is limited on the RevocationBus and on each instance of the service.
// The error of Revoke says which of the two has no more room. If only the RevocationBus has no
// room, the revocation is in force on this instance.
func TestRevokeErrorsOfBusAndInstance(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.Config()
	cfg.RevocationBus = &recordingBus{fail: xenaauth.ErrRevocationsFull}
	v := harness.NewValidator(t, cfg)
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
	err := v.Revoke(t.Context(), xenaauth.Revocation{Subject: "U1"})
	require.ErrorIs(t, err, xenaauth.ErrNotPublished)
	require.ErrorIs(t, err, xenaauth.ErrRevocationsFull)
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
	err = v.Revoke(t.Context(), xenaauth.Revocation{})
	require.Error(t, err)
	require.NotErrorIs(t, err, xenaauth.ErrNotPublished)
}

// Revoke refuses a Revocation with a time outside the supported range. Such a time could overflow
// and become a time in the past. Revoke would then report success, but the revocation would never
// be in force.
func TestRevocationTimesOutOfRange(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, at := range []time.Time{
		time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(1<<40, 0), last.Add(time.Second),
	} {
		require.Error(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "U1", Until: at}), "%v", at)
		require.Error(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "U1", IssuedBefore: at}), "%v", at)
	}
	require.Empty(t, harness.ReasonOf(t, v, token))
	harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", IssuedBefore: last, Until: last})
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
}

// If the durations and numbers in a Config are huge, NewValidator refuses the Config, or the
// Validator works correctly. No sum of these values overflows.
func TestHugeConfiguration(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	for name, change := range map[string]func(*xenaauth.Config, time.Duration, int){
		"MaxTokenLifetime":            func(c *xenaauth.Config, d time.Duration, _ int) { c.MaxTokenLifetime = d },
		"MaxKeyAge":                   func(c *xenaauth.Config, d time.Duration, _ int) { c.MaxKeyAge = d },
		"CacheSize":                   func(c *xenaauth.Config, _ time.Duration, n int) { c.CacheSize = n },
		"Introspection.CacheTTL":      func(c *xenaauth.Config, d time.Duration, _ int) { c.Introspection.CacheTTL = d },
		"Introspection.NegativeTTL":   func(c *xenaauth.Config, d time.Duration, _ int) { c.Introspection.NegativeTTL = d },
		"Introspection.Timeout":       func(c *xenaauth.Config, d time.Duration, _ int) { c.Introspection.Timeout = d },
		"Introspection.StaleIfError":  func(c *xenaauth.Config, d time.Duration, _ int) { c.Introspection.StaleIfError = d },
		"Introspection.CacheSize":     func(c *xenaauth.Config, _ time.Duration, n int) { c.Introspection.CacheSize = n },
		"Introspection.MaxConcurrent": func(c *xenaauth.Config, _ time.Duration, n int) { c.Introspection.MaxConcurrent = n },
		"MaxTokenLength":              func(c *xenaauth.Config, _ time.Duration, n int) { c.MaxTokenLength = n },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worked := 0
			for _, size := range []struct {
				duration time.Duration
				number   int
			}{{math.MaxInt64, math.MaxInt}, {math.MaxInt64 - 1, math.MaxInt - 31}, {math.MaxInt64 / 2, math.MaxInt / 16},
				{100 * 365 * 24 * time.Hour, 100_000}} {
				cfg := issuer.HybridConfig()
				cfg.Introspection.Cache, cfg.Logger = failingCache{}, slog.New(slog.DiscardHandler)
				change(&cfg, size.duration, size.number)
				v, err := xenaauth.NewValidator(cfg)
				if err != nil {
					require.ErrorContains(t, err, "Config."+name)
					continue
				}
				worked++
				jwt, opaque := issuer.JWT(xenaauthtest.Token{Subject: "U1"}), issuer.Opaque(xenaauthtest.Token{Subject: "U1"})
				for range 3 {
					require.Empty(t, harness.ReasonOf(t, v, jwt))
					require.Empty(t, harness.ReasonOf(t, v, opaque))
				}
				harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1"})
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, jwt))
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, opaque))
			}
			require.Positive(t, worked)
		})
	}
}

// failingCache is a shared cache of introspection responses. All its methods return errors.
type failingCache struct{}

func (failingCache) Get(context.Context, [32]byte) ([]byte, error) {
	return nil, errors.New("no cache")
}

func (failingCache) Set(context.Context, [32]byte, []byte, time.Duration) error {
	return errors.New("no cache")
}
