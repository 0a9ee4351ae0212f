package revocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// clientUserResolver returns a function for Config.Subject. For the token of a service account,
// this function reads the user from the claim client_user. It calls countCall each time.
func clientUserResolver(countCall func()) func(context.Context, *xenaauth.User) (string, error) {
	return func(_ context.Context, u *xenaauth.User) (string, error) {
		countCall()
		var subject string
		return subject, u.Claim("client_user", &subject)
	}
}

// A Revocation may have no time at which it ends (Until). It then stays in force until all tokens
// that existed when it was made have expired. This is also true for a token with the longest
// allowed lifetime from an issuer whose clock is ahead by the allowed skew. But with
// Config.AllowAnyLifetime, the revocation ends after 24 hours, and a token may outlive it.
func TestRevocationOutlastsEveryToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		lifetime, skew time.Duration
	}{{"default", 0, 0}, {"short", 10 * time.Minute, 2 * time.Minute}, {"no skew to speak of", 5 * time.Minute, time.Nanosecond}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.Config()
				cfg.MaxTokenLifetime, cfg.ClockSkew = c.lifetime, c.skew
				v := harness.NewValidator(t, cfg)
				lifetime, skew := time.Hour, 30*time.Second
				if c.lifetime != 0 {
					lifetime, skew = c.lifetime, c.skew
				}
				start := time.Now()
				nbf := start.Add(skew)
				exp := nbf.Add(lifetime + skew)
				token := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"nbf": nbf.Unix(), "iat": nbf.Unix(), "exp": exp.Unix()}})
				require.Empty(t, harness.ReasonOf(t, v, token), "the token with the longest lifetime must be accepted")
				harness.Revoke(t, v, xenaauth.Revocation{SessionID: "another"})
				harness.Revoke(t, v, xenaauth.Revocation{TokenHash: xenaauth.HashToken(token)})
				end := time.Unix(exp.Unix(), 0).Add(skew)
				time.Sleep(time.Until(end) - time.Nanosecond)
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
				time.Sleep(time.Nanosecond)
				require.Equal(t, xenaauth.ReasonExpired, harness.ReasonOf(t, v, token))
				time.Sleep(2 * time.Second)
				require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{Lifetime: c.lifetime})))
				require.Zero(t, v.Status().Revocations, "the revocation must be removed after its end")
			})
		})
	}
	t.Run("any lifetime", func(t *testing.T) {
		t.Parallel()
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			cfg := issuer.Config()
			cfg.AllowAnyLifetime = true
			v := harness.NewValidator(t, cfg)
			token := issuer.JWT(xenaauthtest.Token{Subject: "U1", Lifetime: 1000 * time.Hour})
			harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1"})
			time.Sleep(24*time.Hour - time.Second)
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
			time.Sleep(time.Second)
			require.Empty(t, harness.ReasonOf(t, v, token), "the revocation must end after 24 hours")
		})
	})
}

func TestRevocationEnds(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
		now := time.Now()
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", Until: now.Add(10 * time.Second)})
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", ClientID: "C9", Until: now.Add(10500 * time.Millisecond)})
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U2", Until: now.Add(time.Minute)})
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U3", Until: now})
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U4", Until: now.Add(-time.Second)})
		require.Equal(t, 3, v.Status().Revocations, "revocations that have already ended must not be counted")
		time.Sleep(10*time.Second - 1)
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
		require.Equal(t, 3, v.Status().Revocations)
		time.Sleep(time.Nanosecond)
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Equal(t, 2, v.Status().Revocations)
		time.Sleep(2 * time.Second)
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Equal(t, 1, v.Status().Revocations)
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", Until: time.Now().Add(time.Second)})
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token), "a token can be revoked again")
		time.Sleep(time.Minute)
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Zero(t, v.Status().Revocations)
	})
}

