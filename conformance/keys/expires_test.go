package keys_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// If the field Cache-Control of a response for the key set does not say how long the key set is
// fresh, the field Expires says it. The library compares Expires with the field Date of the same
// response.
func TestFreshnessByExpires(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) func() string {
		return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	text := func(s string) func() string { return func() string { return s } }
	for _, c := range []struct {
		name          string
		date, expires func() string
		control, age  string
		lifetime      time.Duration
	}{
		{"an hour", at(0), at(time.Hour), "", "", time.Hour},
		{"no Date", text(""), at(time.Hour), "", "", time.Hour},
		{"the issuer's clock is a day ahead", at(24 * time.Hour), at(25 * time.Hour), "", "", time.Hour},
		{"the issuer's clock is a day behind", at(-24 * time.Hour), at(-23 * time.Hour), "", "", time.Hour},
		{"with Age", at(-30 * time.Minute), at(30 * time.Minute), "", "1800", 30 * time.Minute},
		{"past", at(0), at(-time.Hour), "", "", time.Minute},
		{"0", at(0), text("0"), "", "", time.Minute},
		{"far", at(0), text("Fri, 31 Dec 9999 23:59:59 GMT"), "", "", 24 * time.Hour},
		{"max-age comes first", at(0), at(-time.Hour), "public, max-age=3600", "", time.Hour},
		{"no-cache comes first", at(0), at(time.Hour), "no-cache", "", time.Minute},
		{"public says no time", at(0), at(time.Hour), "public", "", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				cfg := issuer.Config()
				cfg.MaxKeyAge = 100 * time.Hour
				cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					if err == nil {
						for name, value := range map[string]string{
							"Date": c.date(), "Expires": c.expires(), "Cache-Control": c.control, "Age": c.age,
						} {
							resp.Header.Del(name)
							if value != "" {
								resp.Header.Set(name, value)
							}
						}
					}
					return resp, err
				})
				v := harness.NewValidator(t, cfg)
				harness.ValidateNewToken(t, v, issuer)
				time.Sleep(c.lifetime * 71 / 100)
				harness.ValidateNewToken(t, v, issuer)
				require.Equal(t, 1, issuer.Calls(xenaauthtest.JWKS), "too early")
				time.Sleep(c.lifetime * 18 / 100)
				harness.ValidateNewToken(t, v, issuer)
				time.Sleep(time.Second)
				require.Equal(t, 2, issuer.Calls(xenaauthtest.JWKS), "due")
			})
		})
	}
}
