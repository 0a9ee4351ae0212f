package keys_test

import (
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

func TestMovedKeySetIsFound(t *testing.T) {
	t.Parallel()
	for _, abandon := range []bool{true, false} {
		// The variable metadataAge is the age of the metadata when the issuer moves the key set to
		// another address. If the old address still serves keys, the library fetches the metadata
		// again only when they are at least a minute old. Until then, the library does not know the
		// new address, and refuses tokens with a new key.
		for _, metadataAge := range []time.Duration{5 * time.Minute, time.Minute, 30 * time.Second, 2 * time.Second} {
			t.Run(fmt.Sprint("abandoned ", abandon, "/", metadataAge), func(t *testing.T) {
				t.Parallel()
				harness.FakeTime(t, func(t *testing.T) {
					issuer := &harness.MovedIssuer{Issuer: harness.NewIssuer()}
					cfg := issuer.Config()
					cfg.HTTPClient = issuer.HTTPClient()
					v := harness.NewValidator(t, cfg)
					known := issuer.JWT(xenaauthtest.Token{})
					require.Empty(t, harness.ReasonOf(t, v, known))
					time.Sleep(metadataAge)
					issuer.Move(t, abandon)
					require.Empty(t, harness.ReasonOf(t, v, known))
					issuer.Rotate()
					if abandon || metadataAge >= time.Minute {
						require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})), "the first token of a new key must pass")
						require.Equal(t, 2, v.Status().Keys)
						return
					}
					require.Equal(t, xenaauth.ReasonUnknownKey, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
					time.Sleep(time.Minute)
					require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
				})
			})
		}
	}
}

// The issuer moves the key set to another address, and no token with a new key arrives. In this
// case the library notices the move at the next scheduled fetch of the keys. If the old address
// responds slowly, the library refreshes the metadata while it waits for the response.
func TestMovedKeySetIsFollowedByRefresh(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		abandon, delay := n%2 == 0, time.Duration(n/2)*300*time.Millisecond
		harness.FakeTime(t, func(t *testing.T) {
			issuer := &harness.MovedIssuer{Issuer: harness.NewIssuer(), OldDelay: delay}
			logged := new(harness.LogRecorder)
			cfg := issuer.Config()
			cfg.HTTPClient, cfg.Logger = issuer.HTTPClient(), slog.New(logged)
			v := harness.NewValidator(t, cfg)
			harness.ValidateNewToken(t, v, issuer.Issuer)
			issuer.Move(t, abandon)
			issuer.Rotate()
			issuer.Retire()
			for range 5 {
				time.Sleep(14 * time.Minute)
				require.NoError(t, v.Warm(t.Context()))
			}
			time.Sleep(10 * time.Second)
			require.Empty(t, v.Status().JWKS.LastError)
			harness.ValidateNewToken(t, v, issuer.Issuer)
			require.Zero(t, logged.Count(slog.LevelError, ""), "%v", logged.Lines)
		})
	}
}

