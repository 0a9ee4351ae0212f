package introspection_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strconv"
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

func TestIntrospectionRetries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		fault  xenaauthtest.Fault
		calls  int
		reason xenaauth.Reason
	}{
		{"429", xenaauthtest.Fault{Status: 429}, 1, xenaauth.ReasonUnavailable},
		{"502", xenaauthtest.Fault{Status: 502}, 2, xenaauth.ReasonUnavailable},
		{"503", xenaauthtest.Fault{Status: 503}, 2, xenaauth.ReasonUnavailable},
		{"503, Retry-After", harness.RetryAfter(503, 0), 2, xenaauth.ReasonUnavailable},
		{"504", xenaauthtest.Fault{Status: 504}, 2, xenaauth.ReasonUnavailable},
		{"cut off", xenaauthtest.Fault{Break: true}, 2, xenaauth.ReasonUnavailable},
		{"refused", xenaauthtest.Fault{}, 2, xenaauth.ReasonUnavailable},
		{"500", xenaauthtest.Fault{Status: 500}, 1, xenaauth.ReasonUnavailable},
		{"501", xenaauthtest.Fault{Status: 501}, 1, xenaauth.ReasonUnavailable},
		{"400", xenaauthtest.Fault{Status: 400, Body: `{"error":"invalid_request"}`}, 1, xenaauth.ReasonUnavailable},
		{"400 about the token", xenaauthtest.Fault{Status: 400, Body: `{"error":"unsupported_token_type"}`}, 1, xenaauth.ReasonInactive},
		{"401", xenaauthtest.Fault{Status: 401}, 1, xenaauth.ReasonUnavailable},
		{"403", xenaauthtest.Fault{Status: 403}, 1, xenaauth.ReasonUnavailable},
		{"404", xenaauthtest.Fault{Status: 404}, 1, xenaauth.ReasonUnavailable},
		{"302", xenaauthtest.Fault{Status: 302, Header: http.Header{"Location": {"https://elsewhere.example"}}}, 1, xenaauth.ReasonUnavailable},
		{"HTML", xenaauthtest.Fault{Body: "<html>", ContentType: "text/html"}, 1, xenaauth.ReasonUnavailable},
		{"no JSON", xenaauthtest.Fault{Body: "<html>"}, 1, xenaauth.ReasonUnavailable},
		{"inactive", xenaauthtest.Fault{Body: `{"active":false}`}, 1, xenaauth.ReasonInactive},
		// the library calls the issuer every 0.9 s
		{"slow", xenaauthtest.Fault{Delay: time.Minute}, 6, xenaauth.ReasonUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) { c.Introspection.Timeout = 4900 * time.Millisecond })
				if c.name == "refused" {
					issuer.Down()
				}
				issuer.Fail(xenaauthtest.Introspection, c.fault)
				token := issuer.Opaque(xenaauthtest.Token{})
				require.Equal(t, c.reason, harness.ReasonOf(t, v, token))
				require.Equal(t, c.calls, issuer.Calls(xenaauthtest.Introspection))
				// the library does not cache a failed introspection call, so it calls the issuer
				// again
				if c.reason == xenaauth.ReasonUnavailable {
					issuer.Heal()
					require.Empty(t, harness.ReasonOf(t, v, token))
				}
			})
		})
	}
}

func TestIntrospectionSecondTryHelps(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		tries := 0
		v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) {
			c.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if tries++; tries%2 == 1 {
					return nil, errors.New("reset")
				}
				return next.RoundTrip(r)
			})
		})
		before := time.Now()
		for range 20 { // each round has one failed call and then a successful one
			require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		}
		require.Equal(t, 40, tries)
		require.Less(t, time.Since(before), 20*200*time.Millisecond, "the second call must follow soon")
		require.Equal(t, "closed", v.Status().Introspection)
	})
}

func TestIntrospectionTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want, delay time.Duration }{
		{0, 5 * time.Second, time.Minute},
		{2 * time.Second, 2 * time.Second, time.Minute},
		{10 * time.Second, 10 * time.Second, time.Minute},
		{0, 5 * time.Second, 3 * time.Second}, // Timeout (5 s) ends the second introspection call
		{0, 5 * time.Second, 4990 * time.Millisecond},
	} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			v := harness.IntrospectingValidator(t, issuer, func(c1 *xenaauth.Config) { c1.Introspection.Timeout = c.set })
			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 503, Delay: c.delay})
			before := time.Now()
			require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
			require.Equal(t, c.want, time.Since(before), "%+v", c)
		})
	}
}

