package status_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestStatusBeforeUse(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	require.Equal(t, xenaauth.Status{Issuer: issuer.URL()}, v.Status())
	hybrid := harness.NewValidator(t, issuer.HybridConfig())
	require.Equal(t, xenaauth.Status{Issuer: issuer.URL(), Introspection: "closed"}, hybrid.Status())
	w := statusResponse(t, v)
	require.Equal(t, 503, w.Code)
	require.Zero(t, issuer.Calls(xenaauthtest.All), "Status must not call the issuer")
}

// statusResponse sends a request to the StatusHandler of a validator and returns the response.
func statusResponse(t testing.TB, v *xenaauth.Validator) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	v.StatusHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/status", nil))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	return w
}

func TestWarm(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.Config())
		start := time.Now()
		require.NoError(t, v.Warm(t.Context()))
		s := v.Status()
		require.True(t, s.Ready)
		require.Equal(t, 1, s.Keys)
		require.True(t, s.JWKS.LastSuccess.Equal(start))
		require.Equal(t, s.JWKS, s.Metadata)
		require.Zero(t, s.JWKS.Age)
		time.Sleep(90 * time.Second)
		require.NoError(t, v.Warm(t.Context()))
		require.Equal(t, 90*time.Second, v.Status().JWKS.Age)
		require.Equal(t, 90*time.Second, v.Status().Metadata.Age)
		require.True(t, v.Status().JWKS.LastSuccess.Equal(start))
		require.Equal(t, 2, issuer.Calls(xenaauthtest.All), "Warm must not fetch again what is there")
		require.Zero(t, issuer.Calls(xenaauthtest.Introspection))
		issuer.Rotate()
		require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
		require.Equal(t, 2, v.Status().Keys)
		require.Equal(t, 200, statusResponse(t, v).Code)
	})
}

func TestWarmFails(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		warm := func(v *xenaauth.Validator) *xenaauth.Error {
			var e *xenaauth.Error
			require.ErrorAs(t, v.Warm(t.Context()), &e)
			require.Equal(t, xenaauth.ReasonUnavailable, e.Reason)
			return e
		}
		v := harness.NewValidator(t, issuer.Config())
		issuer.Fail(xenaauthtest.All, xenaauthtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"9"}}})
		require.Equal(t, 9*time.Second, warm(v).RetryAfter)
		require.Contains(t, v.Status().Metadata.LastError, "503")
		require.Contains(t, v.Status().JWKS.LastError, "503")
		require.Zero(t, v.Status().JWKS.LastSuccess)
		require.Equal(t, 503, statusResponse(t, v).Code)
		issuer.Heal()
		time.Sleep(9 * time.Second) // the time in the Retry-After of the issuer
		require.NoError(t, v.Warm(t.Context()))
		require.Empty(t, v.Status().JWKS.LastError)

		issuer.SetMetadata(harness.JSON(t, map[string]any{"issuer": issuer.URL(), "jwks_uri": issuer.URL() + "/.well-known/openid-configuration/jwks"}))
		// From now on, the metadata of the issuer do not name an introspection endpoint.
		warm(harness.NewValidator(t, issuer.HybridConfig()))
		require.NoError(t, harness.NewValidator(t, issuer.Config()).Warm(t.Context()))
		cfg := issuer.HybridConfig()
		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		require.NoError(t, harness.NewValidator(t, cfg).Warm(t.Context()))

		issuer.Slow(time.Hour)
		before := time.Now()
		warm(harness.NewValidator(t, issuer.Config()))
		require.Less(t, time.Since(before), 7*time.Second, "Warm must not wait for ever")
	})
}

func TestStatusAfterFailure(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.MaxKeyAge = time.Hour
		v := harness.NewValidator(t, cfg)
		harness.ValidateNewToken(t, v, issuer)
		issuer.Down()
		time.Sleep(15 * time.Minute)
		harness.ValidateNewToken(t, v, issuer)
		s := v.Status()
		require.Equal(t, "key set: connection refused", s.JWKS.LastError)
		require.Equal(t, "metadata: connection refused", s.Metadata.LastError)
		require.Equal(t, 15*time.Minute, s.JWKS.Age)
		require.True(t, s.Ready)
		time.Sleep(45 * time.Minute)
		require.False(t, v.Status().Ready)
		require.Equal(t, 503, statusResponse(t, v).Code)
		issuer.Heal()
		require.NoError(t, v.Warm(t.Context()))
		require.True(t, v.Status().Ready)
		require.Empty(t, v.Status().JWKS.LastError)
		require.Empty(t, v.Status().Metadata.LastError)

		// If DNS does not know a host, the error of the lookup contains the name of the host.
		// Status must not show this name.
		issuer.SetMetadata(harness.JSON(t, map[string]any{"issuer": issuer.URL(), "jwks_uri": "https://elsewhere.example/jwks"}))
		other := harness.NewValidator(t, issuer.Config())
		require.Error(t, other.Warm(t.Context()))
		require.Equal(t, "key set: the host name can't be resolved", other.Status().JWKS.LastError)
	})
}

