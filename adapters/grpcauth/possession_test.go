package grpcauth_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/mtls"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// origin is the scheme and host of the test server. Clients write them into their DPoP proofs.
const origin = "https://bufconn"

// startBoundServer starts a server over TLS that requires a proof of possession. Each handler is
// behind two guards. The result dial is a function that connects a client to the server. The
// argument of dial is the certificate of the client, or nil.
func startBoundServer(t *testing.T, proof xenaauth.Proof) (s *testServer, dial func(*tls.Certificate) *testServer) {
	t.Helper()
	s = &testServer{issuer: xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})}
	v, err := xenaauth.NewValidator(s.issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	s.auth = xenaauth.NewMiddleware(v, &xenaauth.Options{
		Proofs: []xenaauth.Proof{proof}, RequireProof: true, Logger: slog.New(slog.DiscardHandler),
	})
	guard := grpcauth.New(s.auth, table(t, newRules()...).Find)
	server := grpc.NewServer(append(append(guard.ServerOptions(), guard.ServerOptions()...),
		grpc.Creds(credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{xenaauthtest.NewMTLSClient(nil).Certificate()},
			ClientAuth:   tls.RequestClientCert,
		})))...)
	server.RegisterService(s.describe("t.T", "Any", "Maybe"), nil)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s, func(certificate *tls.Certificate) *testServer {
		// The client need not verify the certificate of the server, because the server is in this
		// process.
		config := &tls.Config{InsecureSkipVerify: true}
		if certificate != nil {
			config.Certificates = []tls.Certificate{*certificate}
		}
		conn, err := grpc.NewClient("passthrough:bufconn", grpc.WithTransportCredentials(credentials.NewTLS(config)),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &testServer{conn: conn}
	}
}

func (s *testServer) bound(client *xenaauthtest.Client) string {
	return s.issuer.JWT(xenaauthtest.Token{
		Subject: "ann", BoundTo: client, Claims: map[string]any{"aud": s.issuer.API()},
	})
}

// reasonOf returns the reason of a refusal, from the ErrorInfo in the details of a gRPC error.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// TestDPoP calls methods with DPoP proofs. The method of a proof is POST, and its URL ends with the
// full name of the gRPC method. Each handler is behind two guards, but a proof is checked only
// once. Otherwise the second guard would refuse the proof, because it was used before.
func TestDPoP(t *testing.T) {
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{origin}, NonceSecrets: [][]byte{make([]byte, 32)}})
	if err != nil {
		t.Fatal(err)
	}
	s, dial := startBoundServer(t, proof)
	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = s.bound(client)
	s.conn = dial(nil).conn
	for kind, do := range callKinds {
		suffix := map[string]string{"stream": "Stream"}[kind]
		send := func(method, path, nonce string) (string, metadata.MD, error) {
			client.Edit = func(_, claims map[string]any) {
				if nonce != "" {
					claims["nonce"] = nonce
				}
			}
			ctx := call(t, "DPoP "+client.Token)
			return do(s, metadata.AppendToOutgoingContext(ctx, "dpop", client.Proof(method, origin+path)), "/t.T/Any")
		}
		_, trailer, err := send(http.MethodPost, "/t.T/Any"+suffix, "")
		nonce := strings.Join(trailer.Get("dpop-nonce"), ", ")
		if reasonOf(err) != "PROOF_NONCE" || nonce == "" || !strings.Contains(strings.Join(trailer.Get("www-authenticate"), ", "), `DPoP realm="xena", error="use_dpop_nonce"`) {
			t.Errorf("%s without a nonce: %v, trailer %v", kind, err, trailer)
		}
		if user, _, err := send(http.MethodPost, "/t.T/Any"+suffix, nonce); user != "ann" {
			t.Errorf("%s with the nonce: user %q, %v", kind, user, err)
		}
		for what, c := range map[string][2]string{
			"GET":               {http.MethodGet, "/t.T/Any" + suffix},
			"another method":    {http.MethodPost, "/t.T/Maybe" + suffix},
			"the service alone": {http.MethodPost, "/t.T"},
		} {
			if _, _, err := send(c[0], c[1], nonce); reasonOf(err) != "PROOF" {
				t.Errorf("%s with a proof for %s: %v", kind, what, err)
			}
		}
		client.Edit = func(_, claims map[string]any) { claims["nonce"] = nonce }
		ctx := metadata.AppendToOutgoingContext(call(t, "DPoP "+client.Token), "dpop", client.Proof(http.MethodPost, origin+"/t.T/Any"+suffix))
		if user, _, err := do(s, ctx, "/t.T/Any"); user != "ann" {
			t.Errorf("%s, first use of a proof: %v", kind, err)
		}
		if _, _, err := do(s, ctx, "/t.T/Any"); reasonOf(err) != "PROOF_REPLAYED" {
			t.Errorf("%s, second use of a proof: %v", kind, err)
		}
	}
}

// TestDPoPStream sends several messages in one stream. The proof is checked when the stream begins.
func TestDPoPStream(t *testing.T) {
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{origin}})
	if err != nil {
		t.Fatal(err)
	}
	s, dial := startBoundServer(t, proof)
	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = s.bound(client)
	ctx := metadata.AppendToOutgoingContext(call(t, "DPoP "+client.Token), "dpop", client.Proof(http.MethodPost, origin+"/t.T/AnyStream"))
	stream, err := dial(nil).conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t.T/AnyStream")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		out := new(wrapperspb.StringValue)
		if err := stream.SendMsg(wrapperspb.String("x")); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(out); err != nil || out.GetValue() != "ann" {
			t.Fatalf("user %q, %v", out.GetValue(), err)
		}
	}
}

// TestClientCertificate calls methods with a token that is bound to a certificate.
func TestClientCertificate(t *testing.T) {
	proof, err := mtls.New(mtls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, dial := startBoundServer(t, proof)
	client := xenaauthtest.NewMTLSClient(nil)
	certificate, other := client.Certificate(), xenaauthtest.NewMTLSClient(nil).Certificate()
	authorization := "Bearer " + s.bound(client)
	for kind, do := range callKinds {
		for what, c := range map[string]struct {
			certificate *tls.Certificate
			reason      string
		}{
			"the certificate": {&certificate, ""},
			"another one":     {&other, "CONFIRMATION"},
			"none":            {nil, "CONFIRMATION"},
		} {
			user, _, err := do(dial(c.certificate), call(t, authorization), "/t.T/Any")
			if reasonOf(err) != c.reason || (user == "ann") != (c.reason == "") {
				t.Errorf("%s with %s: user %q, %v", kind, what, user, err)
			}
		}
	}
}