// Several requests wait for one introspection call. If the context of a request ends, this request
// returns immediately. The other requests still get the introspection response.
func TestIntrospectionCallerLeaves(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.IntrospectingValidator(t, issuer, nil)
		issuer.Slow(800 * time.Millisecond)
		token := issuer.Opaque(xenaauthtest.Token{})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*150*time.Millisecond)
				defer cancel()
				before := time.Now()
				user, err := v.Validate(ctx, token)
				var e *xenaauth.Error
				if wait := 800 * time.Millisecond; i > 5 {
					if err != nil || user.Subject() != "104711" || time.Since(before) != wait {
						t.Error(i, user, err)
					}
				} else if i < 5 && (!errors.As(err, &e) || e.Reason != xenaauth.ReasonUnavailable ||
					!errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Duration(i+1)*150*time.Millisecond) {
					t.Error(i, user, err, time.Since(before))
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection), "all callers share one introspection call")
		require.Empty(t, harness.ReasonOf(t, v, token))
		require.Equal(t, 1, issuer.Calls(xenaauthtest.Introspection))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // a request whose context has ended is no failure of the issuer
			harness.ErrorOf(t, v, ctx, issuer.Opaque(xenaauthtest.Token{}))
		}
		time.Sleep(10 * time.Second)
		require.Equal(t, "closed", v.Status().Introspection)
	})
}

func TestIntrospectionConcurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want int }{{0, 64}, {3, 3}, {1, 1}} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			var now, most atomic.Int32
			v := harness.IntrospectingValidator(t, issuer, func(cfg *xenaauth.Config) {
				cfg.Introspection.MaxConcurrent = c.set
				cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					n := now.Add(1)
					defer now.Add(-1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					return next.RoundTrip(r)
				})
			})
			issuer.Slow(800 * time.Millisecond)
			var wg sync.WaitGroup
			before := time.Now()
			for range 4 * c.want {
				wg.Go(func() {
					if r := harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})); r != "" {
						t.Error(r)
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, c.want, most.Load())
			require.Equal(t, 3200*time.Millisecond, time.Since(before))
		})
	}
}

// If a request waits longer than Introspection.Timeout before its introspection call can begin, the
// request is refused with ReasonUnavailable, and the response has Retry-After. The issuer gets no
// call for this request.
func TestIntrospectionCrowded(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		stuck := make(chan struct{})
		v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) {
			c.Introspection.MaxConcurrent, c.Introspection.Timeout = 1, 2*time.Second
			c.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				<-stuck // this HTTP client ignores the context of the introspection request
				return next.RoundTrip(r)
			})
		})
		go func() { _, _ = v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{})) }()
		synctest.Wait()
		before := time.Now()
		token := issuer.Opaque(xenaauthtest.Token{})
		e := harness.ErrorOf(t, v, t.Context(), token)
		require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
		require.Contains(t, e.Error(), "too many calls at a time")
		require.Equal(t, 2*time.Second, time.Since(before))
		guarded := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AnyUser())(harness.Teapot)
		w := harness.Send(guarded, t.Context(), http.MethodGet, "Bearer "+token)
		require.Equal(t, 503, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
		close(stuck)
		synctest.Wait()
		require.Empty(t, harness.ReasonOf(t, v, token), "failures must not be cached")
		require.Equal(t, "closed", v.Status().Introspection)
	})
}

func TestIntrospectionBreaker(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.IntrospectingValidator(t, issuer, nil)
		calls := func() int { return issuer.Calls(xenaauthtest.Introspection) }
		refused := func() {
			t.Helper()
			require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		}
		issuer.Down()
		refused()
		refused()
		require.Equal(t, 4, calls())
		require.Equal(t, "closed", v.Status().Introspection)
		issuer.Heal()
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		issuer.Down()
		refused()
		refused()
		require.Equal(t, "closed", v.Status().Introspection, "the breaker counts failures in a row, not in total")
		refused()
		require.Equal(t, "open", v.Status().Introspection)
		require.Equal(t, 10, calls(), "the breaker opens after the fifth failure in a row")
		before := time.Now()
		for range 50 {
			refused()
		}
		require.Equal(t, before, time.Now(), "at once")
		require.Equal(t, 10, calls())
		require.Equal(t, 1, callHalfOpen(t, v, issuer), "a half-open breaker lets one call pass")
		require.Equal(t, "open", v.Status().Introspection)
		issuer.Heal()
		issuer.Slow(800 * time.Millisecond)
		require.Equal(t, 1, callHalfOpen(t, v, issuer))
		require.Equal(t, "closed", v.Status().Introspection)
		issuer.Heal()
		for range 20 {
			require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		}
	})
}

