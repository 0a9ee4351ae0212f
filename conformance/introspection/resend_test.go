package introspection_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// jsonResponse returns an HTTP response with a JSON body.
func jsonResponse(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Request: r, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"max-age=60"}},
	}
}

// The issuer may publish new metadata that name another introspection endpoint. The library then no
// longer uses the cached responses of the old endpoint. This is also true for a token that is in
// its table of tokens in use.
func TestCachedResponseOfAnotherEndpoint(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		var moved atomic.Bool
		transport := harness.RoundTripper(func(r *http.Request) (*http.Response, error) {
			switch place := r.URL.Path; {
			case place == "/old":
				return jsonResponse(r, 200, `{"active":true,"sub":"ann","client_id":"app","scope":"testapi"}`), nil
			case place == "/new":
				return jsonResponse(r, 200, `{"active":false}`), nil
			case moved.Load():
				return jsonResponse(r, 200, `{"issuer":"https://issuer.example","introspection_endpoint":"https://issuer.example/new"}`), nil
			}
			return jsonResponse(r, 200, `{"issuer":"https://issuer.example","introspection_endpoint":"https://issuer.example/old"}`), nil
		})
		v := harness.NewValidator(t, xenaauth.Config{
			Issuer: "https://issuer.example", Audiences: []string{"testapi"}, HTTPClient: &http.Client{Transport: transport},
			Introspection: &xenaauth.Introspection{ClientID: "testapi", ClientSecret: "secret", CacheTTL: time.Hour},
		})
		for range 3 {
			require.Empty(t, harness.ReasonOf(t, v, "opaque"))
		}
		moved.Store(true)
		time.Sleep(2 * time.Minute)
		for range 2 {
			require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, "opaque"))
		}
	})
}

// If an introspection call is slow, the library sends it a second time. If the issuer responds to
// the second call with 429, the library uses the response to the first call.
func TestTooManyRequestsForARepeatedCall(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		var calls atomic.Int64
		cfg := issuer.HybridConfig()
		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if calls.Add(1) > 1 {
				return jsonResponse(r, 429, `{}`), nil
			}
			time.Sleep(2 * time.Second)
			return next.RoundTrip(r)
		})
		require.Empty(t, harness.ReasonOf(t, harness.NewValidator(t, cfg), issuer.Opaque(xenaauthtest.Token{})))
		require.Greater(t, calls.Load(), int64(1))
	})
}
