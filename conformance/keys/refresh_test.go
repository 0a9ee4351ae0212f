package keys_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The caching header fields of a response say for how long the metadata or the key set are fresh.
// When 72 % to 88 % of this time are over, the next request starts a fetch in the background. No
// request waits for this fetch.
func TestRefreshAheadOfExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cacheControl, age string
		lifetime          time.Duration
	}{
		{"", "", 15 * time.Minute},
		{"public", "", 15 * time.Minute},
		{"max-age=600", "", 10 * time.Minute},
		{"public, Max-Age=3600, must-revalidate", "", time.Hour},
		{`max-age="1800"`, "", 30 * time.Minute},
		{"max-age=3600", "1800", 30 * time.Minute},
		{"max-age=3600", "7200", time.Minute},
		{"max-age=3600", "9223372036854775807", time.Minute},
		{"max-age=3600", "99999999999999999999", time.Minute},
		{"max-age=3600", "-5", time.Hour},
		{"max-age=3600", "soon", time.Hour},
		{"max-age=99999999999999999999", "", 24 * time.Hour},
		{"max-age=600, max-age=3600", "", 10 * time.Minute},
		{"max-age=5", "", time.Minute},
		{"max-age=0", "", time.Minute},
		{"no-store", "", time.Minute},
		{"no-cache", "", time.Minute},
		{"no-cache, max-age=3600", "", time.Minute},
		{"max-age=3600, no-cache", "", time.Minute},
		{"max-age=999999", "", 24 * time.Hour},
		{"max-age=99999999999", "", 24 * time.Hour},
		{"max-age=soon", "", 15 * time.Minute},
		{"s-maxage=60", "", 15 * time.Minute},
	} {
		t.Run(c.cacheControl+" "+c.age, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				issuer.SetCacheControl(c.cacheControl)
				cfg := issuer.Config()
				cfg.MaxKeyAge = 100 * time.Hour
				cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					if err == nil && c.age != "" {
						resp.Header.Set("Age", c.age)
					}
					return resp, err
				})
				v := harness.NewValidator(t, cfg)
				harness.ValidateNewToken(t, v, issuer)
				issuer.Slow(800 * time.Millisecond)
				for n := 1; n < 4; n++ {
					require.Equal(t, n, issuer.Calls(xenaauthtest.JWKS))
					require.Equal(t, n, issuer.Calls(xenaauthtest.Metadata))
					time.Sleep(c.lifetime*71/100 - 5*time.Second)
					harness.ValidateNewToken(t, v, issuer)
					require.Equal(t, n, issuer.Calls(xenaauthtest.JWKS), "too early")
					time.Sleep(c.lifetime*18/100 + 5*time.Second)
					before := time.Now()
					harness.ValidateNewToken(t, v, issuer)
					require.Equal(t, before, time.Now(), "no request may wait for a refresh")
					// first the metadata are fetched, and then the key set; each of the two fetches
					// takes nearly a second
					time.Sleep(5 * time.Second)
					require.Equal(t, n+1, issuer.Calls(xenaauthtest.JWKS), "due")
					require.Less(t, v.Status().JWKS.Age, 10*time.Second)
				}
			})
		})
	}
}

func TestRefreshOnlyOnDemand(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		var validators []*xenaauth.Validator
		for range 20 {
			v := harness.NewValidator(t, issuer.Config())
			require.NoError(t, v.Warm(t.Context()))
			validators = append(validators, v)
		}
		issuer.ResetCalls()
		time.Sleep(12 * time.Minute)
		require.Zero(t, issuer.Calls(xenaauthtest.All), "an idle validator must not call the issuer")
		for _, v := range validators {
			harness.ValidateNewToken(t, v, issuer)
			harness.ValidateNewToken(t, v, issuer)
		}
		n := issuer.Calls(xenaauthtest.JWKS)
		require.True(t, n > 0 && n < 20, "instances that started together don't all ask together: %d", n)
	})
}

// etagIssuer changes the responses of an issuer to requests for the key set. It adds an ETag to
// each response. If the field If-None-Match of a request contains this ETag, it responds with
// status 304.
type etagIssuer struct {
	fresh, unchanged int
	keySetRequests   []http.Header // the header fields of the requests for the key set
	cacheControl     string        // the field Cache-Control of a response with status 304
}

func (e *etagIssuer) client(issuer *xenaauthtest.Issuer) *http.Client {
	return harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil || !harness.IsJWKSRequest(r) || resp.StatusCode != 200 {
			return resp, err
		}
		e.keySetRequests = append(e.keySetRequests, r.Header.Clone())
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		etag := `W/"` + hex.EncodeToString(sum[:4]) + `"`
		resp.Header.Set("Etag", etag)
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
		e.fresh++
		if r.Header.Get("If-None-Match") == etag {
			e.fresh--
			e.unchanged++
			resp.StatusCode, resp.Body, resp.ContentLength = 304, http.NoBody, 0
			resp.Header.Del("Content-Type")
			resp.Header.Set("Cache-Control", e.cacheControl)
		}
		return resp, nil
	})
}