// The errors of an HTTP client contain addresses. Status must not show these addresses.
func TestStatusShowsNoAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("proxy.internal:3128 said no"), "the connection failed"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 443}, Err: errors.New("no route to 10.1.2.3")}, "the connection failed"},
		{&net.DNSError{Err: "no such host", Name: "db.internal", Server: "10.1.2.3:53"}, "the host name can't be resolved"},
		{&net.DNSError{Err: "i/o timeout", Name: "db.internal", Server: "10.1.2.3:53", IsTimeout: true}, "timeout"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"db.internal"}}, Host: "10.1.2.3"}, "the TLS connection can't be trusted"},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "the TLS connection can't be trusted"},
		{tls.RecordHeaderError{Msg: "10.1.2.3 speaks HTTP"}, "the TLS connection can't be trusted"},
		{fmt.Errorf("10.1.2.3: %w", syscall.ECONNRESET), "connection closed early"},
		{&net.OpError{Op: "read 10.1.2.3", Err: os.ErrDeadlineExceeded}, "timeout"},
		{fmt.Errorf("10.1.2.3: %w", context.DeadlineExceeded), "timeout"},
	} {
		harness.FakeTime(t, func(t *testing.T) {
			issuer := harness.NewIssuer()
			logged := new(harness.LogRecorder)
			cfg := issuer.HybridConfig()
			cfg.Logger = slog.New(logged)
			cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
			cfg.HTTPClient = &http.Client{Transport: harness.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, c.err })}
			a := harness.Mount(t, cfg)
			v := a.Validator.(*xenaauth.Validator)
			shown := harness.ErrorOf(t, v, t.Context(), issuer.JWT(xenaauthtest.Token{})).Error() +
				harness.ErrorOf(t, v, t.Context(), issuer.Opaque(xenaauthtest.Token{})).Error() +
				strings.Join(logged.Lines, "\n") + statusResponse(t, v).Body.String() + a.Get(t, issuer.Opaque(xenaauthtest.Token{})).Body
			require.Equal(t, "metadata: "+c.want, v.Status().Metadata.LastError)
			require.Contains(t, shown, "introspection: "+c.want)
			for _, address := range []string{"10.1.2.3", "internal", "3128", "well-known", "connect/"} {
				require.NotContains(t, shown, address)
			}
		})
	}
}

func TestStatusCaches(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.HybridConfig())
	jwt, opaque := issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})
	for range 4 {
		require.Empty(t, harness.ReasonOf(t, v, jwt))
	}
	require.Equal(t, xenaauth.CacheStatus{Entries: 1, Bytes: v.Status().Tokens.Bytes, Hits: 3, Misses: 1, HitRatio: 0.75}, v.Status().Tokens)
	for range 5 {
		require.Empty(t, harness.ReasonOf(t, v, opaque))
		require.Equal(t, xenaauth.ReasonInactive, harness.ReasonOf(t, v, "unknown"))
	}
	s := v.Status()
	require.Equal(t, xenaauth.CacheStatus{Entries: 1, Bytes: s.Tokens.Bytes, Hits: 3, Misses: 1, HitRatio: 0.75}, s.Tokens)
	require.Equal(t, 1, s.Active.Entries)
	require.Equal(t, 1, s.Inactive.Entries)
	require.EqualValues(t, 4, s.Active.Hits)
	require.EqualValues(t, 6, s.Active.Misses)
	require.InDelta(t, 0.4, s.Active.HitRatio, 1e-9)
	require.EqualValues(t, 4, s.Inactive.Hits)
}

// openBreaker makes introspection calls fail until the breaker for these calls is open.
func openBreaker(t testing.TB, v *xenaauth.Validator, issuer *xenaauthtest.Issuer) {
	t.Helper()
	issuer.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Status: 503})
	for range 3 {
		require.Equal(t, xenaauth.ReasonUnavailable, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
	}
}

func TestStatusOfTheBreaker(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		v := harness.NewValidator(t, issuer.HybridConfig())
		require.NoError(t, v.Warm(t.Context()))
		require.Equal(t, "closed", v.Status().Introspection)
		openBreaker(t, v, issuer)
		require.Equal(t, "open", v.Status().Introspection)
		require.True(t, v.Status().Ready, "a service that can verify JWTs must stay ready")
		time.Sleep(1001 * time.Millisecond)
		require.Equal(t, "half-open", v.Status().Introspection)
		issuer.Heal()
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		require.Equal(t, "closed", v.Status().Introspection)
	})
}