// Revocations end at different times. When one revocation ends, the others stay in force, whether
// they name the same claim (for example the subject) or another claim.
func TestRevocationsEndIndependently(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		of := map[string]any{"jti": "J1", "sid": "S1"}
		token := issuer.JWT(xenaauthtest.Token{Subject: "U1", ClientID: "C1", Claims: of})
		all := issuer.JWT(xenaauthtest.Token{Subject: "U2", ClientID: "C2", Claims: map[string]any{"nbf": time.Now().Unix() - 20}})
		for _, r := range []xenaauth.Revocation{{TokenHash: xenaauth.HashToken(token)}, {TokenID: "J1"}, {SessionID: "S1"},
			{Subject: "U1"}, {ClientID: "C1"}, {IssuedBefore: time.Now().Add(-10 * time.Second)}} {
			v := harness.NewValidator(t, issuer.Config())
			mine := token
			if !r.IssuedBefore.IsZero() {
				mine = all
			}
			harness.Revoke(t, v, r)
			until := time.Now().Add(time.Minute)
			for _, short := range []xenaauth.Revocation{{TokenHash: xenaauth.HashToken("x")}, {Subject: "U1", TokenID: "x"},
				{Subject: "U9"}, {IssuedBefore: until}, {ClientID: "C1", IssuedBefore: until.Add(-time.Hour)}} {
				short.Until = until
				harness.Revoke(t, v, short)
			}
			time.Sleep(2 * time.Minute)
			for range 2 {
				require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, mine), "%+v", r)
				require.Equal(t, 1, v.Status().Revocations)
			}
			harness.Revoke(t, v, xenaauth.Revocation{TokenHash: xenaauth.HashToken("y")})
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, mine), "%+v", r)
		}
		require.Empty(t, harness.ReasonOf(t, v, token))
	})
}

// Status.Revocations is the number of revocations in force. A revocation that has ended is not
// counted, even if the service has received no request since then.
func TestStatusCountsRevocationsInForce(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		v := harness.NewValidator(t, harness.NewIssuer().Config())
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", Until: time.Now().Add(time.Minute)})
		require.Equal(t, 1, v.Status().Revocations)
		time.Sleep(time.Hour)
		require.Zero(t, v.Status().Revocations)
	})
}

func TestRevokeTwiceIsOnce(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
		now := time.Now()
		before := now.Add(time.Minute)
		// If a caller makes the same revocation several times, the library stores one revocation.
		// It ends at the latest of the times in Until.
		for _, seconds := range []int{10, 20, 10, 15} {
			harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", Until: now.Add(time.Duration(seconds) * time.Second)})
			harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", IssuedBefore: before, Until: now.Add(time.Second)})
			harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1", IssuedBefore: before.In(time.FixedZone("", 3600)), Until: now.Add(time.Second)})
		}
		require.Equal(t, 2, v.Status().Revocations)
		time.Sleep(20*time.Second - 1)
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
		time.Sleep(time.Nanosecond)
		require.Empty(t, harness.ReasonOf(t, v, token))
		time.Sleep(time.Second)
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Zero(t, v.Status().Revocations)
	})
}

func TestRevocationsAreBounded(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		first := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"jti": "J0"}})
		more := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"jti": "more"}})
		until := time.Now().Add(time.Minute)
		for n := range 100_000 {
			if err := v.Revoke(t.Context(), xenaauth.Revocation{TokenID: fmt.Sprint("J", n), Until: until}); err != nil {
				t.Fatal(n, err)
			}
		}
		require.ErrorIs(t, v.Revoke(t.Context(), xenaauth.Revocation{TokenID: "more"}), xenaauth.ErrRevocationsFull)
		require.Equal(t, 100_000, v.Status().Revocations)
		require.Empty(t, harness.ReasonOf(t, v, more), "the revocation beyond the bound must not be in force")
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, first), "the older revocations must stay in force")
		// The validator already has the largest allowed number of revocations. The revocation of
		// the token id J0 is one of them, so it can be made again.
		harness.Revoke(t, v, xenaauth.Revocation{TokenID: "J0", Until: until})
		time.Sleep(time.Minute)
		harness.Revoke(t, v, xenaauth.Revocation{TokenID: "more"})
		require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, more))
		require.Empty(t, harness.ReasonOf(t, v, first))
		require.Equal(t, 1, v.Status().Revocations)
	})
}

// recordingBus is a RevocationBus that keeps all its messages. A message is a revocation as JSON.
type recordingBus struct {
	mu        sync.Mutex
	sent      []string
	followers []chan string
	fail      error
}

func (b *recordingBus) Publish(_ context.Context, r xenaauth.Revocation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	text, err := json.Marshal(r)
	b.sent = append(b.sent, string(text))
	for _, f := range b.followers {
		f <- string(text)
	}
	return err
}

