package mtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/mtls"
)

// newCertificate returns a new self-signed certificate in DER.
func newCertificate(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	from := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, from, from, key.Public(), key)
	require.NoError(t, err)
	return der
}

// thumbprintOf returns the thumbprint of a certificate in base64url. A token that is bound to the
// certificate has this text in the member x5t#S256.
func thumbprintOf(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// The functions rfc9440, haproxy, traefik, nginx and envoy return the value of a header field with
// a certificate. Each of them writes the Form that has its name.

func rfc9440(der []byte) string { return ":" + haproxy(der) + ":" }
func haproxy(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
func traefik(der []byte) string { return haproxy(der) + "," + haproxy([]byte("intermediate")) }

// nginx writes PEM with "%" encoding. It encodes every character that is not unreserved (RFC 3986).
func nginx(der []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")
}

// envoyCert writes PEM with "%" encoding. It encodes only the characters that Envoy encodes.
func envoyCert(der []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(string(text))
}

func envoyHash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func envoy(der []byte) string {
	return "By=spiffe://example/api;Hash=" + envoyHash(der) + `;Cert="` + envoyCert(der) +
		`";Subject="CN=\"a\",O=b;c";URI=spiffe://example/client;DNS=a.example;DNS=b.example`
}

// writers lists the forms in which proxies pass the client's certificate on. Each form has the name
// of the header field, and a function that writes a certificate into the value of this field.
var writers = map[mtls.Form]struct {
	field string
	write func(der []byte) string
}{
	mtls.RFC9440: {"Client-Cert", rfc9440},
	mtls.Nginx:   {"X-Ssl-Client-Cert", nginx},
	mtls.Envoy:   {"X-Forwarded-Client-Cert", envoy},
	mtls.HAProxy: {"X-Ssl-Client-Der", haproxy},
	mtls.Traefik: {"X-Forwarded-Tls-Client-Cert", traefik},
}

// loopback is the network from which the trusted proxy connects in these tests.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func newProof(t testing.TB, cfg mtls.Config) *mtls.Proof {
	t.Helper()
	p, err := mtls.New(cfg)
	require.NoError(t, err)
	return p
}

// fromProxy returns a request that the trusted proxy has sent. lines are the values of the header
// field in which the proxy passes the certificate on.
func fromProxy(field string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header[field] = lines
	return r
}

// withTLS returns a copy of the request r that arrived over a TLS connection. ders are the
// certificates that the client has sent in the handshake, in DER.
func withTLS(r *http.Request, ders ...[]byte) *http.Request {
	r = r.Clone(r.Context())
	r.TLS = new(tls.ConnectionState)
	for _, der := range ders {
		r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, &x509.Certificate{Raw: der})
	}
	return r
}
