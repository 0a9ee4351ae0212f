package mtls_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/mtls"
)

// confirm calls the method Confirm of a Proof. It returns nil or the refusal. If Confirm returns
// another error, the test fails.
func confirm(t testing.TB, p *mtls.Proof, r *http.Request, value string) error {
	t.Helper()
	err := p.Confirm(r, "a-token", value)
	if err == nil {
		return nil
	}
	var refusal *xenaauth.Error
	require.True(t, errors.As(err, &refusal), "%v", err)
	require.Equal(t, 401, refusal.StatusCode())
	require.Equal(t, "invalid_token", refusal.Code())
	require.NotContains(t, err.Error(), "a-token")
	return err
}

// The certificate and its thumbprint are the example of RFC 8705, appendix A.
const (
	rfcCertificate = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
`
	rfcThumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

func TestExampleOfRFC8705(t *testing.T) {
	block, _ := pem.Decode([]byte(rfcCertificate))
	require.NotNil(t, block)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, confirm(t, newProof(t, mtls.Config{}), withTLS(r, block.Bytes), rfcThumbprint))
	for form, w := range writers {
		p := newProof(t, mtls.Config{Form: form, TrustedPeers: loopback})
		require.NoError(t, confirm(t, p, fromProxy(w.field, w.write(block.Bytes)), rfcThumbprint), form)
	}
}

func TestConnection(t *testing.T) {
	mine, other := newCertificate(t), newCertificate(t)
	p := newProof(t, mtls.Config{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	value := thumbprintOf(mine)
	require.NoError(t, confirm(t, p, withTLS(r, mine), value))
	require.NoError(t, confirm(t, p, withTLS(r, mine, other), value), "the first certificate is the client's")

	require.ErrorContains(t, confirm(t, p, r, value), "without TLS")
	require.ErrorContains(t, confirm(t, p, withTLS(r), value), "showed no certificate")
	require.ErrorContains(t, confirm(t, p, withTLS(r, other), value), "another certificate")
	require.ErrorContains(t, confirm(t, p, withTLS(r, other, mine), value), "another certificate")
	for _, value := range []string{"", value + "=", value[:42], strings.ToUpper(value), thumbprintOf(other), "\x00"} {
		require.Error(t, confirm(t, p, withTLS(r, mine), value), value)
	}
}

// If Config.Form is set, the Proof reads the header field only in requests that the trusted proxy
// has sent. In these requests, it ignores the certificate of the TLS connection.
func TestTrustedPeers(t *testing.T) {
	mine, proxy := newCertificate(t), newCertificate(t)
	for form, w := range writers {
		p := newProof(t, mtls.Config{Form: form, TrustedPeers: loopback})
		field, value := w.write(mine), thumbprintOf(mine)
		require.NoError(t, confirm(t, p, withTLS(fromProxy(w.field, field), proxy), value), form)
		require.Error(t, confirm(t, p, withTLS(fromProxy(w.field), mine), value), "%s: no field", form)
		require.Error(t, confirm(t, p, withTLS(fromProxy(w.field, ""), mine), value), "%s: an empty field", form)
		require.Error(t, confirm(t, p, fromProxy(w.field, field, field), value), "%s: a repeated field", form)
		require.Error(t, confirm(t, p, fromProxy(w.field, field, ""), value), "%s: a repeated field", form)
		require.Error(t, confirm(t, p, fromProxy(w.field, w.write(proxy)), value), "%s: another certificate", form)
		require.Error(t, confirm(t, p, fromProxy(w.field+"2", field), value), "%s: another field", form)
		require.Error(t, confirm(t, newProof(t, mtls.Config{}), fromProxy(w.field, field), value), "%s: no Form", form)

		for _, peer := range []string{"10.0.0.1:1", "", "@", "127.0.0.1", "[::1]:1"} {
			r := fromProxy(w.field, field)
			r.RemoteAddr = peer
			require.Error(t, confirm(t, p, r, value), "%s from %q", form, peer)
			require.Error(t, confirm(t, p, withTLS(r, proxy), value), "%s from %q", form, peer)
			require.NoError(t, confirm(t, p, withTLS(r, proxy), thumbprintOf(proxy)), "the connection of a client")
		}
	}
}

// Each kind of proxy writes the client's certificate into a header field in its own form. A Proof
// that is configured for one form does not accept a certificate in another form.
func TestOtherForms(t *testing.T) {
	der := newCertificate(t)
	for form := range writers {
		p := newProof(t, mtls.Config{Form: form, TrustedPeers: loopback})
		for other, w := range writers {
			value := w.write(der)
			if form == mtls.Traefik && other == mtls.HAProxy {
				// If the client sends only one certificate, the header field of Traefik and the
				// header field of HAProxy have the same value. So a Proof for Traefik accepts this
				// value.
				continue
			}
			err := confirm(t, p, fromProxy(writers[form].field, value), thumbprintOf(der))
			require.Equal(t, form == other, err == nil, "%s read as %s: %v", other, form, err)
		}
	}
}

func TestFieldName(t *testing.T) {
	der := newCertificate(t)
	p := newProof(t, mtls.Config{Form: mtls.Nginx, Field: "ssl-client-cert", TrustedPeers: loopback})
	require.NoError(t, confirm(t, p, fromProxy("Ssl-Client-Cert", nginx(der)), thumbprintOf(der)))
	require.Error(t, confirm(t, p, fromProxy("X-Ssl-Client-Cert", nginx(der)), thumbprintOf(der)))
}

func TestMistakesInConfig(t *testing.T) {
	everyone := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	for want, cfg := range map[string]mtls.Config{
		"mtls: Config.TrustedPeers is empty":             {Form: mtls.RFC9440},
		"mtls: Config.TrustedPeers is set without Form":  {TrustedPeers: loopback},
		"mtls: Config.Field is set without Form":         {Field: "Client-Cert"},
		`mtls: Config.Form is "apache", which is unkno`:  {Form: "apache", TrustedPeers: loopback},
		"mtls: Config.TrustedPeers contains 0.0.0.0/0":   {Form: mtls.Envoy, TrustedPeers: everyone},
		"mtls: Config.Field is not a name of letters":    {Form: mtls.Nginx, Field: "a_b", TrustedPeers: loopback},
		"or has another meaning in HTTP":                 {Form: mtls.Nginx, Field: "DPoP", TrustedPeers: loopback},
		"mtls: Config.Field is not a name of letters, d": {Form: mtls.Nginx, Field: strings.Repeat("a", 65), TrustedPeers: loopback},
	} {
		p, err := mtls.New(cfg)
		require.ErrorContains(t, err, want)
		require.Nil(t, p)
	}
	_, err := mtls.New(mtls.Config{Form: "apache", Field: "a b", TrustedPeers: everyone})
	require.Len(t, strings.Split(err.Error(), "\n"), 3)
}

// Strip removes Config.Field and the usual fields with a certificate, also in the other spellings
// that a service could take for such a field.
func TestStrip(t *testing.T) {
	p := newProof(t, mtls.Config{Form: mtls.Nginx, Field: "My-Cert", TrustedPeers: loopback})
	h := http.Header{
		"My-Cert": {"a"}, "my_cert": {"a"}, "Client-Cert": {"a"}, "CLIENT.CERT": {"a"}, "Client-Cert-Chain": {"a"},
		"X-Forwarded-Client-Cert": {"a"}, "X-Forwarded-Tls-Client-Cert": {"a"}, "X-Forwarded-Tls-Client-Cert-Info": {"a"},
		"X_ssl_client_der": {"a"}, "X-Ssl-Client-Cert": {"a"}, "Client-Certs": {"b"}, "Accept": {"b"},
	}
	p.Strip(h)
	require.Equal(t, http.Header{"Client-Certs": {"b"}, "Accept": {"b"}}, h)
	h = http.Header{"": {"b"}, "Client-Cert": {"a"}}
	newProof(t, mtls.Config{}).Strip(h)
	require.NotContains(t, h, "Client-Cert")
}