func TestRefreshUnchanged(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		between := &etagIssuer{cacheControl: "max-age=3600"}
		cfg := issuer.Config()
		cfg.HTTPClient = between.client(issuer)
		v := harness.NewValidator(t, cfg)
		known := issuer.JWT(xenaauthtest.Token{})
		require.Empty(t, harness.ReasonOf(t, v, known))
		require.Empty(t, between.keySetRequests[0].Get("If-None-Match"))
		require.Empty(t, between.keySetRequests[0].Get("Cache-Control"), "the first fetch must allow caches")
		time.Sleep(14 * time.Minute)
		harness.ValidateNewToken(t, v, issuer)
		require.Equal(t, 1, between.unchanged)
		require.Empty(t, between.keySetRequests[1].Get("Cache-Control"))
		require.Zero(t, v.Status().JWKS.Age, "after 304 the age of the key set must be 0")
		require.Empty(t, v.Status().JWKS.LastError)
		require.Empty(t, harness.ReasonOf(t, v, known))
		require.Equal(t, 1, v.Status().Keys)
		time.Sleep(40 * time.Minute)
		harness.ValidateNewToken(t, v, issuer)
		require.Len(t, between.keySetRequests, 2, "the lifetime must be the one of the 304 response")

		stranger := harness.NewSigner(t, "K9")
		token := stranger.JWT(t, map[string]any{"alg": "ES256", "kid": "K9", "typ": "at+jwt"}, issuer.Claims(xenaauthtest.Token{}))
		require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, token))
		require.Len(t, between.keySetRequests, 3)
		require.Equal(t, "no-cache", between.keySetRequests[2].Get("Cache-Control"), "a fetch for an unknown key must bypass caches")
		require.NotEmpty(t, between.keySetRequests[2].Get("If-None-Match"))
		harness.ValidateNewToken(t, v, issuer)

		time.Sleep(time.Minute)
		issuer.Rotate()
		harness.ValidateNewToken(t, v, issuer)
		require.Equal(t, 2, between.fresh)
		require.Equal(t, 2, v.Status().Keys)
	})
}

// A fetch of the key set that was sent without If-None-Match must not get status 304. If it does,
// the fetch has failed.
func TestRefreshUnexpectedNotModified(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		issuer.Fail(xenaauthtest.JWKS, xenaauthtest.Fault{Status: 304, Header: http.Header{"Etag": {`"x"`}}})
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		issuer.Heal()
		time.Sleep(time.Second)
		harness.ValidateNewToken(t, v, issuer)
		issuer.Fail(xenaauthtest.JWKS, xenaauthtest.Fault{Status: 304})
		time.Sleep(14 * time.Minute)
		harness.ValidateNewToken(t, v, issuer)
		require.Equal(t, 14*time.Minute, v.Status().JWKS.Age)
		require.Contains(t, v.Status().JWKS.LastError, "304")
	})
}

func TestBadKeysSpoilNoOthers(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		logged := new(harness.LogRecorder)
		cfg := issuer.Config()
		cfg.Logger = slog.New(logged)
		v := harness.NewValidator(t, cfg)
		good := harness.Published(t, issuer)[0]
		harness.Publish(t, issuer,
			map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}, map[string]any{"kty": "post-quantum", "kid": "2"},
			map[string]any{}, harness.With(good, map[string]any{"x": "AAAA", "kid": "3"}), map[string]any{"kty": 1},
			harness.With(good, map[string]any{"use": "enc", "kid": "4"}), map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "5"},
			good)
		for range 3 {
			harness.ValidateNewToken(t, v, issuer)
			time.Sleep(20 * time.Minute)
		}
		require.Equal(t, 3, issuer.Calls(xenaauthtest.JWKS))
		require.Equal(t, 1, v.Status().Keys)
		require.Equal(t, 1, logged.Count(slog.LevelWarn, "skipped"), "once, and not for each fetch: %q", logged.Lines)
		require.Zero(t, logged.Count(slog.LevelError, ""))
		harness.Publish(t, issuer, map[string]any{"kty": "oct", "k": "c2VjcmV0"})
		harness.ValidateNewToken(t, v, issuer)
		harness.ValidateNewToken(t, v, issuer)
		require.Equal(t, 1, v.Status().Keys, "a set without a usable key must not replace the old set")
		require.Contains(t, v.Status().JWKS.LastError, "no usable key")
	})
}

func TestMaxKeyAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want time.Duration }{{0, 24 * time.Hour}, {time.Hour, time.Hour}} {
		t.Run(fmt.Sprint(c.want), func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.Config()
				cfg.MaxKeyAge, cfg.AllowAnyLifetime = c.set, true
				v := harness.NewValidator(t, cfg)
				known := issuer.JWT(xenaauthtest.Token{Lifetime: 100 * time.Hour})
				require.Empty(t, harness.ReasonOf(t, v, known))
				issuer.Down()
				for end := time.Now().Add(c.want); time.Until(end) > time.Minute; time.Sleep(time.Minute) {
					require.Empty(t, harness.ReasonOf(t, v, known))
				}
				time.Sleep(time.Minute - 1)
				harness.ValidateNewToken(t, v, issuer)
				require.True(t, v.Status().Ready)
				time.Sleep(time.Nanosecond)
				require.False(t, v.Status().Ready)
				require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, known))
				require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
				issuer.Heal()
				time.Sleep(time.Second)
				require.Empty(t, harness.ReasonOf(t, v, known))
				require.True(t, v.Status().Ready)
			})
		})
	}
}

// The setting MaxKeyAge may be shorter than the time for which the key set is fresh. In this case
// the library fetches the key set again before MaxKeyAge is over. Without this early fetch, all
// requests would wait for a fetch at the end of MaxKeyAge, and would be refused if the issuer
// failed then.
func TestMaxKeyAgeBelowFreshness(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		issuer.SetCacheControl("max-age=86400")
		cfg := issuer.Config()
		cfg.MaxKeyAge = time.Hour
		v := harness.NewValidator(t, cfg)
		harness.ValidateNewToken(t, v, issuer)
		issuer.Slow(time.Second)
		for range 100 {
			time.Sleep(time.Minute)
			before := time.Now()
			harness.ValidateNewToken(t, v, issuer)
			require.Equal(t, before, time.Now(), "no request may wait")
		}
	})
}