func TestStatusWithAlwaysIntrospect(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		cfg.AlwaysIntrospect, cfg.MaxKeyAge = true, time.Hour
		v := harness.NewValidator(t, cfg)
		require.False(t, v.Status().Ready, "the endpoint is not known yet")
		require.NoError(t, v.Warm(t.Context()))
		require.True(t, v.Status().Ready)
		require.Zero(t, v.Status().Keys)
		require.Zero(t, issuer.Calls(xenaauthtest.JWKS), "the keys must not be fetched")
		openBreaker(t, v, issuer)
		require.False(t, v.Status().Ready)
		require.Equal(t, 503, statusResponse(t, v).Code)
		issuer.Heal()
		time.Sleep(1001 * time.Millisecond)
		require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
		require.True(t, v.Status().Ready)
		time.Sleep(time.Hour)
		require.False(t, v.Status().Ready, "the metadata are older than MaxKeyAge")

		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		v = harness.NewValidator(t, cfg)
		require.True(t, v.Status().Ready, "with a configured endpoint there is nothing to fetch")
		openBreaker(t, v, issuer)
		require.False(t, v.Status().Ready)
	})
}

// Dashboards read the JSON of StatusHandler, so the names and the types of its members must not
// change.
func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		cfg := issuer.HybridConfig()
		v := harness.NewValidator(t, cfg)
		require.JSONEq(t, `{"issuer":"https://login.xena.biz","ready":false,"keys":0,"jwks":{},"metadata":{},
			"introspection":"closed","tokens":{"entries":0,"bytes":0,"hits":0,"misses":0,"hit_ratio":0},
			"active":{"entries":0,"bytes":0,"hits":0,"misses":0,"hit_ratio":0},
			"inactive":{"entries":0,"bytes":0,"hits":0,"misses":0,"hit_ratio":0},"revocations":0}`, statusResponse(t, v).Body.String())
		require.NotContains(t, statusResponse(t, harness.NewValidator(t, issuer.Config())).Body.String(), "introspection")

		start, err := json.Marshal(time.Now())
		require.NoError(t, err)
		jwt, opaque := issuer.JWT(xenaauthtest.Token{}), issuer.Opaque(xenaauthtest.Token{})
		for _, token := range []string{jwt, jwt, opaque} {
			require.Empty(t, harness.ReasonOf(t, v, token))
		}
		harness.Revoke(t, v, xenaauth.Revocation{Subject: "U1"})
		time.Sleep(15 * time.Minute)
		issuer.Down()
		harness.ValidateNewToken(t, v, issuer)
		synctest.Wait() // the request started a refresh of the keys, which has ended now
		w := statusResponse(t, v)
		require.Equal(t, 200, w.Code)
		text := w.Body.String()
		require.JSONEq(t, fmt.Sprintf(`{"issuer":"https://login.xena.biz","ready":true,"keys":1,"key_set_hash":%[5]q,
			"jwks":{"last_success":%[1]s,"age_ns":900000000000,"last_error":"key set: connection refused"},
			"metadata":{"last_success":%[1]s,"age_ns":900000000000,"last_error":"metadata: connection refused"},
			"introspection":"closed","tokens":{"entries":2,"bytes":%[3]d,"hits":1,"misses":2,"hit_ratio":%[2]v},
			"active":{"entries":1,"bytes":%[4]d,"hits":0,"misses":1,"hit_ratio":0},
			"inactive":{"entries":0,"bytes":0,"hits":0,"misses":1,"hit_ratio":0},"revocations":1}`, start, 1.0/3, v.Status().Tokens.Bytes, v.Status().Active.Bytes, v.Status().KeySetHash), text)
		require.Greater(t, v.Status().Tokens.Bytes, 2*500)
		require.Greater(t, v.Status().Active.Bytes, 500)
		for _, secret := range []string{issuer.APISecret(), jwt, opaque, strings.Split(jwt, ".")[2], "U1", "104711",
			"connect/", "well-known", issuer.KeyID()} {
			require.NotContains(t, text, secret)
			require.NotContains(t, fmt.Sprintf("%+v %#v", v.Status(), v.Status()), secret)
		}
	})
}

func TestStatusConcurrently(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.HybridConfig())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				switch i % 4 {
				case 0:
					statusResponse(t, v)
				case 1:
					if err := v.Warm(t.Context()); err != nil {
						t.Error(err)
					}
				case 2:
					if r := harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})); r != "" {
						t.Error(r)
					}
				case 3:
					if r := harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})); r != "" {
						t.Error(r)
					}
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 40, v.Status().Tokens.Misses)
	require.Equal(t, 40, v.Status().Active.Entries)
}

// The library verifies the signature of a token only once, and remembers a limited number of JOSE
// headers. If the issuer writes more different headers, each signature is still verified only once.
func TestStatusWithManyDifferentHeaders(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	v := harness.NewValidator(t, issuer.Config())
	for i := range 300 {
		token := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"n": i}})
		for range 2 {
			require.Empty(t, harness.ReasonOf(t, v, token))
		}
	}
	s := v.Status().Tokens
	require.EqualValues(t, 300, s.Misses)
	require.EqualValues(t, 300, s.Hits)
}
