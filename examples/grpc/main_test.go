package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func setenv(t *testing.T, issuer, audience string) {
	t.Helper()
	for _, name := range []string{
		"METADATA_URL", "JWKS_URL", "INTROSPECTION_ENDPOINT", "INTROSPECTION_CLIENT_ID",
		"INTROSPECTION_CLIENT_SECRET", "INTROSPECTION_CLIENT_SECRET_FILE",
	} {
		t.Setenv("XENA_"+name, "")
	}
	t.Setenv("XENA_ISSUER", issuer)
	t.Setenv("XENA_AUDIENCE", audience)
	t.Setenv("ADDR", "127.0.0.1:0")
}

func TestServer(t *testing.T) {
	issuer := xenaauthtest.StartIssuer(nil)
	defer issuer.Close()
	setenv(t, issuer.URL(), issuer.API())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	serving, interrupt := context.WithCancel(ctx)
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := runServer(serving, writer)
		_ = writer.CloseWithError(err)
		done <- err
	}()
	defer func() {
		interrupt()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		cancel()
	}()
	addr, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:"+strings.TrimSpace(addr), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, new(grpc_health_v1.HealthCheckRequest)); err != nil {
		t.Errorf("health: %v", err)
	}
	for _, c := range []struct {
		token, user string
		code        codes.Code
	}{
		{"", "", codes.Unauthenticated},
		{issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), "", codes.Unauthenticated},
		{issuer.JWT(xenaauthtest.Token{Scopes: []string{}}), "", codes.PermissionDenied},
		{issuer.JWT(xenaauthtest.Token{Subject: "ann"}), "ann", codes.OK},
	} {
		ctx := ctx
		if c.token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
		}
		user := new(wrapperspb.StringValue)
		if err := conn.Invoke(ctx, "/example.v1.Users/WhoAmI", new(emptypb.Empty), user); status.Code(err) != c.code || user.GetValue() != c.user {
			t.Errorf("user %q, %v, want %q, %v", user.GetValue(), err, c.user, c.code)
		}
	}
}

func TestWrongConfiguration(t *testing.T) {
	setenv(t, "http://login.example", "testapi")
	if err := runServer(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("run: %v", err)
	}
}

// TestAddressInUse starts the server on an address that is in use. The error must name ADDR, the
// environment variable that sets another address.
func TestAddressInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	setenv(t, "https://login.example", "testapi")
	t.Setenv("ADDR", busy.Addr().String())
	if err := runServer(t.Context(), io.Discard); err == nil || !strings.HasSuffix(err.Error(), ": ADDR is the address to listen on") {
		t.Errorf("error %v", err)
	}
}
