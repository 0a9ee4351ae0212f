package xenaauthtest

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/mtls"
)

// testMTLS tests guards whose proof of possession is the client's certificate (RFC 8705). The guard
// must see the TLS connection of the request.
func (s *middlewareSuite) testMTLS(t *testing.T) {
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		t.Fatalf("mtls.New: %v", err)
	}
	opts := xenaauth.Options{Proofs: []xenaauth.Proof{proof}}
	m := s.startTLS(t, opts, boundRoutes())
	opts.RequireProof = true
	strict := s.startTLS(t, opts, boundRoutes())

	client, thief := NewMTLSClient(nil), NewMTLSClient(nil)
	client.Token, thief.Token = s.boundToken(client), s.boundToken(client)
	unbound, nothing := NewMTLSClient(nil), NewMTLSClient(nil)
	unbound.Token = s.token("a")
	certificate := client.Certificate()
	stolen := http.Header{
		"Authorization": {"Bearer " + client.Token},
		"Client-Cert":   {":" + base64.StdEncoding.EncodeToString(certificate.Leaf.Raw) + ":"},
	}
	offered := []string{"Bearer"}
	for _, c := range []boundExchange{
		{name: "the certificate", client: client},
		{name: "the certificate, nested guards", client: client, path: "/nested"},
		{name: "the certificate, Optional", client: client, path: "/optional"},
		{name: "the certificate, BoundToken", client: client, path: "/bound"},
		{name: "another certificate", client: thief, wantRefusal: wrongKey},
		{name: "a certificate in a field of the client", client: nothing, header: stolen, wantRefusal: wrongKey},
		{name: "not bound", client: unbound},
		{name: "not bound, BoundToken", client: unbound, path: "/bound", wantRefusal: unboundToken, hasScope: true},
		{name: "no token, BoundToken", client: nothing, path: "/bound", wantRefusal: noToken},
		{name: "no certificate", client: &Client{Token: client.Token}, wantRefusal: wrongKey},
	} {
		s.runBound(t, m, "accepted, "+c.name, offered, c)
		c.hasScope = false
		if c.client == unbound {
			c.wantRefusal = unboundToken
		}
		s.runBound(t, strict, "required, "+c.name, offered, c)
	}
}
