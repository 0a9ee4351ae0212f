package main

import (
	"context"
	"net"
	"net/http"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/internal/peers"
)

// newExtAuthz returns the gRPC server that Envoy calls to learn whether a client's request may
// pass.
func newExtAuthz(g *gateway) (*grpc.Server, error) {
	service, err := extauthz.New(extauthz.Config{
		Middleware: g.auth, Find: g.tables.findNoted, Identity: g.identity,
		RemoveAuthorization: g.cfg.Authorization == "strip",
	})
	if err != nil {
		return nil, g.cfg.AddPlace("ext_authz", err)
	}
	server := grpc.NewServer(
		// a message of Envoy is small: by default, it contains the header of the client's request,
		// and not its body
		grpc.MaxRecvMsgSize(512<<10),
		grpc.MaxConcurrentStreams(1024),
		grpc.ConnectionTimeout(g.cfg.Timeouts.Header),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(extAuthzStage(g.activity, g.recorder, config.Prefixes(g.cfg.ExtAuthz.TrustedPeers))),
	)
	authv3.RegisterAuthorizationServer(server, service)
	return server, nil
}

// extAuthzStage returns the gRPC interceptor for each call of Envoy. The interceptor makes the
// record of the request for the access log, and refuses calls from peers that are not trusted. A
// peer on a Unix socket is trusted: the mode of the socket's file says which users can connect.
func extAuthzStage(a *activity, recorder *recorder, trusted peers.Networks) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		a.requests.Add(1)
		defer a.requests.Add(-1)
		rec := &record{listener: "ext_authz", start: time.Now()}
		defer recorder.finish(rec)
		var isSocket bool
		if from, ok := peer.FromContext(ctx); ok {
			rec.peer = from.Addr.String()
			_, isSocket = from.Addr.(*net.UnixAddr)
		}
		if !isSocket && !trusted.Contains(rec.peer) {
			rec.status, rec.reason = http.StatusForbidden, reasonPeer
			return nil, status.Error(codes.PermissionDenied, "not a trusted peer")
		}
		res, err := next(&recordContext{ctx, rec}, req)
		check, _ := res.(*authv3.CheckResponse)
		switch {
		case err != nil || check == nil:
			rec.status, rec.reason = http.StatusServiceUnavailable, reasonPanic
		case check.GetDeniedResponse() == nil && codes.Code(check.GetStatus().GetCode()) == codes.OK:
			rec.status = http.StatusOK
		default:
			rec.status = int(check.GetDeniedResponse().GetStatus().GetCode())
			if rec.reason == "" {
				// The method noteEvent stores the reason of each refusal. So a refusal without a
				// reason means that the service has recovered from a panic.
				rec.reason = reasonPanic
			}
		}
		return res, err
	}
}
