package main_test

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A token that is bound to a certificate is accepted over a TLS connection with this certificate.
// It is refused over any other connection. The gateway itself terminates TLS, so no proxy is needed
// in front of it.
func TestClientCertificate(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	for use, unbound := range map[string]int{"accepted": 200, "required": 401} {
		p := startGateway(t, commonConfig(issuer, service)+withTLS+"possession: {client_certificate: {use: "+use+"}}\n", ca.files("one"))
		owner, thief := ca.newMTLSClient(nil), ca.newMTLSClient(nil)
		token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: owner}))
		got := roundTrip(t, owner, p.tlsURL("/me"), token, "Client_Cert: invented", "Ssl-Client-Verify: SUCCESS",
			"X-Client-Cert-Hash: invented", "X-Client-Certificate: invented", "Cf-Client-Cert-Sha256: invented",
			"Cf-Cert-Verified: true").seen(t)
		got.wantField(t, "X-Auth-User", "anna")
		for name := range got.Header {
			if strings.Contains(strings.ToLower(name), "cert") || strings.HasPrefix(name, "Ssl") {
				t.Errorf("the service gets %s", name)
			}
		}
		for who, transport := range map[string]http.RoundTripper{"a thief": thief, "no certificate": ca.newTransport()} {
			if a := roundTrip(t, transport, p.tlsURL("/me"), token); a.status != 401 || a.reason() != "confirmation" {
				t.Errorf("%s: %d %s", who, a.status, a.body)
			}
		}
		if a := roundTrip(t, ca.newTransport(), p.tlsURL("/me"), p.neverShow(issuer.JWT(xenaauthtest.Token{}))); a.status != unbound {
			t.Errorf("%s: %d for a token that is not bound", use, a.status)
		}
		if a := roundTrip(t, ca.newTransport(), p.tlsURL("/open/"), ""); a.status != 200 {
			t.Errorf("%s: %d for a public route", use, a.status)
		}
	}
}

// If the configuration has no section possession, the gateway refuses a token that is bound to a
// certificate, even over a connection with this certificate.
func TestClientCertificate_Off(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS, ca.files("one"))
	owner := ca.newMTLSClient(nil)
	token := p.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: owner}))
	if a := roundTrip(t, owner, p.tlsURL("/me"), token); a.status != 401 || a.reason() != "confirmation" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A proxy in front of the gateway sends the client's certificate in a header field. The gateway
// uses this field only if the request comes from a trusted proxy. It does not forward the field to
// the service.
func TestClientCertificate_Field(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	owner, thief := xenaauthtest.NewMTLSClient(nil), xenaauthtest.NewMTLSClient(nil)
	der := owner.Certificate().Leaf.Raw
	nginx := strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), "+", "%20")
	for name, c := range map[string]struct {
		keys, field string
		status      int
	}{
		"RFC 9440":     {"form: rfc9440, trusted_peers: [127.0.0.0/8]", "Client-Cert: :" + base64.StdEncoding.EncodeToString(der) + ":", 200},
		"nginx":        {"form: nginx, field: My-Own, trusted_peers: [127.0.0.0/8]", "My-Own: " + nginx, 200},
		"another peer": {"form: nginx, field: My-Own, trusted_peers: [10.0.0.0/8]", "My-Own: " + nginx, 401},
	} {
		p := startGateway(t, commonConfig(issuer, service)+asking+"possession: {client_certificate: {use: accepted, "+c.keys+"}}\n", nil)
		token := p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: owner}))
		a := sendRequest(t, "GET", p.url("proxy", "/me"), token, c.field)
		if a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if a.status == 200 {
			field, _, _ := strings.Cut(c.field, ":")
			if got := a.seen(t).Header.Get(field); got != "" {
				t.Errorf("%s: the service gets %s", name, field)
			}
		}
		original := []string{"X-Original-Method: GET", "X-Original-Host: a", "X-Original-Uri: /me"}
		if a := sendRequest(t, "GET", p.url("forward_auth", "/verify"), token, append(original, c.field)...); a.status != c.status {
			t.Errorf("%s, forward_auth: %d %s", name, a.status, a.body)
		}
		for _, fields := range [][]string{nil, {c.field, c.field}} {
			if a := sendRequest(t, "GET", p.url("proxy", "/me"), token, fields...); a.status != 401 || a.reason() != "confirmation" {
				t.Errorf("%s: %d %s with %d fields", name, a.status, a.body, len(fields))
			}
		}
		token = p.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: thief}))
		if a := sendRequest(t, "GET", p.url("proxy", "/me"), token, c.field); a.status != 401 {
			t.Errorf("%s: %d for the token of another client", name, a.status)
		}
	}
}
