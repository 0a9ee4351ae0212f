package connectauth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// startBoundServer starts a server over TLS that requires a proof of possession. Each handler is
// behind two guards.
func startBoundServer(t *testing.T, proofFor func(origin string) (xenaauth.Proof, error)) *testServer {
	t.Helper()
	s := &testServer{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(nil)
	proof, err := proofFor("https://" + s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.auth = xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs: []xenaauth.Proof{proof}, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
	})
	guard := connectauth.New(s.auth, table(t, newRules()...).Find)
	s.server.Config.Handler = guard.Handler(guard.Handler(s.newMux()))
	s.server.EnableHTTP2 = true
	s.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

// testServer.bindToken gives the client a new token, which is bound to the client's key.
func (s *testServer) bindToken(client *xenaauthtest.Client) *xenaauthtest.Client {
	client.Token = s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", BoundTo: client, Claims: map[string]any{"aud": s.issuer.API()},
	})
	return client
}

// testServer.callAny calls the procedure Any. callKind says whether the call is unary or a stream.
// protocol is a key of the map protocolOptions. If the call succeeds, callAny returns the user whom
// the handler found. If the server refuses the call, callAny returns the error.
func (s *testServer) callAny(t *testing.T, client *xenaauthtest.Client, callKind, protocol string, h http.Header) (string, *connect.Error) {
	t.Helper()
	client.Transport = s.server.Client().Transport
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	with := &testServer{server: s.server, client: &http.Client{Transport: client}}
	user, err := callKinds[callKind](with, ctx, "/t.T/Any", h, protocolOptions[protocol])
	if err == nil {
		return user, nil
	}
	told, ok := errors.AsType[*connect.Error](err)
	if !ok || told.Code() != connect.CodeUnauthenticated {
		t.Fatalf("%s, %s: %v", callKind, protocol, err)
	}
	return user, told
}

// TestDPoP calls procedures with DPoP proofs in each protocol. The client is an HTTP client whose
// transport adds the proofs.
func TestDPoP(t *testing.T) {
	s := startBoundServer(t, func(origin string) (xenaauth.Proof, error) {
		return dpop.New(dpop.Config{PublicOrigins: []string{origin}, NonceSecrets: [][]byte{make([]byte, 32)}})
	})
	for kind := range callKinds {
		for protocol := range protocolOptions {
			client := s.bindToken(xenaauthtest.NewDPoPClient(nil))
			method := http.MethodPost
			if kind == "unary" && protocol == "Connect GET" {
				method = http.MethodGet
			}
			path := "/t.T/Any" + map[string]string{"stream": "Stream"}[kind]
			// The test itself sets the DPoP field of this request. If the server asks for a nonce,
			// the client does not send such a request again, and the test sees the error.
			proof := http.Header{"Dpop": {client.Proof(method, s.server.URL+path)}}
			_, err := s.callAny(t, client, kind, protocol, proof)
			if err == nil || err.Meta().Get("DPoP-Nonce") == "" ||
				!strings.Contains(strings.Join(err.Meta()["Www-Authenticate"], ", "), `DPoP realm="xena", error="use_dpop_nonce"`) {
				t.Errorf("%s, %s, no nonce: %v", kind, protocol, err)
				continue
			}
			if user, err := s.callAny(t, client, kind, protocol, http.Header{}); user != "ann" {
				t.Errorf("%s, %s: %v", kind, protocol, err)
			}
			used := http.Header{"Dpop": {client.Proof(method, s.server.URL+path)}}
			if user, err := s.callAny(t, client, kind, protocol, used); user != "ann" {
				t.Errorf("%s, %s, first use: %v", kind, protocol, err)
			}
			if _, err := s.callAny(t, client, kind, protocol, used); err == nil {
				t.Errorf("%s, %s, second use: no error", kind, protocol)
			}
			client.Edit = func(_, claims map[string]any) { claims["htu"] = s.server.URL + "/t.T/Scope" }
			if _, err := s.callAny(t, client, kind, protocol, http.Header{}); err == nil {
				t.Errorf("%s, %s, a proof for another procedure: no error", kind, protocol)
			}
		}
	}
}

// TestClientCertificate calls procedures with a token that is bound to a certificate.
func TestClientCertificate(t *testing.T) {
	s := startBoundServer(t, func(string) (xenaauth.Proof, error) { return mtls.New(mtls.Config{}) })
	for kind := range callKinds {
		for protocol := range protocolOptions {
			client, thief := s.bindToken(xenaauthtest.NewMTLSClient(nil)), xenaauthtest.NewMTLSClient(nil)
			if user, err := s.callAny(t, client, kind, protocol, http.Header{}); user != "ann" {
				t.Errorf("%s, %s: %v", kind, protocol, err)
			}
			thief.Token = client.Token
			if _, err := s.callAny(t, thief, kind, protocol, http.Header{}); err == nil {
				t.Errorf("%s, %s: no error with another certificate", kind, protocol)
			}
		}
	}
}
