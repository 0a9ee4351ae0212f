package revocation_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/replay"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// brokenStore is a store of used logout tokens (replay.Store). If failWith is set, each call of Use
// returns the error of failWith.
type brokenStore struct {
	replay.Store
	failWith func() error
	calls    int
	// lastUntil is the parameter until of the last call of Use. The store must remember the token
	// until this time.
	lastUntil time.Time
}

func (s *brokenStore) Use(
	ctx context.Context, owner, id string, until time.Time,
) (bool, error) {
	s.calls++
	s.lastUntil = until
	if s.failWith != nil {
		return true, s.failWith() // if Use returns an error, its first result must have no effect
	}
	return s.Store.Use(ctx, owner, id, until)
}

// The clocks of two instances of the service may differ by two times the clock skew. So another
// instance may accept a logout token for longer than this instance. The store of used logout tokens
// remembers the token for this longer time.
func TestLogoutIsRememberedForInstancesWhoseClockIsBehind(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.Config()
		cfg.ClockSkew = 20 * time.Second
		store := &brokenStore{Store: replay.NewLocal(replay.Options{})}
		cfg.Replay = store
		exp := time.Now().Add(5 * time.Minute)
		token := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"exp": exp.Unix()}))
		status, reason := harness.Logout(t, harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID), token)
		require.Equal(t, 200, status, reason)
		require.Equal(t, exp.Add(3*cfg.ClockSkew).Unix(), store.lastUntil.Unix())
	})
}

func TestLogoutIsAcceptedOnceInAFleet(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.Config()
		cfg.Replay = replay.NewLocal(replay.Options{})
		one := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
		two := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
		token := issuer.LogoutToken(xenaauthtest.Token{})
		status, reason := harness.Logout(t, one, token)
		require.Equal(t, 200, status, reason)
		for range 2 {
			status, reason = harness.Logout(t, two, token)
			require.Equal(t, 400, status)
			require.Equal(t, xenaauth.ReasonRevoked, reason)
		}
		status, reason = harness.Logout(t, two, issuer.LogoutToken(xenaauthtest.Token{}))
		require.Equal(t, 200, status, reason)
	})
}

// If two issuers choose the same jti, the logout tokens of both are accepted.
func TestLogoutsOfTwoIssuersShareAStore(t *testing.T) {
	t.Parallel()
	store := replay.NewLocal(replay.Options{})
	for _, issuerURL := range []string{"https://one.example", "https://two.example"} {
		issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: issuerURL, Algorithm: "ES256"})
		cfg := issuer.Config()
		cfg.Replay = store
		token := issuer.Sign(harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, map[string]any{"jti": "L1"}))
		status, reason := harness.Logout(t, harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID), token)
		require.Equal(t, 200, status, reason)
	}
}

func TestLogoutWhileTheReplayStoreFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail func() error
		why  string
	}{
		"error": {func() error { return errors.New("dial tcp 10.9.8.7:6379: refused") }, "it returns an error"},
		"full":  {func() error { return replay.ErrFull }, "it is full"},
		"panic": {func() error { panic("10.9.8.7") }, "it panics"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				var log strings.Builder
				issuer := harness.NewIssuer()
				cfg := issuer.Config()
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				store := &brokenStore{Store: replay.NewLocal(replay.Options{}), failWith: test.fail}
				cfg.Replay = store
				v := harness.NewValidator(t, cfg)
				h := v.LogoutHandler(harness.ClientID)
				access := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
				token := issuer.LogoutToken(xenaauthtest.Token{Claims: map[string]any{"sid": "S1"}})
				for range 2 {
					resp := harness.PostForm(t, h, harness.FormType, url.Values{"logout_token": {token}}.Encode())
					require.Equal(t, 503, resp.StatusCode)
					require.Equal(t, "1", resp.Header.Get("Retry-After"))
					require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, access), "the user has logged out all the same")
				}
				require.Contains(t, log.String(), test.why)
				require.Contains(t, log.String(), "the use of logout tokens can't be recorded")
				require.NotContains(t, log.String(), "10.9.8.7")

				store.failWith = nil
				status, reason := harness.Logout(t, h, token)
				require.Equal(t, 200, status, reason)
				require.Contains(t, log.String(), "is recorded again")
				_, reason = harness.Logout(t, h, token)
				require.Equal(t, xenaauth.ReasonRevoked, reason)
			})
		})
	}
}

// If the sender of a logout token cancels its request, the library does not count this as a failure
// of the store of used logout tokens.
func TestLogoutThatIsCanceledIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		issuer := harness.NewIssuer()
		cfg := issuer.Config()
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		store := &brokenStore{failWith: func() error { cancel(); return context.Canceled }}
		cfg.Replay = store
		form := url.Values{"logout_token": {issuer.LogoutToken(xenaauthtest.Token{})}}.Encode()
		r := httptest.NewRequestWithContext(ctx, "POST", "https://api.example/logout", strings.NewReader(form))
		r.Header.Set("Content-Type", harness.FormType)
		w := httptest.NewRecorder()
		harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID).ServeHTTP(w, r)
		require.Equal(t, 503, w.Code)
		require.NotContains(t, log.String(), "can't be recorded")
	})
}

// Any client can send logout tokens. Only logout tokens that the issuer has signed may reach the
// store of used logout tokens.
func TestLogoutTokensOfStrangersDoNotReachTheStore(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.Config()
	store := &brokenStore{Store: replay.NewLocal(replay.Options{})}
	cfg.Replay = store
	h := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
	stranger := harness.NewSigner(t, issuer.KeyID())
	for range 10 {
		status, _ := harness.Logout(t, h, stranger.JWT(t, harness.LogoutHeader(issuer, nil), harness.LogoutClaims(issuer, nil)))
		require.Equal(t, 400, status)
	}
	require.Zero(t, store.calls)
	status, reason := harness.Logout(t, h, issuer.LogoutToken(xenaauthtest.Token{}))
	require.Equal(t, 200, status, reason)
	require.Equal(t, 1, store.calls)
}

// slowStore is a store of used logout tokens (replay.Store). Each call of Use waits until the
// number of waiting calls is callerCount. Then all calls continue at the same time.
type slowStore struct {
	replay.Store
	waiting     atomic.Int32
	callerCount int32
	all         chan struct{}
}

func (s *slowStore) Use(
	ctx context.Context, owner, id string, until time.Time,
) (bool, error) {
	if s.waiting.Add(1) == s.callerCount {
		close(s.all)
	}
	<-s.all
	return s.Store.Use(ctx, owner, id, until)
}

func TestOneOfManySimultaneousLogoutsInAFleetIsAccepted(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		const senders = 100
		issuer := harness.NewIssuer()
		cfg := issuer.Config()
		cfg.Replay = &slowStore{
			Store: replay.NewLocal(replay.Options{}), callerCount: senders, all: make(chan struct{}),
		}
		token := issuer.LogoutToken(xenaauthtest.Token{})
		statuses := make(chan int, senders)
		for range 2 {
			h := harness.NewValidator(t, cfg).LogoutHandler(harness.ClientID)
			for range senders / 2 {
				go func() {
					status, _ := harness.Logout(t, h, token)
					statuses <- status
				}()
			}
		}
		got := map[int]int{}
		for range senders {
			got[<-statuses]++
		}
		require.Equal(t, map[int]int{200: 1, 400: senders - 1}, got)
	})
}
