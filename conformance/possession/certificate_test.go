package possession_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func newMTLS(t testing.TB, cfg mtls.Config) *mtls.Proof {
	t.Helper()
	p, err := mtls.New(cfg)
	require.NoError(t, err)
	return p
}

// serveTLS starts a server that asks for client certificates and does not verify them.
func serveTLS(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// connectClient returns an HTTP client that sends requests with the certificate of c to a server.
// The HTTP client opens a new connection for each request. The second request resumes the TLS
// session of the first request.
func connectClient(c *xenaauthtest.Client, server *httptest.Server) *http.Client {
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	transport.DisableKeepAlives = true
	c.Transport = transport
	return &http.Client{Transport: c}
}

const unconfirmed = `Bearer realm="xena", error="invalid_token", ` +
	`error_description="The access token is bound to a key that was not shown."`

// A token that is bound to a client certificate is accepted only over a TLS connection with this
// certificate. The JWT (RFC 8705, section 3.1) or the introspection response (section 3.2) says to
// which certificate the token is bound.
func TestT1_CertificateOfTheConnection(t *testing.T) {
	s := start(t, nil, newMTLS(t, mtls.Config{}))
	server := serveTLS(t, s.guardedHandler())
	for name, token := range map[string]func(xenaauthtest.Token) string{"JWT": s.issuer.JWT, "opaque": s.issuer.Opaque} {
		owner, thief := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewMTLSClient(nil)
		bound := token(xenaauthtest.Token{BoundTo: owner})
		owner.Token, thief.Token = bound, bound
		hers, his := connectClient(owner, server), connectClient(thief, server)
		for range 2 { // in the second round, both clients resume their TLS sessions
			res, err := hers.Get(server.URL)
			require.NoError(t, err, name)
			require.Equal(t, 418, res.StatusCode, name)

			res, err = his.Get(server.URL)
			require.NoError(t, err, name)
			require.Equal(t, 401, res.StatusCode, name)
			require.Equal(t, []string{unconfirmed}, res.Header.Values("WWW-Authenticate"), name)
		}
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+bound)
		res, err := server.Client().Do(r) // this client has no certificate
		require.NoError(t, err, name)
		require.Equal(t, 401, res.StatusCode, name)
		require.Equal(t, []string{unconfirmed}, res.Header.Values("WWW-Authenticate"), name)

		owner.Token = token(xenaauthtest.Token{})
		res, err = hers.Get(server.URL)
		require.NoError(t, err, name)
		require.Equal(t, 418, res.StatusCode, "%s: a token that is not bound needs no certificate", name)
	}
}

// The service does not verify the certificate (RFC 8705, section 6.2). The certificate may be
// self-signed, and it may expire before the token (section 6.3).
func TestT1_CertificateIsNotVerified(t *testing.T) {
	s := start(t, nil, newMTLS(t, mtls.Config{}))
	client := xenaauthtest.NewMTLSClient(expiredCertificate(t))
	client.Token = s.issuer.JWT(xenaauthtest.Token{BoundTo: client})
	server := serveTLS(t, s.guardedHandler())
	res, err := connectClient(client, server).Get(server.URL)
	require.NoError(t, err)
	require.Equal(t, 418, res.StatusCode)
}

// x5t#S256 in the claim cnf is the thumbprint of a certificate. The token is refused if x5t#S256 is
// not exactly the thumbprint in the spelling of RFC 8705, or if the name of the member is not
// exactly x5t#S256.
func TestT1_ThumbprintInOtherSpellings(t *testing.T) {
	s := start(t, nil, newMTLS(t, mtls.Config{}))
	client := xenaauthtest.NewMTLSClient(nil)
	for !strings.ContainsAny(client.Thumbprint(), "-_") {
		// The test needs a thumbprint that contains - or _. Without these characters, the
		// thumbprint is the same text in base64url and in the standard alphabet of base64.
		client = xenaauthtest.NewMTLSClient(nil)
	}
	client.Handler = s.guardedHandler()
	sum, err := base64.RawURLEncoding.DecodeString(client.Thumbprint())
	require.NoError(t, err)
	for name, cnf := range map[string]any{
		"padding":        base64.URLEncoding.EncodeToString(sum),
		"standard":       base64.RawStdEncoding.EncodeToString(sum),
		"cut":            client.Thumbprint()[:42],
		"empty":          "",
		"not a string":   7,
		"white space":    client.Thumbprint() + " ",
		"a list":         []string{client.Thumbprint()},
		"unknown member": nil,
	} {
		confirmation := map[string]any{"x5t#S256": cnf}
		if name == "unknown member" {
			confirmation = map[string]any{"X5T#s256": client.Thumbprint()}
		}
		client.Token = s.token(confirmation)
		res, err := (&http.Client{Transport: client}).Get("https://api.example/")
		require.NoError(t, err, name)
		require.Equal(t, 401, res.StatusCode, name)
		require.Equal(t, unconfirmed, res.Header.Get("WWW-Authenticate"), name)
	}
	client.Token = s.token(map[string]any{"x5t#S256": client.Thumbprint()})
	res, err := (&http.Client{Transport: client}).Get("https://api.example/")
	require.NoError(t, err)
	require.Equal(t, 418, res.StatusCode, "the spelling of RFC 8705")
}

