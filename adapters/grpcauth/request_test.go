package grpcauth_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// callGuard calls the method Unary of a guard, without a server. The guard makes an HTTP request
// from the gRPC call, because it needs an HTTP request to find the rule. callGuard returns this
// HTTP request.
func callGuard(t *testing.T, ctx context.Context, table *routes.Table) (ruleRequest *http.Request, err error) {
	t.Helper()
	auth := xenaauth.NewMiddleware(&countingValidator{}, nil)
	guard := grpcauth.New(auth, func(r *http.Request) (routes.Rule, error) {
		ruleRequest = r
		return table.Find(r)
	})
	_, err = guard.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/t.T/M"}, func(context.Context, any) (any, error) {
		return nil, nil
	})
	return ruleRequest, err
}

// Rules and policies get an HTTP request, which the guard makes from the gRPC call. TestRequest
// examines the fields of this HTTP request.
func TestRequest(t *testing.T) {
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{
		":authority": {"api.example:443"}, "x-company": {"7", "8"}, "x-key-bin": {"\x00\xff"}, "dpop": {"proof"},
	})
	certificate := tls.ConnectionState{ServerName: "api.example"}
	ctx = peer.NewContext(ctx, &peer.Peer{
		Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 40000}, AuthInfo: credentials.TLSInfo{State: certificate},
	})
	r, err := callGuard(t, ctx, table(t, routes.Rule{Pattern: "api.example/t.T/M", Access: routes.Public()}))
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/t.T/M" || r.RequestURI != "/t.T/M" || r.Host != "api.example:443" ||
		r.RemoteAddr != "192.0.2.7:40000" || r.TLS == nil || r.TLS.ServerName != "api.example" || r.Body == nil {
		t.Errorf("the request is %+v", r)
	}
	if h := r.Header; len(h) != 2 || len(h["X-Company"]) != 2 || h.Get("DPoP") != "proof" {
		t.Errorf("the header is %q", h)
	}
}

// TestAuthority calls a guard with authorities that are not hosts. Only a table with rules for
// hosts refuses them.
func TestAuthority(t *testing.T) {
	open := table(t, routes.Rule{Pattern: "/t.T/M", Access: routes.Public()})
	hosts := table(t, routes.Rule{Pattern: "/t.T/M", Access: routes.Public()},
		routes.Rule{Pattern: "api.example/t.T/M", Access: routes.Deny()})
	for _, authority := range []string{"192.0.2.1:80,192.0.2.2:80", "a%2Fb", "api.example.", ""} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{":authority": {authority}})
		if _, err := callGuard(t, ctx, open); err != nil {
			t.Errorf("%q without hosts: %v", authority, err)
		}
		if _, err := callGuard(t, ctx, hosts); err == nil {
			t.Errorf("%q with hosts: no error", authority)
		}
	}
}

// TestPlantedUser puts a user into the context of a call before the guard runs. The handler must
// not get this user.
func TestPlantedUser(t *testing.T) {
	auth := xenaauth.NewMiddleware(&countingValidator{}, nil)
	guard := grpcauth.New(auth, table(t, routes.Rule{Pattern: "/t.T/Public", Access: routes.Public()},
		routes.Rule{Pattern: "/t.T/Optional", Access: routes.Optional()}).Find)
	for _, method := range []string{"/t.T/Public", "/t.T/Optional"} {
		ctx := xenaauth.ContextWithUser(t.Context(), xenaauthtest.User(xenaauthtest.Token{}))
		_, err := guard.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			if user, ok := xenaauth.UserFromContext(ctx); ok {
				t.Errorf("%s: the handler finds %v", method, user)
			}
			return nil, nil
		})
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}