func (b *recordingBus) Subscribe(ctx context.Context, apply func(xenaauth.Revocation)) error {
	b.mu.Lock()
	if b.fail != nil {
		defer b.mu.Unlock()
		return b.fail
	}
	feed := make(chan string, 1000)
	for _, text := range b.sent {
		feed <- text
	}
	b.followers = append(b.followers, feed)
	b.mu.Unlock()
	for {
		select {
		case text := <-feed:
			var r xenaauth.Revocation
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return err
			}
			apply(r)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *recordingBus) published() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sent)
}

func TestRevocationBus(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		bus := new(recordingBus)
		cfg := issuer.Config()
		cfg.RevocationBus = bus
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 3)
		follow := func() *xenaauth.Validator {
			v := harness.NewValidator(t, cfg)
			go func() { ended <- v.FollowRevocations(ctx) }()
			synctest.Wait()
			return v
		}
		one, two := follow(), follow()
		token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
		other := issuer.JWT(xenaauthtest.Token{Subject: "U2"})
		for _, v := range []*xenaauth.Validator{one, two} {
			require.Empty(t, harness.ReasonOf(t, v, token))
		}
		harness.Revoke(t, one, xenaauth.Revocation{Subject: "U1"})
		harness.Revoke(t, one, xenaauth.Revocation{IssuedBefore: time.Now().Add(-time.Hour + 123)})
		synctest.Wait()
		three := follow() // a new subscriber also gets all messages that the bus sent before
		for _, v := range []*xenaauth.Validator{one, two, three} {
			require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token))
			require.Empty(t, harness.ReasonOf(t, v, other))
			require.Equal(t, 2, v.Status().Revocations, "an instance must count its own message once")
		}
		require.Equal(t, 2, bus.published(), "received revocations must not be published again")
		require.Contains(t, bus.sent[0], `"until":"2000-01-01T01:01:30Z"`, "the message must have the end of the revocation")

		for _, r := range []xenaauth.Revocation{{}, {TokenHash: "x"}, {Subject: "U2", Until: time.Now()}} {
			// Each of these revocations is invalid or has ended, so the instances ignore it.
			require.NoError(t, bus.Publish(ctx, r))
		}
		synctest.Wait()
		require.Equal(t, 2, two.Status().Revocations)
		require.Empty(t, harness.ReasonOf(t, two, other))
		stop()
		for range 3 {
			require.ErrorIs(t, <-ended, context.Canceled)
		}
	})
}

func TestRevocationBusFails(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	broken := errors.New("the broker is away")
	cfg := issuer.Config()
	cfg.RevocationBus = &recordingBus{fail: broken}
	v := harness.NewValidator(t, cfg)
	token := issuer.JWT(xenaauthtest.Token{Subject: "U1"})
	require.ErrorIs(t, v.Revoke(t.Context(), xenaauth.Revocation{Subject: "U1"}), broken)
	require.Equal(t, xenaauth.ReasonRevoked, harness.ReasonOf(t, v, token), "the revocation must be in force on this instance")
	require.ErrorIs(t, v.FollowRevocations(t.Context()), broken)
	require.Error(t, v.Revoke(t.Context(), xenaauth.Revocation{}))
	require.Equal(t, 1, v.Status().Revocations)
	require.Error(t, harness.NewValidator(t, issuer.Config()).FollowRevocations(t.Context()), "FollowRevocations without a bus must fail")
}

func TestFollowRevocationsWhenFull(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		bus := new(recordingBus)
		logged := new(harness.LogRecorder)
		cfg := issuer.Config()
		cfg.RevocationBus, cfg.Logger = bus, slog.New(logged)
		v := harness.NewValidator(t, cfg)
		until := time.Now().Add(time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = v.FollowRevocations(ctx) }()
		synctest.Wait()
		for n := range 100_003 {
			require.NoError(t, bus.Publish(t.Context(), xenaauth.Revocation{TokenID: fmt.Sprint(n), Until: until}))
			if n%500 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		require.Equal(t, 100_000, v.Status().Revocations)
		require.Equal(t, 1, logged.Count(slog.LevelError, "revocations"), "the full instance must be logged exactly once")
	})
}