// callHalfOpen waits until the breaker is half-open, validates many tokens at the same time, and
// returns how many of the introspection calls reached the issuer.
func callHalfOpen(t testing.TB, v *xenaauth.Validator, issuer *xenaauthtest.Issuer) int {
	t.Helper()
	time.Sleep(1001 * time.Millisecond)
	require.Equal(t, "half-open", v.Status().Introspection)
	before := issuer.Calls(xenaauthtest.Introspection)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _, _ = v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{})) })
	}
	wg.Wait()
	return issuer.Calls(xenaauthtest.Introspection) - before
}

// The issuer responds to each call, but its responses are unusable, or say that the token is
// inactive. The breaker does not open. Otherwise the tokens of one client could stop the
// introspection of the tokens of other clients.
func TestIntrospectionBreakerStaysClosed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]xenaauthtest.Fault{
		"500":      {Status: 500},
		"401":      {Status: 401},
		"400":      {Status: 400, Body: `{"error":"invalid_request"}`},
		"404":      {Status: 404},
		"HTML":     {Body: "<html>", ContentType: "text/html"},
		"oversize": {Body: fmt.Sprintf(`{"active":true,"x":"%0300000d"}`, 0)},
		"inactive": {Body: `{"active":false}`},
		"no claim": {Body: `{"active":true,"exp":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := harness.NewIssuer()
			v := harness.IntrospectingValidator(t, issuer, nil)
			issuer.Fail(xenaauthtest.Introspection, fault)
			for range 20 {
				require.NotEmpty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
			}
			require.Equal(t, 20, issuer.Calls(xenaauthtest.Introspection))
			require.Equal(t, "closed", v.Status().Introspection)
		})
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, c := range []struct {
			field string
			want  int
		}{
			{"", 1}, {"0", 1}, {"1", 1}, {"7", 7}, {"60", 60}, {"61", 60}, {"100000", 60}, {"9000000000", 60},
			{"-5", 1}, {"soon", 1}, {"1.5", 1}, {"7, 8", 1},
			{date(50 * time.Second), 50}, {date(-time.Hour), 1}, {date(time.Hour), 60},
		} {
			issuer := harness.NewIssuer()
			cfg := issuer.HybridConfig()
			cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
			a := harness.Mount(t, cfg)
			fault := xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {c.field}}}
			issuer.Fail(xenaauthtest.All, fault)
			start := time.Now()
			got := a.Get(t, issuer.Opaque(xenaauthtest.Token{}))
			require.Equal(t, 503, got.Status)
			require.Equal(t, strconv.Itoa(c.want), got.Header.Get("Retry-After"), "%q", c.field)
			require.Less(t, time.Since(start), time.Second)
			// In the test case with 50 s, the issuer sends Retry-After as a date. One of the 50
			// seconds may be over already, so this check leaves the test case out.
			if c.want != 50 {
				got = a.Get(t, issuer.JWT(xenaauthtest.Token{}))
				require.Equal(t, strconv.Itoa(c.want), got.Header.Get("Retry-After"), "%q, for keys", c.field)
			}
			time.Sleep(time.Until(start.Truncate(time.Second)))
		}
	})
}

// If the configured HTTP client panics, only the call that uses it fails: an introspection call or
// a fetch of the keys. The panic must not end the process. The call runs on a goroutine of the
// library, so the HTTP server of the service would not recover from the panic.
func TestIntrospectionClientPanics(t *testing.T) {
	const child = "XENA_TEST_PANIC"
	if os.Getenv(child) == "" {
		t.Parallel()
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestIntrospectionClientPanics$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%.300s", out)
		return
	}
	issuer := harness.NewIssuer()
	v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) {
		c.Logger = slog.New(slog.DiscardHandler)
		c.HTTPClient = harness.Intercept(issuer, func(*http.Request, http.RoundTripper) (*http.Response, error) { panic("out of order") })
	})
	require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})), "the panic must not end the fetching of keys")
	require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
}
