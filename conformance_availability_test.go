package xenaauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// outage runs a test in fake time, with an api in front of an issuer that it may take down.
func outage(t *testing.T, f func(t *testing.T, issuer *xenaauthtest.Issuer, a *api)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		issuer := newIssuer()
		f(t, issuer, mount(t, issuer.HybridConfig()))
		time.Sleep(time.Minute) // for a fetch under way to end: the bubble's clock stops with this function
	})
}

func TestA1_NoKeysYet(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		require.Zero(t, issuer.Calls(xenaauthtest.All), "a constructor does no I/O")
		issuer.Down()
		for range 3 {
			a.refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
			a.refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
		}
		require.Error(t, a.validator.(*xenaauth.Validator).Warm(t.Context()))
		// What can be told without keys is told.
		a.refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
		a.refuses(t, "eyJ.b.c", xenaauth.ReasonMalformedToken)
		require.Equal(t, 401, a.do(t, a.request(t, http.MethodGet)).status)
		issuer.Heal()
		time.Sleep(2 * time.Second) // it heals alone
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		a.passes(t, issuer.Opaque(xenaauthtest.Token{}))
		require.NoError(t, a.validator.(*xenaauth.Validator).Warm(t.Context()))
	})
}

func TestA1_OverARealConnection(t *testing.T) {
	t.Parallel()
	issuer := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer issuer.Close()
	issuer.Down()
	a := serve(t, issuer.HybridConfig())
	a.refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	a.refuses(t, issuer.Opaque(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	issuer.Heal()
	require.Eventually(t, func() bool { return a.get(t, issuer.JWT(xenaauthtest.Token{})).status == 200 }, 2*time.Minute, 100*time.Millisecond) // only a mistake is late
}

func TestA2_KnownKeys(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		known := issuer.JWT(xenaauthtest.Token{})
		a.passes(t, known)
		issuer.Down()
		for _, after := range []time.Duration{0, time.Minute, 15 * time.Minute, 3 * time.Hour, 20 * time.Hour} {
			time.Sleep(after)
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
			a.refuses(t, issuer.JWT(xenaauthtest.Token{Scopes: []string{"other"}}), xenaauth.ReasonInsufficientScope)
			a.refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
			token := issuer.JWT(xenaauthtest.Token{})
			a.refuses(t, token[:len(token)-8]+"AAAAAAAA", xenaauth.ReasonSignature)
		}
		a.refuses(t, known, xenaauth.ReasonExpired) // cached facts, but a verdict of now
		time.Sleep(time.Hour)
		known = issuer.JWT(xenaauthtest.Token{})
		a.refuses(t, known, xenaauth.ReasonUnavailable) // 24 hours and more
		issuer.Heal()
		time.Sleep(6 * time.Second)
		a.passes(t, known)
	})
}

func TestA2_MaxKeyAge(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		issuer := newIssuer()
		cfg := issuer.Config()
		cfg.MaxKeyAge = 40 * time.Minute
		a := mount(t, cfg)
		token := issuer.JWT(xenaauthtest.Token{})
		a.passes(t, token)
		issuer.Down()
		time.Sleep(39 * time.Minute)
		a.passes(t, token)
		time.Sleep(time.Minute + time.Second)
		a.refuses(t, token, xenaauth.ReasonUnavailable) // neither known tokens
		a.refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
	})
}

func TestA2_FactsOfAWithdrawnKey(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		old := issuer.JWT(xenaauthtest.Token{})
		a.passes(t, old)
		issuer.Rotate()
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		a.passes(t, old) // both keys are published
		issuer.Retire()
		a.passes(t, old) // not known here yet
		time.Sleep(20 * time.Minute)
		a.passes(t, issuer.JWT(xenaauthtest.Token{})) // this one starts the refresh
		synctest.Wait()
		time.Sleep(2 * time.Second)
		a.refuses(t, old, xenaauth.ReasonUnknownKey)
	})
}

func TestA2_KeptWhenTheNewSetIsBroken(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		for _, broken := range []string{`{"keys":[]}`, `<html>`, `{"keys":[{"kty":"RSA"}]}`} {
			issuer.SetJWKS([]byte(broken))
			time.Sleep(30 * time.Minute)
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
			time.Sleep(time.Minute)
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		}
	})
}

