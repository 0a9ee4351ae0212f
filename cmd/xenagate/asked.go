package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/xenaauth/xenaauth/adapters/extauthz"
	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
)

// asked is the handler of the listener that proxies ask. It is no ServeMux, which would answer some paths by redirects.
type asked struct {
	own       map[string]http.Handler
	endpoints []endpoint
}

type endpoint struct {
	http.Handler
	path  string
	whole bool // and all that is under it
}

func (a *asked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := recordOf(r.Context())
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	for _, e := range a.endpoints {
		if raw == e.path || e.whole && strings.HasPrefix(raw, e.path+"/") {
			e.ServeHTTP(w, r)
			switch {
			case rec.status == http.StatusOK:
				rec.reason = "" // of an optional token that isn't there
			case rec.reason == "" && rec.table == nil:
				rec.reason = reasonPeer
			case rec.reason == "":
				rec.reason = reasonIdentity
			}
			return
		}
	}
	if h, ok := a.own[raw]; ok {
		rec.route = raw
		h.ServeHTTP(w, r)
		return
	}
	rec.reason = reasonNotFound
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
}

// newExtAuthz is the server that Envoys ask by gRPC.
func newExtAuthz(g *gateway) (*grpc.Server, error) {
	service, err := extauthz.New(extauthz.Config{
		Middleware: g.auth, Find: g.find, Identity: g.identity,
		RemoveAuthorization: g.cfg.Authorization == "strip",
	})
	if err != nil {
		return nil, g.cfg.At("ext_authz", err)
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(512<<10), // Envoy sends a request's header only
		grpc.MaxConcurrentStreams(1024),
		grpc.ConnectionTimeout(g.cfg.Timeouts.Header),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(g.askedByGRPC(config.Prefixes(g.cfg.ExtAuthz.TrustedPeers))),
	)
	authv3.RegisterAuthorizationServer(server, service)
	return server, nil
}

// askedByGRPC is the door of gRPC. Who comes through a Unix socket is trusted: it has the socket's file mode.
func (g *gateway) askedByGRPC(trusted []netip.Prefix) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		g.active.Add(1)
		defer g.active.Add(-1)
		rec := &record{door: "ext_authz", start: time.Now()}
		defer g.finish(rec)
		from, ok := peer.FromContext(ctx)
		if ok {
			rec.peer = from.Addr.String()
		}
		_, socket := from.Addr.(*net.UnixAddr)
		if !ok || !socket && !trusts(trusted, rec.peer) {
			rec.status, rec.reason = http.StatusForbidden, reasonPeer
			return nil, status.Error(codes.PermissionDenied, "not a trusted peer")
		}
		res, err := handler(withRecord(ctx, rec), req)
		check, _ := res.(*authv3.CheckResponse)
		switch {
		case err != nil || check == nil:
			rec.status, rec.reason = http.StatusServiceUnavailable, reasonPanic
		case check.GetDeniedResponse() == nil && codes.Code(check.GetStatus().GetCode()) == codes.OK:
			rec.status, rec.reason = http.StatusOK, "" // of an optional token that isn't there
		default:
			rec.status = int(check.GetDeniedResponse().GetStatus().GetCode())
			if rec.reason == "" {
				rec.reason = reasonIdentity
			}
		}
		return res, err
	}
}

func redisTLS() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