// The library fetches the metadata and the keys of an issuer. unusableResponses lists responses to
// these fetches that the library must reject. The field errorText is a part of the error that
// Status shows after the rejection.
func unusableResponses(issuer *xenaauthtest.Issuer) map[string]struct {
	endpoint  xenaauthtest.Endpoint
	fault     xenaauthtest.Fault
	errorText string
} {
	type row = struct {
		endpoint  xenaauthtest.Endpoint
		fault     xenaauthtest.Fault
		errorText string
	}
	const meta, keys = xenaauthtest.Metadata, xenaauthtest.JWKS
	elsewhere := http.Header{"Location": {"https://elsewhere.example/"}}
	plainHTTP := http.Header{"Location": {strings.Replace(issuer.URL(), "https:", "http:", 1) + "/elsewhere"}}
	own := func(change string) string {
		return `{"issuer":"` + issuer.URL() + `","jwks_uri":"` + issuer.URL() + `/.well-known/openid-configuration/jwks"` + change + `}`
	}
	return map[string]row{
		"metadata: another issuer's": {meta, xenaauthtest.Fault{Body: `{"issuer":"https://evil.example","jwks_uri":"https://evil.example/jwks"}`}, "issuer is not Config.Issuer"},
		"metadata: no issuer":        {meta, xenaauthtest.Fault{Body: `{}`}, "issuer is not Config.Issuer"},
		"metadata: with a slash":     {meta, xenaauthtest.Fault{Body: `{"issuer":"` + issuer.URL() + `/"}`}, "issuer is not Config.Issuer"},
		"metadata: plain http":       {meta, xenaauthtest.Fault{Body: `{"issuer":"` + issuer.URL() + `","jwks_uri":"http://elsewhere.example/jwks"}`}, "https"},
		"metadata: oversize":         {meta, xenaauthtest.Fault{Body: own(`,"x":"` + strings.Repeat("x", 256<<10) + `"`)}, "longer than"},
		"metadata: a redirect":       {meta, xenaauthtest.Fault{Status: 302, Header: elsewhere}, "redirects are not followed"},
		"metadata: to plain http":    {meta, xenaauthtest.Fault{Status: 302, Header: plainHTTP}, "redirects are not followed"},
		"metadata: HTML":             {meta, xenaauthtest.Fault{Body: own(""), ContentType: "text/html"}, "not JSON"},
		"metadata: no JSON":          {meta, xenaauthtest.Fault{Body: own("")[1:]}, "JSON"},
		"metadata: a name twice":     {meta, xenaauthtest.Fault{Body: own(`,"issuer":"` + issuer.URL() + `"`)}, "JSON"},
		"metadata: cut off":          {meta, xenaauthtest.Fault{Break: true}, "closed early"},
		"metadata: nowhere":          {meta, xenaauthtest.Fault{Status: 404}, "404"},
		"metadata: 500":              {meta, xenaauthtest.Fault{Status: 500}, "500"},
		"key set: oversize":          {keys, xenaauthtest.Fault{Body: `{"keys":[],"x":"` + strings.Repeat("x", 1<<20) + `"}`}, "longer than"},
		"key set: a redirect":        {keys, xenaauthtest.Fault{Status: 307, Header: elsewhere}, "redirects are not followed"},
		"key set: to plain http":     {keys, xenaauthtest.Fault{Status: 308, Header: plainHTTP}, "redirects are not followed"},
		"key set: HTML":              {keys, xenaauthtest.Fault{Body: "<html>" + issuer.URL(), ContentType: "text/html; charset=utf-8"}, "not JSON"},
		"key set: HTML as JSON":      {keys, xenaauthtest.Fault{Body: "<html>"}, "JSON"},
		"key set: empty":             {keys, xenaauthtest.Fault{Body: `{"keys":[]}`}, "no usable key"},
		"key set: none":              {keys, xenaauthtest.Fault{Body: `{}`}, "keys"},
		"key set: no content type":   {keys, xenaauthtest.Fault{Body: `{}`, Header: http.Header{"Content-Type": nil}}, "not JSON"},
		"key set: slow":              {keys, xenaauthtest.Fault{Delay: time.Minute}, "timeout"},
		"key set: unavailable":       {keys, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, "503"},
		"key set: cut off":           {keys, xenaauthtest.Fault{Break: true}, "closed early"},
	}
}

// If the response to a fetch of the metadata or the keys is unusable, the library continues to use
// the last good response. The log has one line when the fetches begin to fail and one line when
// they succeed again.
func TestRefreshRefusesAndKeepsTheLastGood(t *testing.T) {
	t.Parallel()
	for name, c := range unusableResponses(harness.NewIssuer()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				logged := new(harness.LogRecorder)
				// Introspection is configured, so requests with opaque tokens need the metadata.
				// Requests with JWTs need the key set.
				cfg := issuer.HybridConfig()
				cfg.Logger = slog.New(logged)
				v := harness.NewValidator(t, cfg)
				what, _, _ := strings.Cut(name, ":")
				status := func() xenaauth.FetchStatus {
					if what == "metadata" {
						return v.Status().Metadata
					}
					return v.Status().JWKS
				}
				harness.ValidateNewToken(t, v, issuer)
				issuer.Fail(c.endpoint, c.fault)
				time.Sleep(14 * time.Minute)
				fetched := issuer.Calls(c.endpoint)
				for range 200 { // the loop sends one request every half second, for 100 seconds of fake time
					harness.ValidateNewToken(t, v, issuer)
					require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
					time.Sleep(500 * time.Millisecond)
				}
				time.Sleep(10 * time.Second)
				tries := issuer.Calls(c.endpoint) - fetched
				most := 50
				if strings.HasSuffix(name, "slow") {
					// if the issuer does not respond to a fetch, the library sends it again after a
					// second
					most = 110
				}
				require.True(t, tries > 1 && tries <= most, "%d: it is tried again, and not by each request", tries)
				require.Contains(t, status().LastError, c.errorText)
				require.Greater(t, status().Age, 14*time.Minute)
				require.True(t, v.Status().Ready)
				require.Equal(t, 1, logged.Count(slog.LevelError, "what="+what), "%q", logged.Lines)
				require.Zero(t, logged.Count(slog.LevelInfo, "is back"))
				for _, line := range append(logged.Lines, status().LastError) {
					line = harness.WithoutIssuer(line)
					require.NotContains(t, line, "http:")
					require.NotContains(t, line, "https:")
					require.NotContains(t, line, "example")
					require.NotContains(t, line, "xena.biz")
				}

				issuer.Heal()
				for range 3 {
					harness.ValidateNewToken(t, v, issuer)
					require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
					time.Sleep(10 * time.Second)
				}
				require.Empty(t, status().LastError)
				require.Less(t, status().Age, time.Minute)
				require.Equal(t, 1, logged.Count(slog.LevelInfo, "is back what="+what), "%q", logged.Lines)
				require.Equal(t, 1, logged.Count(slog.LevelError, "what="+what))
			})
		})
	}
}

