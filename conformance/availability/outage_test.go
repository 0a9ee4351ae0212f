package availability_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestA1_NoKeysYet(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		require.Zero(t, issuer.Calls(xenaauthtest.All), "NewValidator must not call the issuer")
		issuer.Down()
		for range 3 {
			a.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			a.Refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
		}
		require.Error(t, a.Validator.(*xenaauth.Validator).Warm(t.Context()))
		// The library refuses some tokens, for example expired tokens, before it looks for their
		// key. During an outage of the issuer, these tokens get the same response as at other
		// times.
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
		a.Refuses(t, "eyJ.b.c", xenaauth.ReasonMalformedToken)
		require.Equal(t, 401, a.Do(t, a.Request(t, http.MethodGet)).Status)
		issuer.Heal()
		time.Sleep(2 * time.Second) // after this wait, the library tries again to fetch the keys
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		a.Passes(t, issuer.Opaque(xenaauthtest.Token{}))
		require.NoError(t, a.Validator.(*xenaauth.Validator).Warm(t.Context()))
	})
}

func TestA1_OverARealConnection(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer issuer.Close()
	issuer.Down()
	a := harness.Serve(t, issuer.HybridConfig())
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	a.Refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	issuer.Heal()
	// The two minutes are only a limit: the test continues as soon as a token is accepted.
	require.Eventually(t, func() bool { return a.Get(t, issuer.JWT(xenaauthtest.Token{})).Status == 200 }, 2*time.Minute, 100*time.Millisecond)
}

func TestA2_KnownKeys(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		known := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, known)
		issuer.Down()
		for _, after := range []time.Duration{0, time.Minute, 15 * time.Minute, 3 * time.Hour, 20 * time.Hour} {
			time.Sleep(after)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			a.Refuses(t, issuer.JWT(xenaauthtest.Token{Scopes: []string{"other"}}), xenaauth.ReasonInsufficientScope)
			a.Refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
			token := issuer.JWT(xenaauthtest.Token{})
			a.Refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
		}
		// the token was in the cache of tokens, but the library checks its exp for each request
		a.Refuses(t, known, xenaauth.ReasonExpired)
		time.Sleep(time.Hour)
		known = issuer.JWT(xenaauthtest.Token{})
		// by now the keys are more than 24 hours old
		a.Refuses(t, known, xenaauth.ReasonUnavailable)
		issuer.Heal()
		time.Sleep(6 * time.Second)
		a.Passes(t, known)
	})
}

func TestA2_MaxKeyAge(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.Config()
		cfg.MaxKeyAge = 40 * time.Minute
		a := harness.Mount(t, cfg)
		token := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, token)
		issuer.Down()
		time.Sleep(39 * time.Minute)
		a.Passes(t, token)
		time.Sleep(time.Minute + time.Second)
		// the token is in the cache of tokens, but the key of the token was fetched too long ago
		a.Refuses(t, token, xenaauth.ReasonUnavailable)
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	})
}

func TestA2_FactsOfAWithdrawnKey(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		old := issuer.JWT(xenaauthtest.Token{})
		a.Passes(t, old)
		issuer.Rotate()
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		a.Passes(t, old) // now the library knows the old key and the new key
		issuer.Retire()
		// The library has not fetched the key set again yet, so it still accepts the withdrawn key.
		a.Passes(t, old)
		time.Sleep(20 * time.Minute)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{})) // this token starts a refresh of the key set
		synctest.Wait()
		time.Sleep(2 * time.Second)
		a.Refuses(t, old, xenaauth.ReasonUnknownKey)
	})
}

func TestA2_KeptWhenTheNewSetIsBroken(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		for _, broken := range []string{`{"keys":[]}`, `<html>`, `{"keys":[{"kty":"RSA"}]}`} {
			issuer.SetJWKS([]byte(broken))
			time.Sleep(30 * time.Minute)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			time.Sleep(time.Minute)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		}
	})
}

func TestA3_Rotation(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second, time.Hour} {
		harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			issuer.Rotate()
			issuer.Retire()
			time.Sleep(after)
			issuer.ResetCalls()
			began := time.Now()
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			require.LessOrEqual(t, time.Since(began), time.Second)
			a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
			require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 2)
		})
	}
}