func TestA3_Rotation(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second, time.Hour} {
		outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
			issuer.Rotate()
			issuer.Retire()
			time.Sleep(after)
			issuer.ResetCalls()
			began := time.Now()
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
			require.LessOrEqual(t, time.Since(began), time.Second)
			a.passes(t, issuer.JWT(xenaauthtest.Token{}))
			require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 2)
		})
	}
}

func TestA3_UnknownKey(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		time.Sleep(time.Minute)
		issuer.ResetCalls()
		junk := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"kid": "junk", "x5t": nil}})
		a.refuses(t, junk, xenaauth.ReasonUnknownKey)
		require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
		issuer.Down()
		time.Sleep(2 * time.Second)
		a.refuses(t, junk, xenaauth.ReasonUnavailable) // it could not be asked
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Heal()
		time.Sleep(2 * time.Second)
		a.refuses(t, junk, xenaauth.ReasonUnknownKey)
	})
}

func TestA3_SlowIssuer(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Rotate()
		issuer.Slow(time.Hour)
		time.Sleep(time.Minute)
		began := time.Now()
		a.refuses(t, issuer.JWT(xenaauthtest.Token{}), xenaauth.ReasonUnavailable)
		require.LessOrEqual(t, time.Since(began), 7*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_, err := a.validator.Validate(ctx, issuer.JWT(xenaauthtest.Token{}))
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), time.Second)
	})
}

// A first caller that leaves takes nobody's fetch away.
func TestA3_TheFirstCallerLeaves(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		issuer.Slow(800 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var left, passed atomic.Int64
		wg.Go(func() {
			if _, err := a.validator.Validate(ctx, issuer.JWT(xenaauthtest.Token{})); errors.Is(err, context.Canceled) {
				left.Add(1)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if _, err := a.validator.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{})); err == nil {
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

// junk is a token that names a key of its own, and a user that is not known.
func junk(issuer *xenaauthtest.Issuer, i int) string {
	return issuer.JWT(xenaauthtest.Token{Subject: fmt.Sprint("stranger", i), Header: map[string]any{"kid": fmt.Sprint("junk", i), "x5t": nil}})
}

func TestA4_JunkKids(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		issuer.Rotate() // and the first token of a new key passes amid all that
		answers := make([]*answer, 200)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = a.get(t, junk(issuer, i)) })
		}
		synctest.Wait()
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		wg.Wait()
		for _, got := range answers {
			got.is(t, xenaauth.ReasonUnknownKey)
		}
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 2)
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.Metadata), 2)
	})
}

func TestA4_OneFetchASecond(t *testing.T) {
	t.Parallel()
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		a.passes(t, issuer.JWT(xenaauthtest.Token{}))
		var wg sync.WaitGroup
		for i := range 100 { // ten seconds of it
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				a.get(t, junk(issuer, i))
			})
		}
		wg.Wait()
		require.LessOrEqual(t, issuer.Calls(xenaauthtest.JWKS), 13)
		issuer.ResetCalls()
		issuer.Down()
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				a.get(t, junk(issuer, i))
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
		a := guard(validatorFunc(func(context.Context, string) (*xenaauth.User, error) {
			return nil, &xenaauth.Error{Reason: xenaauth.ReasonUnavailable, RetryAfter: after}
		}))
		got := a.get(t, "x")
		got.is(t, xenaauth.ReasonUnavailable)
		require.Equal(t, want, got.header.Get("Retry-After"))
	}
	for field, want := range map[string]string{
		"7": "7", "0": "1", "-5": "1", "soon": "1", "": "1", "99999999999999999999": "60", "86400": "60", "1.5": "1",
	} {
		for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.Introspection, xenaauthtest.Metadata, xenaauthtest.JWKS} {
			issuer := newIssuer()
			issuer.Fail(endpoint, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {field}}})
			token := issuer.JWT(xenaauthtest.Token{})
			if endpoint == xenaauthtest.Introspection {
				token = issuer.Opaque(xenaauthtest.Token{})
			}
			got := serve(t, issuer.HybridConfig()).get(t, token)
			got.is(t, xenaauth.ReasonUnavailable)
			require.Equal(t, want, got.header.Get("Retry-After"), "%q of %s", field, endpoint)
		}
	}
	outage(t, func(t *testing.T, issuer *xenaauthtest.Issuer, a *api) {
		date := time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
		issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {date}}})
		require.Equal(t, "20", a.get(t, issuer.JWT(xenaauthtest.Token{})).header.Get("Retry-After"))
	})
}
