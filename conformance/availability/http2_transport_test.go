package availability_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// newHTTP2Transport returns a transport that passes HTTP/2 connections to a separate HTTP/2 client.
// In these tests the HTTP/2 client always fails. Services use transports of this kind: the function
// http2.ConfigureTransport of golang.org/x/net sets them up.
func newHTTP2Transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig: &tls.Config{NextProtos: []string{"h2", "http/1.1"}},
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{
			"h2": func(_ string, c *tls.Conn) http.RoundTripper {
				_ = c.Close()
				return harness.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("dead") })
			},
		},
	}
}

// If a call to the issuer gets no response, the library sends the call again through a copy of the
// client's transport. Making the copy must not change the original transport. In particular, it
// must not add "" to the list of TLS protocols: with "" in the list, crypto/tls refuses to connect.
func TestCopiedTransportLeavesTheOriginal(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		transport := newHTTP2Transport()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(10 * time.Second)
			return nil, net.ErrClosed
		}
		v := harness.NewValidator(t, xenaauth.Config{
			Issuer: "https://issuer.example", Audiences: []string{"testapi"},
			HTTPClient: &http.Client{Transport: transport},
		})
		require.Error(t, v.Warm(t.Context()))
		require.Equal(t, []string{"h2", "http/1.1"}, transport.TLSClientConfig.NextProtos)
		require.Contains(t, transport.TLSNextProto, "h2")
	})
}

// Without Config.HTTPClient, the library uses its own connections. It does not depend on how
// http.DefaultTransport was set up for HTTP/2.
func TestDefaultTransportSetUpForHTTP2(t *testing.T) {
	const child = "XENA_TEST_TRANSPORT_HTTP2"
	if os.Getenv(child) == "" {
		t.Parallel()
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestDefaultTransportSetUpForHTTP2$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%.600s", out)
		return
	}
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{
		URL: "https://" + server.Listener.Addr().String(), Algorithm: "ES256",
	})
	protocols := make(chan int, 10)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.ProtoMajor
		issuer.ServeHTTP(w, r)
	})
	server.StartTLS()
	defer server.Close()
	transport := newHTTP2Transport()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	http.DefaultTransport = transport
	cfg := issuer.HybridConfig()
	cfg.HTTPClient = nil
	v := harness.NewValidator(t, cfg)
	require.Empty(t, harness.ReasonOf(t, v, issuer.JWT(xenaauthtest.Token{})))
	require.Empty(t, harness.ReasonOf(t, v, issuer.Opaque(xenaauthtest.Token{})))
	require.Equal(t, 2, <-protocols)
	require.Equal(t, []string{"h2", "http/1.1"}, transport.TLSClientConfig.NextProtos)
}
