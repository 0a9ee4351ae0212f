package metadata_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// FuzzMetadata makes an issuer serve arbitrary metadata with arbitrary caching header fields. The
// library sends requests to https only, and accepts only metadata whose issuer is the configured
// issuer. It uses the metadata and the key set for at least 40 seconds before it fetches them
// again, and for little more than a day at most, whatever the caching header fields say.
func FuzzMetadata(f *testing.F) {
	const issuerURL = "https://login.example"
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: issuerURL})
	good := `{"issuer":"` + issuerURL + `","jwks_uri":"` + issuerURL + `/keys","introspection_endpoint":"` + issuerURL + `/ask"}`
	f.Add(good, "max-age=3600", "", "", "")
	f.Add(good, "no-store", "0", "0", "1")
	f.Add(good, `max-age="60", s-maxage=1`, "9223372036854775807", "Thu, 01 Jan 1970 00:00:00 GMT", "99999999999999999999")
	f.Add(good, "max-age=9223372036854775807", "-1", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT")
	f.Add(good, "max-age=-1, max-age=5, public", "x", "x", "-1")
	f.Add(`{"issuer":"`+issuerURL+`/","jwks_uri":"`+issuerURL+`/keys"}`, "", "", "", "")
	f.Add(`{"issuer":"`+issuerURL+`","jwks_uri":"http://127.0.0.1/keys"}`, "", "", "", "")
	f.Add(`{"issuer":"`+issuerURL+`","jwks_uri":"//login.example/keys"}`, "", "", "", "")
	f.Add(`{"issuer":"`+issuerURL+`","Jwks_Uri":"https://evil.example/"}`, "", "", "", "")
	f.Add(`{"issuer":null}`, "", "", "", "")
	f.Fuzz(func(t *testing.T, document, cacheControl, age, expires, retryAfter string) {
		harness.FakeTime(t, func(t *testing.T) {
			fields := http.Header{
				"Content-Type": {"application/json"}, "Cache-Control": {cacheControl}, "Age": {age}, "Expires": {expires},
				"Date": {time.Now().UTC().Format(http.TimeFormat)}, "Retry-After": {retryAfter},
			}
			var mu sync.Mutex
			var asked []string
			var failing atomic.Bool
			calls := func() []string {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(asked)
			}
			cfg := issuer.Config()
			cfg.Logger = harness.NoLog
			cfg.HTTPClient = harness.AnsweringClient(func(r *http.Request) (int, http.Header, string) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, r.URL.String())
				switch {
				case failing.Load():
					return 503, fields.Clone(), ""
				case strings.HasPrefix(r.URL.Path, "/.well-known/"):
					return 200, fields.Clone(), document
				}
				return 200, fields.Clone(), string(issuer.JWKS())
			})
			v, err := xenaauth.NewValidator(cfg)
			require.NoError(t, err)
			believed := acceptsNewToken(t, v, issuer)
			for _, u := range calls() {
				require.True(t, strings.HasPrefix(u, "https://"), "%s is asked", u)
			}
			if !believed {
				return
			}
			var told struct {
				Issuer string `json:"issuer"`
			}
			require.NoError(t, json.Unmarshal([]byte(document), &told))
			require.Equal(t, issuerURL, told.Issuer)

			// The library does not fetch the metadata and the key set again within 40 seconds. It
			// does fetch them again within little more than a day.
			n := len(calls())
			time.Sleep(40 * time.Second)
			require.True(t, acceptsNewToken(t, v, issuer))
			require.Len(t, calls(), n, "fetched again within 40 seconds")
			time.Sleep(25 * time.Hour)
			require.True(t, acceptsNewToken(t, v, issuer))
			time.Sleep(time.Minute)
			require.Greater(t, len(calls()), n, "not fetched again for a day")

			// The issuer fails and may send Retry-After. The library fetches the metadata and the
			// key set again within minutes after the time in Retry-After has passed. Until then it
			// uses the keys that it fetched before.
			failing.Store(true)
			time.Sleep(25 * time.Hour)
			acceptsNewToken(t, v, issuer)
			failing.Store(false)
			time.Sleep(10 * time.Minute)
			acceptsNewToken(t, v, issuer)
			time.Sleep(time.Minute)
			require.True(t, acceptsNewToken(t, v, issuer), "the validator does not recover")
		})
	})
}

// acceptsNewToken reports whether the validator v accepts a new token of the issuer. If v refuses
// the token, the reason must be ReasonUnavailable.
func acceptsNewToken(t *testing.T, v *xenaauth.Validator, issuer *xenaauthtest.Issuer) bool {
	t.Helper()
	_, err := v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
	if err == nil {
		return true
	}
	refusal, ok := errors.AsType[*xenaauth.Error](err)
	require.True(t, ok)
	require.Equal(t, xenaauth.ReasonUnavailable, refusal.Reason, "%v", err)
	require.True(t, refusal.RetryAfter >= 0 && refusal.RetryAfter <= time.Minute, "%v", refusal.RetryAfter)
	return false
}