// A proxy in front of the service terminates TLS and sends the client's certificate in the header
// field Client-Cert (RFC 9440). The service uses the field only if the peer is the proxy and the
// request has the field exactly once. The handler behind the guard still gets the field. If the
// handler calls the method Strip of the proof, Strip removes the field, and its spelling
// Client_Cert, from the header.
func TestT2_CertificateField(t *testing.T) {
	proof := newMTLS(t, mtls.Config{Form: mtls.RFC9440, TrustedPeers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	s := start(t, nil, proof)
	var behind http.Header
	guarded := s.m.Require(xenaauth.AnyUser())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		behind = r.Header.Clone()
		harness.Teapot(w, r)
	}))
	service := httptest.NewServer(guarded)
	t.Cleanup(service.Close)
	to, err := url.Parse(service.URL)
	require.NoError(t, err)
	proxy := serveTLS(t, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(to)
		pr.Out.Header.Del("Client-Cert")
		if certs := pr.In.TLS.PeerCertificates; len(certs) > 0 {
			pr.Out.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(certs[0].Raw)+":")
		}
	}})

	owner, thief := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewMTLSClient(nil)
	bound := s.issuer.JWT(xenaauthtest.Token{BoundTo: owner})
	owner.Token, thief.Token = bound, bound
	field := ":" + base64.StdEncoding.EncodeToString(owner.Certificate().Leaf.Raw) + ":"
	ask := func(c *http.Client, target string, fields ...string) int {
		t.Helper()
		behind = nil
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
		require.NoError(t, err)
		r.Header["Client-Cert"] = fields
		r.Header.Set("Client_Cert", field)
		r.Header.Set("Authorization", "Bearer "+bound)
		res, err := c.Do(r)
		require.NoError(t, err)
		_ = res.Body.Close()
		return res.StatusCode
	}
	require.Equal(t, 418, ask(connectClient(owner, proxy), proxy.URL))
	require.Contains(t, behind, "Client-Cert")
	require.Contains(t, behind, "Client_cert") // HTTP/2 has changed the spelling
	proof.Strip(behind)
	require.Contains(t, behind, "Authorization")
	for name := range behind {
		require.NotContains(t, strings.ToLower(name), "cert")
	}
	require.Equal(t, 418, ask(connectClient(owner, proxy), proxy.URL, "invented"), "the proxy replaces the field")
	require.Equal(t, 401, ask(connectClient(thief, proxy), proxy.URL, field))
	require.Equal(t, 401, ask(proxy.Client(), proxy.URL, field), "no certificate")

	require.Equal(t, 418, ask(http.DefaultClient, service.URL, field), "from the address of the proxy")
	require.Equal(t, 401, ask(http.DefaultClient, service.URL, field, field), "repeated")
	r := newRequest("Bearer "+bound, "Client-Cert", field)
	require.Equal(t, 401, send(guarded, r).Code, "from %s", r.RemoteAddr)
	r.RemoteAddr = "127.0.0.1:1"
	require.Equal(t, 418, send(guarded, r).Code)
}

// If the claim cnf of a token contains jkt and x5t#S256, a request needs both a DPoP proof and the
// client certificate.
func TestT1_BothMembers(t *testing.T) {
	keys, err := dpop.New(dpop.Config{PublicOrigins: []string{"https://api.example"}})
	require.NoError(t, err)
	// The library checks the certificate before the DPoP proof, although the certificate comes
	// second in this list of proofs.
	s := start(t, nil, keys, newMTLS(t, mtls.Config{}))
	certificate, key := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewDPoPClient(nil)
	certificate.Handler = s.guardedHandler()
	ask := func(scheme, token, proof string) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, "https://api.example/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", scheme+" "+token)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		res, err := certificate.RoundTrip(r)
		require.NoError(t, err)
		return res.StatusCode
	}
	proofFor := func(client *xenaauthtest.Client, token string) string {
		client.Token = token
		return client.Proof(http.MethodGet, "https://api.example/")
	}
	both := s.token(map[string]any{"x5t#S256": certificate.Thumbprint(), "jkt": key.Thumbprint()})
	require.Equal(t, 418, ask("DPoP", both, proofFor(key, both)))
	require.Equal(t, 401, ask("DPoP", both, ""), "no proof")
	require.Equal(t, 401, ask("DPoP", both, proofFor(xenaauthtest.NewDPoPClient(nil), both)), "another key")
	require.Equal(t, 401, ask("Bearer", both, proofFor(key, both)), "as Bearer")

	other := s.token(map[string]any{"x5t#S256": xenaauthtest.NewMTLSClient(nil).Thumbprint(), "jkt": key.Thumbprint()})
	proof := proofFor(key, other)
	require.Equal(t, 401, ask("DPoP", other, proof), "another certificate")
	r := newRequest("DPoP "+both, "DPoP", proofFor(key, both))
	require.Equal(t, 401, send(certificate.Handler, r).Code, "no certificate")
	require.Equal(t, 418, ask("DPoP", both, r.Header.Get("DPoP")), "the proof was not used up")

	onlyKey := s.token(map[string]any{"jkt": key.Thumbprint()})
	require.Equal(t, 418, ask("DPoP", onlyKey, proofFor(key, onlyKey)))
	onlyCertificate := s.token(map[string]any{"x5t#S256": certificate.Thumbprint()})
	require.Equal(t, 418, ask("Bearer", onlyCertificate, ""))
	require.Equal(t, 401, ask("DPoP", onlyCertificate, proofFor(key, onlyCertificate)), "the token is not bound to the key")
}
