package main_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The gateway itself terminates TLS. It speaks HTTP/1.1 and TLS 1.2 or newer, and asks clients for
// no certificate, because the configuration needs none.
func TestTLS(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS, ca.files("one"))
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna"}))
	asked := false
	transport := ca.newTransport()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return new(tls.Certificate), nil
	}
	got := roundTrip(t, transport, p.tlsURL("/me"), token).seen(t)
	got.wantField(t, "X-Auth-User", "anna")
	got.wantField(t, "X-Forwarded-Proto", "https")
	if asked {
		t.Error("the client was asked for a certificate")
	}
	if a := roundTrip(t, transport, p.tlsURL("/me"), ""); a.status != 401 || a.header.Get("Www-Authenticate") == "" {
		t.Errorf("%d without a token", a.status)
	}
	// The gateway requires TLS, and this request has none. net/http responds 400, and the response
	// may be lost because the connection is reset.
	if a, err := sendBytes(t, p.addr("proxy"), "GET /open/ HTTP/1.1\r\nHost: a\r\n\r\n"); err == nil && a.status != 400 {
		t.Errorf("%d without TLS", a.status)
	}
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := transport.TLSClientConfig.Clone()
		config.MinVersion, config.MaxVersion, config.NextProtos = tls.VersionTLS10, version, []string{"h2", "http/1.1"}
		conn, err := tls.Dial("tcp", p.addr("proxy"), config)
		if err == nil {
			if p := conn.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
				t.Errorf("the protocol is %q", p)
			}
			_ = conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// Anyone on the network can make TLS handshakes fail. These failures don't fill the log.
