package status_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the issuer rejects the introspection secret of the service, Status shows this, and the service
// is not ready. As soon as a further call shows that the issuer accepts the secret again, the
// service is ready. Here Warm makes this call.
func TestWrongIntrospectionSecretShows(t *testing.T) {
	for name, always := range map[string]bool{"hybrid": false, "every token introspected": true} {
		synctest.Test(t, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(nil)
			cfg := issuer.HybridConfig()
			cfg.AlwaysIntrospect, cfg.Logger = always, slog.New(slog.DiscardHandler)
			v, err := xenaauth.NewValidator(cfg)
			require.NoError(t, err)
			require.NoError(t, v.Warm(t.Context()), name)
			require.True(t, v.Status().Ready, name)
			status := func() (code int, s xenaauth.Status) {
				w := httptest.NewRecorder()
				v.StatusHandler().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
				return w.Code, s
			}

			issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 401})
			_, err = v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
			require.Error(t, err)
			code, s := status()
			require.Equal(t, 503, code, name)
			require.False(t, s.Ready)
			require.Contains(t, s.IntrospectionError, "the issuer refuses our credentials")
			require.NotContains(t, s.IntrospectionError, issuer.APISecret())
			require.ErrorContains(t, v.Warm(t.Context()), "the issuer refuses our credentials", name)

			calls := issuer.Calls(xenaauthtest.Introspection)
			for range 20 {
				require.Error(t, v.Warm(t.Context()))
			}
			require.LessOrEqual(t, issuer.Calls(xenaauthtest.Introspection)-calls, 1, "at most one introspection call in a second")

			issuer.Heal()
			time.Sleep(5 * time.Second)
			require.NoError(t, v.Warm(t.Context()), "Warm must call the endpoint")
			code, s = status()
			require.Equal(t, 200, code)
			require.Empty(t, s.IntrospectionError)
		})
	}
}

// The issuer rejects the introspection secret. Warm can't call the issuer again, because as many
// introspection calls are already running as Introspection.MaxConcurrent allows. So nothing shows
// that the secret was corrected, and the service is still not ready.
func TestBusyIssuerDoesNotAcceptTheSecret(t *testing.T) {
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.Introspection.MaxConcurrent, cfg.Logger = 1, slog.New(slog.DiscardHandler)
		v := harness.NewValidator(t, cfg)
		require.NoError(t, v.Warm(t.Context()))
		issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 401, Delay: time.Second})
		require.Error(t, validateOpaque(t, v, issuer))
		go func() { _ = validateOpaque(t, v, issuer) }()
		synctest.Wait()

		calls := issuer.Calls(xenaauthtest.Introspection)
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorContains(t, v.Warm(impatient), "the issuer refuses our credentials")
		require.False(t, v.Status().Ready)
		require.Equal(t, calls, issuer.Calls(xenaauthtest.Introspection), "Warm made no call")
	})
}

// rejectedSecret returns an issuer that has just rejected the introspection secret, and the Validator
// that sent the secret.
func rejectedSecret(t *testing.T) (*xenaauthtest.Issuer, *xenaauth.Validator) {
	t.Helper()
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	v := harness.NewValidator(t, cfg)
	require.NoError(t, v.Warm(t.Context()))
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 401})
	require.Error(t, validateOpaque(t, v, issuer))
	return issuer, v
}

// The issuer rejects the introspection secret, and the next introspection call fails for another
// reason. This failure does not show that the secret was corrected. So the service is not ready,
// also while the circuit breaker makes no calls. As soon as the issuer accepts the secret, the
// service is ready.
func TestOutageDoesNotAcceptTheSecret(t *testing.T) {
	const retryAfter = 20 * time.Second
	for name, fault := range map[string]xenaauthtest.Fault{
		"status 503": {Status: 503},
		"status 503, Retry-After": {
			Status: 503, Header: http.Header{"Retry-After": {"20"}},
		},
		"timeout":                   {Delay: time.Hour},
		"broken connection":         {Status: 200, Body: "{}", Break: true},
		"status 500":                {Status: 500},
		"page of a proxy":           {Status: 200, Body: "<p>", ContentType: "text/html"},
		"status 400 of a proxy":     {Status: 400, Body: "<p>", ContentType: "text/html"},
		"half of a JSON document":   {Body: `{"active":`},
		"a JSON list":               {Body: `[]`},
		"invalid_client, once more": {Status: 400, Body: `{"error":"invalid_client"}`},
	} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer, v := rejectedSecret(t)
			issuer.Fail(xenaauthtest.Introspection, fault)
			require.Error(t, validateOpaque(t, v, issuer))
			for range 3 {
				require.False(t, v.Status().Ready, name)
				require.ErrorContains(t, v.Warm(t.Context()), "the issuer refuses our credentials", name)
				time.Sleep(2 * time.Second)
			}

			issuer.Heal()
			time.Sleep(retryAfter)
			require.NoError(t, v.Warm(t.Context()), name)
			require.True(t, v.Status().Ready, name)
			require.Empty(t, v.Status().IntrospectionError, name)
		})
	}
}

