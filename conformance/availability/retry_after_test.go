package availability_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// After the issuer has sent a response with Retry-After, the library does not call the issuer until
// the time in Retry-After has passed. Until then the library refuses tokens that it can't check
// without a call, and the refusals have the rest of this time in their own field Retry-After.
func TestRetryAfterIsRespected(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		for _, opaque := range []bool{false, true} {
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.HybridConfig()
				cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
				a := harness.Mount(t, cfg)
				token := func() string {
					if opaque {
						return issuer.Opaque(xenaauthtest.Token{})
					}
					return issuer.JWT(xenaauthtest.Token{})
				}
				issuer.Fail(xenaauthtest.All, harness.RetryAfter(status, 30))
				began := time.Now()
				for time.Since(began) < 30*time.Second {
					got := a.Get(t, token())
					require.Equal(t, 503, got.Status)
					left := 30 - int(time.Since(began)/time.Second)
					require.Equal(t, strconv.Itoa(left), got.Header.Get("Retry-After"), "after %v", time.Since(began))
					time.Sleep(500 * time.Millisecond)
				}
				require.Equal(t, 1, issuer.Calls(xenaauthtest.All), "status %d: the first call", status)
				issuer.Heal()
				require.Equal(t, 200, a.Get(t, token()).Status)
			})
		}
	}
}

// If the response to a fetch of the key set has Retry-After, the library delays the next fetch.
// Until then a token with a new key gets 503. Tokens with a known key still pass.
func TestRetryAfterOfTheKeySet(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		a := harness.Mount(t, issuer.Config())
		require.Equal(t, 200, a.Get(t, issuer.JWT(xenaauthtest.Token{})).Status)
		old := make([]string, 100)
		for n := range old {
			old[n] = issuer.JWT(xenaauthtest.Token{})
		}
		issuer.ResetCalls()
		issuer.Fail(xenaauthtest.JWKS, harness.RetryAfter(429, 30))
		issuer.Rotate()
		rotated := issuer.JWT(xenaauthtest.Token{})
		time.Sleep(5 * time.Second)
		for n := range 100 {
			got := a.Get(t, rotated)
			require.Equal(t, 503, got.Status)
			require.Equal(t, 200, a.Get(t, old[n]).Status)
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS))
		issuer.Heal()
		time.Sleep(20 * time.Second)
		require.Equal(t, 200, a.Get(t, rotated).Status)
	})
}

// The library obeys a Retry-After for at most a minute: if Retry-After is a day, it calls the
// issuer once after a minute.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.IntrospectingValidator(t, issuer, nil)
		issuer.Fail(xenaauthtest.Introspection, harness.RetryAfter(503, 86400))
		for minute := range 5 {
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() { _, _ = v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{})) })
			}
			all.Wait()
			// The calls of minute 0 began before the issuer sent its first Retry-After.
			if minute > 0 {
				require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), "minute %d", minute)
			}
			issuer.ResetCalls()
			time.Sleep(time.Minute + time.Millisecond)
		}
	})
}

// When a service has just started, requests wait for a slow issuer. They are not refused.
func TestColdStartWithSlowIssuer(t *testing.T) {
	t.Parallel()
	for _, metadata := range []bool{false, true} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{OAuthMetadataOnly: metadata})
			issuer.Slow(3100 * time.Millisecond)
			a := harness.Mount(t, issuer.Config())
			token := issuer.JWT(xenaauthtest.Token{})
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if got := a.Get(t, token); got.Status != 200 {
						t.Error(got.Status, got.Body)
					}
				})
			}
			all.Wait()
			calls := 2
			if metadata {
				calls = 3
			}
			require.GreaterOrEqual(t, issuer.Calls(xenaauthtest.All), calls)
		})
	}
}

