package logging_test

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If only some of the calls to an issuer fail, for whatever reason, the log has only a few lines
// about this. The log says how often the issuer failed, and when the issuer works again.
func TestLogOfPartialFailure(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]xenaauthtest.Fault{
		"every other answer is 500":   {{}, {Status: 500}},
		"each answer fails otherwise": {{Status: 500}, {Status: 404}, {Status: 501}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				logged := new(harness.LogRecorder)
				v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) { c.Logger = slog.New(logged) })
				asked := 0
				ask := func(faults ...xenaauthtest.Fault) {
					issuer.Fail(xenaauthtest.Introspection, faults[asked%len(faults)])
					asked++
					_ = harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{}))
					time.Sleep(300 * time.Millisecond)
				}
				for range 1000 { // the loop sends 1000 requests in five minutes of fake time
					ask(faults...)
				}
				require.LessOrEqual(t, len(logged.Lines), 12, "%q", logged.Lines)
				require.GreaterOrEqual(t, len(logged.Lines), 5, "%q", logged.Lines)
				require.GreaterOrEqual(t, logged.Count(slog.LevelWarn, "changes too often"), 4, "%q", logged.Lines)
				if len(faults) == 2 {
					require.Contains(t, logged.Lines[len(logged.Lines)-1], "failures=1", "about a hundred failures in a minute")
				}
				before := len(logged.Lines)
				for range 400 { // the loop sends 400 requests in two minutes of fake time
					ask(xenaauthtest.Fault{})
				}
				require.LessOrEqual(t, len(logged.Lines)-before, 2, "%q", logged.Lines[before:])
				require.Equal(t, 1, logged.Count(slog.LevelInfo, "is back what=introspection calls="), "%q", logged.Lines[before:])
				before = len(logged.Lines)
				for range 10 {
					ask(xenaauthtest.Fault{Status: 500})
				}
				require.Equal(t, before+1, len(logged.Lines), "a change is told at once again: %q", logged.Lines[before:])
			})
		})
	}
}

// In this test, every second call to the issuer fails for some time. After that, every call fails.
// Then the last line of the log says that the issuer fails.
func TestLogOfPartialThenLastingFailure(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		logged := new(harness.LogRecorder)
		v := harness.IntrospectingValidator(t, issuer, func(c *xenaauth.Config) { c.Logger = slog.New(logged) })
		for n := range 400 {
			fault := xenaauthtest.Fault{}
			if n >= 100 || n%2 == 1 {
				fault.Status = 500
			}
			issuer.Fail(xenaauthtest.Introspection, fault)
			_ = harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{}))
			time.Sleep(300 * time.Millisecond)
		}
		last := logged.Lines[len(logged.Lines)-1]
		require.Contains(t, last, "the issuer fails")
		require.Contains(t, last, "500")
	})
}

// Two servers of one issuer may publish different key sets, each with keys that the library cannot
// use. The log has only few lines about these keys.
func TestLogOfSkippedKeys(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		logged := new(harness.LogRecorder)
		cfg := issuer.Config()
		cfg.Logger = slog.New(logged)
		var fetched atomic.Int32
		cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if harness.IsJWKSRequest(r) {
				keys := issuer.JWKS()
				if fetched.Add(1)%2 == 0 {
					keys = append([]byte(`{"keys":[{"kty":"oct","kid":"x","k":"AAAA"},`), keys[len(`{"keys":[`):]...)
				}
				issuer.SetJWKS(keys)
				defer issuer.SetJWKS(nil)
			}
			return next.RoundTrip(r)
		})
		v := harness.NewValidator(t, cfg)
		for n := range 100 {
			_ = harness.ReasonOf(t, v, harness.UnknownKeyToken(issuer, n))
			time.Sleep(1100 * time.Millisecond)
		}
		require.Greater(t, int(fetched.Load()), 50)
		require.GreaterOrEqual(t, logged.Count(slog.LevelWarn, "keys of the issuer are skipped"), 1, "%q", logged.Lines)
		require.LessOrEqual(t, len(logged.Lines), 12, "%q", logged.Lines)
	})
}