// If the very first fetch of the metadata or the keys gets an unusable response, requests get 503.
func TestFirstFetchRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range unusableResponses(harness.NewIssuer()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.FakeTime(t, func(t *testing.T) {
				issuer := harness.NewIssuer()
				v := harness.NewValidator(t, issuer.Config())
				issuer.Fail(c.endpoint, c.fault)
				_, err := v.Validate(t.Context(), issuer.JWT(xenaauthtest.Token{}))
				var e *xenaauth.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
				require.NotContains(t, err.Error(), "example")
				if c.fault.Status == 503 {
					require.Equal(t, 7*time.Second, e.RetryAfter)
				}
				require.False(t, v.Status().Ready)
				issuer.Heal()
				time.Sleep(time.Minute)
				harness.ValidateNewToken(t, v, issuer)
			})
		})
	}
}

// If the issuer answers with a redirect to another host, or to plain http on its own host, the
// library does not follow it. Every request goes to the host of the issuer by https.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		strayed := 0
		cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.URL.Host != "login.xena.biz" || r.URL.Scheme != "https" {
				strayed++
			}
			return next.RoundTrip(r)
		})
		v := harness.NewValidator(t, cfg)
		require.NoError(t, v.Warm(t.Context()))
		for _, location := range []string{"https://elsewhere.example/", "http://login.xena.biz/"} {
			for _, status := range []int{301, 302, 303, 307, 308} {
				issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: status, Header: http.Header{"Location": {location}}})
				require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
				time.Sleep(15 * time.Minute)
				harness.ValidateNewToken(t, v, issuer)
			}
		}
		require.Zero(t, strayed)
	})
}

// During an outage of the issuer, the log has one line for each kind of failure. When the issuer
// works again, the log has one more line.
func TestLogOfAnOutageThatChanges(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		logged := new(harness.LogRecorder)
		cfg := issuer.HybridConfig()
		cfg.Logger = slog.New(logged)
		v := harness.NewValidator(t, cfg)
		require.NoError(t, v.Warm(t.Context()))
		ask := func() {
			for range 10 {
				require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
			}
			time.Sleep(2 * time.Second)
		}
		for n, fault := range []xenaauthtest.Fault{{Status: 500}, {Status: 503}, {Status: 401}} {
			issuer.Fail(xenaauthtest.Introspection, fault)
			ask()
			ask()
			require.Equal(t, n+1, logged.Count(slog.LevelError, "what=introspection"), "%q", logged.Lines)
		}
		require.Equal(t, 1, logged.Count(slog.LevelError, "refuses our credentials"))
		issuer.Heal()
		for range 3 {
			require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		}
		require.Equal(t, 1, logged.Count(slog.LevelInfo, "is back what=introspection"))
		require.Len(t, logged.Lines, 4)
	})
}

// endlessBody is a response body that never ends.
type endlessBody struct{ read *int }

func (e endlessBody) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	*e.read += len(p)
	if *e.read > 16<<20 {
		// The library must stop reading a response long before 16 MiB. If it does not, this error
		// ends the endless body, so that the test fails and does not run forever.
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}

func (endlessBody) Close() error { return nil }

// The library stops reading a response of the issuer when it has read the largest allowed length.
func TestEndlessResponses(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*http.Request) bool{
		"metadata":      func(r *http.Request) bool { return r.Method == http.MethodGet && !harness.IsJWKSRequest(r) },
		"key set":       harness.IsJWKSRequest,
		"introspection": func(r *http.Request) bool { return r.Method == http.MethodPost },
	} {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		read := 0
		cfg.HTTPClient = harness.Intercept(issuer, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && of(r) {
				resp.Body = endlessBody{&read}
			}
			return resp, err
		})
		v := harness.NewValidator(t, cfg)
		token := issuer.JWT(xenaauthtest.Token{})
		if name == "introspection" {
			token = issuer.Opaque(xenaauthtest.Token{})
		}
		e := harness.ErrorOf(t, v, t.Context(), token)
		require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
		require.Contains(t, e.Error(), "longer than", name)
		require.LessOrEqual(t, read, 2<<20, name)
	}
}