func TestA3_UnknownKey(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		time.Sleep(time.Minute)
		issuer.ResetCalls()
		junk := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": "junk", "x5t": nil}})
		a.Refuses(t, junk, xenaauth.ReasonUnknownKey)
		require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
		issuer.Down()
		time.Sleep(2 * time.Second)
		// during the outage, the library cannot find out whether the issuer has a key with this kid
		a.Refuses(t, junk, xenaauth.ReasonUnavailable)
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Heal()
		time.Sleep(2 * time.Second)
		a.Refuses(t, junk, xenaauth.ReasonUnknownKey)
	})
}

func TestA3_SlowIssuer(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Rotate()
		issuer.Slow(time.Hour)
		time.Sleep(time.Minute)
		began := time.Now()
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
		require.LessOrEqual(t, time.Since(began), 7*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_, err := a.Validator.Validate(ctx, issuer.JWT(xenaauthtest.Token{}))
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}

// Several requests wait for the same fetch of the keys. If the first request is canceled, the fetch
// continues for the other requests.
func TestA3_TheFirstCallerLeaves(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		issuer.Slow(800 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var left, passed atomic.Int64
		wg.Go(func() {
			if _, err := a.Validator.Validate(ctx, issuer.JWT(xenaauthtest.Token{})); errors.Is(err, context.Canceled) {
				left.Add(1)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if _, err := a.Validator.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{})); err == nil {
					passed.Add(1)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		require.EqualValues(t, 1, left.Load())
		require.EqualValues(t, 100, passed.Load())
		require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Metadata))
	})
}

func TestA4_JunkKids(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Rotate() // a token with a new key passes although many bad tokens arrive before it
		answers := make([]*harness.Response, 200)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = a.Get(t, harness.UnknownKeyToken(issuer, i)) })
		}
		synctest.Wait()
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		wg.Wait()
		for _, got := range answers {
			got.IsRefusal(t, xenaauth.ReasonUnknownKey)
		}
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 2)
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 2)
	})
}

func TestA4_OneFetchASecond(t *testing.T) {
	t.Parallel()
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{}))
		var wg sync.WaitGroup
		for i := range 100 { // this loop sends 100 requests within ten seconds of fake time
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				a.Get(t, harness.UnknownKeyToken(issuer, i))
			})
		}
		wg.Wait()
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 13)
		issuer.ResetCalls()
		issuer.Down()
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				a.Get(t, harness.UnknownKeyToken(issuer, i))
			})
		}
		wg.Wait()
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 13)
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 13)
	})
}

func TestA5_RetryAfter(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]string{
		0: "1", -time.Second: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", 2 * time.Minute: "120",
	} {
		a := harness.Guard(harness.ValidatorFunc(func(context.Context, string) (*xenaauth.User, error) {
			return nil, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: after}
		}))
		got := a.Get(t, "x")
		got.IsRefusal(t, xenaauth.ReasonUnavailable)
		require.Equal(t, want, got.Header.Get("Retry-After"))
	}
	for field, want := range map[string]string{
		"7": "7", "0": "1", "-5": "1", "soon": "1", "": "1", "99999999999999999999": "60", "86400": "60", "1.5": "1",
	} {
		for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.Introspection, xenaauthtest.Metadata, xenaauthtest.JWKS} {
			issuer := harness.NewIssuer()
			issuer.Fail(endpoint, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {field}}})
			token := issuer.JWT(xenaauthtest.Token{})
			if endpoint == xenaauthtest.Introspection {
				token = issuer.Opaque(xenaauthtest.Token{})
			}
			got := harness.Serve(t, issuer.HybridConfig()).Get(t, token)
			got.IsRefusal(t, xenaauth.ReasonUnavailable)
			require.Equal(t, want, got.Header.Get("Retry-After"), "%q of %s", field, endpoint)
		}
	}
	harness.WithIssuer(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API) {
		date := time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
		issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {date}}})
		require.Equal(t, "20", a.Get(t, issuer.JWT(xenaauthtest.Token{})).Header.Get("Retry-After"))
	})
}