// If the issuer answers every call with an error, the library calls it rarely, whatever the error
// is. The refusals to the clients of the API have Retry-After.
func TestFailingIssuerGetsFewCalls(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]xenaauthtest.Fault{
		"500":               {Status: 500},
		"wrong credentials": {Status: 401},
		"forbidden":         {Status: 403},
		"not found":         {Status: 404},
		"a page":            {Body: "<html>", ContentType: "text/html"},
		"no JSON":           {Body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.HybridConfig()
				cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
				a := harness.Mount(t, cfg)
				used := make([]string, 100)
				for n := range used {
					used[n] = issuer.Opaque(xenaauthtest.Token{})
					require.Equal(t, 200, a.Get(t, used[n]).Status)
				}
				// by now the cached introspection responses are too old to be used
				time.Sleep(2 * time.Minute)
				issuer.Fail(xenaauthtest.Introspection, fault)
				ask := func(token string, seconds int) int {
					issuer.ResetCalls()
					for range 100 * seconds {
						got := a.Get(t, token)
						require.Equal(t, 503, got.Status)
						require.Equal(t, "1", got.Header.Get("Retry-After"))
						time.Sleep(10 * time.Millisecond)
					}
					return issuer.Calls(xenaauthtest.Introspection)
				}
				for _, token := range []string{issuer.Opaque(xenaauthtest.Token{}), used[0]} {
					ask(token, 1)
					require.LessOrEqual(t, ask(token, 10), 50, "at most 50 calls for 1000 requests in 10 s")
				}
				issuer.Heal()
				time.Sleep(200 * time.Millisecond)
				for range 100 {
					require.Equal(t, 200, a.Get(t, issuer.Opaque(xenaauthtest.Token{})).Status)
				}
			})
		})
	}
}

// An issuer that rejects a token as malformed is working, so the library does not treat the
// response as an outage. Malformed tokens do not delay other tokens.
func TestMalformedTokensDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 413, 422} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			cfg := issuer.HybridConfig()
			cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
			cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if err := r.ParseForm(); err != nil {
					return nil, err
				}
				if strings.HasPrefix(r.PostForm.Get("token"), "stranger") {
					body := io.NopCloser(strings.NewReader(`{"error":"invalid_request"}`))
					header := http.Header{"Content-Type": {"application/json"}}
					return &http.Response{StatusCode: status, Header: header, Body: body, Request: r}, nil
				}
				r.Body = io.NopCloser(strings.NewReader(r.PostForm.Encode()))
				return next.RoundTrip(r)
			})
			a := harness.Mount(t, cfg)
			for n := range 5000 {
				require.Equal(t, 503, a.Get(t, "stranger"+strconv.Itoa(n)).Status)
				time.Sleep(time.Millisecond)
				if n%1100 == 1099 {
					require.Equal(t, 200, a.Get(t, issuer.Opaque(xenaauthtest.Token{})).Status)
				}
			}
		})
	}
}

// The tokens of one client make the issuer fail, so the library calls the issuer rarely. For this
// reason, the library may refuse another token that it has not seen before. It does not refuse a
// token if the issuer reported it as active before. As soon as the issuer has sent a good response,
// all other tokens pass too.
func TestFailingTokensDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		var strange sync.Map
		cfg := issuer.HybridConfig()
		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			if _, bad := strange.Load(r.PostForm.Get("token")); bad {
				return &http.Response{StatusCode: 500, Body: http.NoBody, Request: r}, nil
			}
			r.Body = io.NopCloser(strings.NewReader(r.PostForm.Encode()))
			return next.RoundTrip(r)
		})
		a := harness.Mount(t, cfg)
		used := issuer.Opaque(xenaauthtest.Token{})
		require.Equal(t, 200, a.Get(t, used).Status)
		time.Sleep(2 * time.Minute)
		over := make(chan struct{})
		var flood sync.WaitGroup
		flood.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-time.After(10 * time.Millisecond):
				}
				token := "stranger" + strconv.Itoa(n)
				strange.Store(token, true)
				a.Get(t, token)
			}
		})
		// While the issuer fails, the library allows a call to the issuer only from time to time.
		// The first new token that arrives then uses this call. The flood sends a token every 10
		// ms, and the Sleep below ends between two of these tokens. So a token of the flood has
		// already used the latest call, and the library refuses the new token below.
		time.Sleep(5005 * time.Millisecond)
		refused := a.Get(t, issuer.Opaque(xenaauthtest.Token{}))
		require.Equal(t, 503, refused.Status, "a new token")
		require.Equal(t, "1", refused.Header.Get("Retry-After"))
		require.Equal(t, 200, a.Get(t, used).Status, "a token in use")
		for range 20 { // the good responses to these tokens keep the library calling the issuer
			require.Equal(t, 200, a.Get(t, issuer.Opaque(xenaauthtest.Token{})).Status)
			time.Sleep(500 * time.Millisecond)
		}
		close(over)
		flood.Wait()
	})
}