// The issuer rejected the introspection secret before. Each of these responses shows that the
// issuer accepts the secret now: it has read the request. So the service is ready, even if the
// response can't be used.
func TestResponseAcceptsTheSecret(t *testing.T) {
	for name, fault := range map[string]xenaauthtest.Fault{
		"active":               {},
		"not active":           {Body: `{"active":false}`},
		"unusable claims":      {Body: `{"active":true,"sub":7}`},
		"an error code":        {Status: 400, Body: `{"error":"invalid_request"}`},
		"the token is unknown": {Status: 400, Body: `{"error":"invalid_token"}`},
	} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer, v := rejectedSecret(t)
			require.False(t, v.Status().Ready, name)
			issuer.Fail(xenaauthtest.Introspection, fault)
			_ = validateOpaque(t, v, issuer)
			require.True(t, v.Status().Ready, name)
			require.NoError(t, v.Warm(t.Context()), name)
		})
	}
}

func validateOpaque(t *testing.T, v *xenaauth.Validator, issuer *xenaauthtest.Issuer) error {
	t.Helper()
	_, err := v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
	return err
}

// The introspection endpoint fails for another reason than a wrong secret. Status shows the
// failure. The service stays ready if it can verify JWTs.
func TestFailingIntrospectionShows(t *testing.T) {
	issuer := harness.NewIssuer()
	cfg := issuer.HybridConfig()
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	require.NoError(t, v.Warm(t.Context()))
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 404})
	_, err = v.Validate(t.Context(), issuer.Opaque(xenaauthtest.Token{}))
	require.Error(t, err)
	require.True(t, v.Status().Ready)
	require.NotEmpty(t, v.Status().IntrospectionError)
	require.NoError(t, v.Warm(t.Context()))
}

// Introspection.MaxTokenLength is the longest allowed length of an opaque token. It cannot be more
// than the limit for all tokens. If a token is too long, the error of its refusal names the
// setting.
func TestIntrospectionMaxTokenLength(t *testing.T) {
	issuer := harness.NewIssuer()
	long := "opaque-" + strings.Repeat("x", 1500)
	cfg := issuer.HybridConfig()
	v, err := xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	_, err = v.Validate(t.Context(), long)
	require.EqualError(t, err, "xenaauth: malformed_token: token has 1507 bytes: not a JWT, for which Introspection.MaxTokenLength is 1024")
	require.Zero(t, issuer.Calls(xenaauthtest.Introspection))

	cfg.Introspection.MaxTokenLength = 2000
	v, err = xenaauth.NewValidator(cfg)
	require.NoError(t, err)
	_, err = v.Validate(t.Context(), long)
	require.ErrorContains(t, err, "inactive")
	_, err = v.Validate(t.Context(), strings.Repeat("x", 20000))
	require.EqualError(t, err, "xenaauth: malformed_token: token has 20000 bytes: Config.MaxTokenLength is 16384")

	for length, text := range map[int]string{-1: "is not within 1 and MaxTokenLength, which is 16384", 16385: "is not within"} {
		cfg.Introspection.MaxTokenLength = length
		require.ErrorContains(t, cfg.Validate(), "Config.Introspection.MaxTokenLength "+text)
	}
	cfg.Introspection.MaxTokenLength, cfg.MaxTokenLength = 0, 500
	require.NoError(t, cfg.Validate(), "the default must not exceed Config.MaxTokenLength")
}