func TestTLS_FailedHandshakes(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS, ca.files("one"))
	for range 50 {
		_, _ = sendBytes(t, p.addr("proxy"), "GET /open/ HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	p.waitForLog("TLS handshake error")
	if n := p.lines("TLS handshake error"); n > 10 { // the minute may end in between
		t.Errorf("%d lines", n)
	}
}

// A client can use a WebSocket connection to the gateway over TLS.
func TestTLS_Upgrade(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS, ca.files("one"))
	service.answers(service.echoUpgraded)
	conn, err := tls.Dial("tcp", p.addr("proxy"), ca.newTransport().TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /open/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.WriteString(conn, "hello")
	word := make([]byte, 5)
	if _, err := io.ReadFull(in, word); err != nil || string(word) != "hello" {
		t.Errorf("%q, %v", word, err)
	}
}

// After SIGHUP, or when the gateway notices the new files, new connections use the new certificate.
// Existing connections stay open. If the new files have a mistake, the old certificate stays in
// use.
func TestTLS_Reload(t *testing.T) {
	for _, bySignal := range []bool{true, false} {
		t.Run(fmt.Sprint("by signal ", bySignal), func(t *testing.T) {
			issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
			interval := "routes_interval: 10ms\n"
			if bySignal {
				interval = "routes_interval: 1000h\n"
			}
			p := startGateway(t, commonConfig(issuer, service)+withTLS+interval, ca.files("one"))
			replace := func(name string, break_ bool) {
				files := ca.files(name)
				if break_ {
					maps.Copy(files, map[string]string{"server.key": ca.files("another key")["server.key"]})
				}
				for name, content := range files {
					p.write(name, content)
				}
				if bySignal {
					p.signal(syscall.SIGHUP)
				}
			}
			name := func() string {
				conn, err := tls.Dial("tcp", p.addr("proxy"), ca.newTransport().TLSClientConfig)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
			}
			kept, err := tls.Dial("tcp", p.addr("proxy"), ca.newTransport().TLSClientConfig)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = kept.Close() }()
			keptIn := bufio.NewReader(kept)
			request := func() {
				t.Helper()
				_, _ = io.WriteString(kept, "GET /open/ HTTP/1.1\r\nHost: a\r\n\r\n")
				res, err := http.ReadResponse(keptIn, nil)
				if err != nil || res.StatusCode != 200 {
					t.Fatalf("%v, %v", res, err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
			}
			request()
			if got := name(); got != "one" {
				t.Errorf("the certificate is %q", got)
			}
			replace("two", false)
			eventually(t, "the second certificate", func() bool { return name() == "two" })
			p.waitForLog("certificate is in use")
			replace("three", true)
			p.waitForLog("certificate not taken, the one before stays in use")
			if got := name(); got != "two" {
				t.Errorf("the certificate is %q", got)
			}
			if a := sendRequest(t, "GET", p.url("admin", "/metrics"), ""); !strings.Contains(a.body, `xenagate_reload_success{what="certificate"} 0`) ||
				!strings.Contains(a.body, "xenagate_certificate_expiry_timestamp_seconds 1.") {
				t.Error("the metrics lack the certificate")
			}
			replace("four", false)
			eventually(t, "the fourth certificate", func() bool { return name() == "four" })
			request()
		})
	}
}

// If client_ca_files is set, the gateway asks clients for a certificate and verifies it. A client
// may also connect without a certificate.
func TestTLS_ClientCAs(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	files := ca.files("server")
	clients := newAuthority(t)
	files["clients.pem"] = inPEM("CERTIFICATE", clients.root.Raw)
	p := startGateway(t, commonConfig(issuer, service)+strings.Replace(withTLS, "}", ", client_ca_files: [clients.pem]}", 1), files)
	good, _, _ := clients.issue("client")
	if a := roundTrip(t, ca.newMTLSClient(good), p.tlsURL("/open/"), ""); a.status != 200 {
		t.Errorf("%d with a certificate of the authority", a.status)
	}
	if a := roundTrip(t, ca.newTransport(), p.tlsURL("/open/"), ""); a.status != 200 {
		t.Errorf("%d without a certificate", a.status)
	}
	stranger, _, _ := newAuthority(t).issue("client")
	// The gateway sends clients a list of the certificate authorities that it accepts. A normal
	// client would not send this certificate, because an authority that is not in the list has
	// issued it.
	transport := ca.newTransport()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return stranger, nil
	}
	r, _ := http.NewRequest(http.MethodGet, p.tlsURL("/open/"), nil)
	if res, err := transport.RoundTrip(r); err == nil {
		t.Errorf("%d with a certificate of another authority", res.StatusCode)
	}
}

func TestTLS_Mistakes(t *testing.T) {
	const good = "listen: 127.0.0.1:0\ntokens: {audiences: [a]}\nupstreams: [{name: a, url: \"http://127.0.0.1:1\"}]\n" +
		"routes: {rules: [{route: GET /a, access: public}]}\n"
	ca := newAuthority(t)
	files := ca.files("one")
	files["other.key"] = ca.files("two")["server.key"]
	for name, c := range map[string]struct{ content, want string }{
		"no files":    {good + "tls: {}\n", "gate.yaml:5: tls.cert_file: is missing"},
		"no key":      {good + "tls: {cert_file: server.crt}\n", "gate.yaml:5: tls.key_file: is missing"},
		"not there":   {good + "tls: {cert_file: a.crt, key_file: server.key}\n", "gate.yaml:5: tls.cert_file: a.crt: no such file"},
		"in a folder": {good + "tls: {cert_file: secrets/a.crt, key_file: server.key}\n", "gate.yaml:5: tls.cert_file: secrets/a.crt: no such file"},
		"wrong key":   {good + "tls: {cert_file: server.crt, key_file: other.key}\n", "gate.yaml:5: tls: tls: private key does not match"},
		"swapped":     {good + "tls: {cert_file: server.key, key_file: server.crt}\n", "gate.yaml:5: tls: tls: failed to find certificate PEM data"},
		"authority":   {good + "tls: {cert_file: server.crt, key_file: server.key, client_ca_files: [server.key]}\n", "gate.yaml:5: tls.client_ca_files.0: server.key: no certificate"},
		"no listen":   {"tokens: {audiences: [a]}\nroutes: {rules: []}\next_authz: {listen: \"127.0.0.1:0\"}\ntls: {cert_file: server.crt, key_file: server.key}\n", "gate.yaml:4: tls: needs listen"},
		"form":        {good + "possession: {client_certificate: {use: accepted, form: apache, trusted_peers: [10.0.0.0/8]}}\n", `gate.yaml:5: possession.client_certificate: mtls: Config.Form is "apache"`},
		"no peers":    {good + "possession: {client_certificate: {use: accepted, form: nginx}}\n", "gate.yaml:5: possession.client_certificate: mtls: Config.TrustedPeers is empty"},
		"everyone":    {good + "possession: {client_certificate: {use: accepted, form: nginx, trusted_peers: [0.0.0.0/0]}}\n", "gate.yaml:5: possession.client_certificate.trusted_peers.0: want a network"},
		"no source":   {good + "possession: {client_certificate: {use: accepted}}\n", "gate.yaml:5: possession.client_certificate: needs tls, or the form"},
		"no use":      {good + "possession: {client_certificate: {form: nginx}}\n", "gate.yaml:5: possession.client_certificate.use: is neither off"},
		"no origins":  {good + "possession: {dpop: {use: accepted}}\n", "gate.yaml:5: possession.dpop.public_origins: is empty: list"},
		"origin":      {good + "possession:\n  dpop:\n    use: accepted\n    window: 1h\n    public_origins: [api.example]\n", `gate.yaml:9: possession.dpop.public_origins: holds "api.example", which is not an origin`},
		"window":      {good + "possession:\n  dpop:\n    use: accepted\n    window: 1h\n    public_origins: [api.example]\n", "gate.yaml:8: possession.dpop.window: is not within"},
		"no proof":    {strings.Replace(good, "access: public", "access: user, bound: true", 1), "gate.yaml:4: rule 1 (GET /a): requires a bound token, and possession is off"},
		"proof off":   {strings.Replace(good, "access: public", "access: user, bound: true", 1) + "possession: {dpop: {use: off}}\n", "gate.yaml:4: rule 1 (GET /a): requires a bound token, and possession is off"},
		"no dpop use": {good + "possession: {dpop: {public_origins: [\"https://a.example\"]}}\n", "gate.yaml:5: possession.dpop.use: is neither off"},
		"nonces":      {good + "possession: {dpop: {use: accepted, public_origins: [\"https://a.example\"], nonce_lifetime: 1m}}\n", "gate.yaml:5: possession.dpop.nonce_lifetime: needs nonces"},
		"elsewhere":   {good + "possession: {dpop: {use: sometimes}}\n", "gate.yaml:5: possession.dpop.use: is neither off"},
		"one of two":  {good + withTLS + "possession:\n  dpop: {use: required, public_origins: [\"https://a.example\"]}\n  client_certificate: {use: accepted}\n", "gate.yaml:6: possession: one of dpop and"},
		"word":        {good + "possession: {client_certificate: {use: maybe}}\n", "gate.yaml:5: possession.client_certificate.use: is neither off"},
	} {
		status, written := runCheck(t, c.content, maps.Clone(files))
		if status != 1 || !strings.Contains(written, c.want) {
			t.Errorf("%s: %d lacks %q:\n%s", name, status, c.want, written)
		}
		if strings.Contains(written, "PRIVATE") {
			t.Errorf("%s shows a key:\n%s", name, written)
		}
	}
}
