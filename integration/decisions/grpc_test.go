package decisions

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth/adapters/grpcauth"
)

// newGRPCSender returns a sender for the protocol gRPC. Its requests go to a gRPC server that
// implements every method.
func newGRPCSender(t *testing.T, s *site) sender {
	guard := grpcauth.New(s.auth, s.table.Find)
	server := grpc.NewServer(append([]grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(serverTLS())),
		grpc.ChainStreamInterceptor(
			func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return next(srv, &plantedStream{ss})
			}),
		grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
			if err := ss.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				return err
			}
			return ss.SendMsg(wrapperspb.String(userSubject(ss.Context())))
		}),
	}, guard.ServerOptions()...)...)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	dialer := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	return func(t *testing.T, in request) response {
		conn, err := grpc.NewClient("passthrough:api.example", grpc.WithContextDialer(dialer),
			grpc.WithTransportCredentials(credentials.NewTLS(in.clientTLS())))
		fatal(t, err)
		defer func() { _ = conn.Close() }()
		md := make(metadata.MD)
		for name, values := range in.header {
			md.Append(name, values...)
		}
		var header, trailer metadata.MD
		user := new(wrapperspb.StringValue)
		err = conn.Invoke(metadata.NewOutgoingContext(t.Context(), md), in.path, wrapperspb.String("x"), user,
			grpc.Header(&header), grpc.Trailer(&trailer))
		out := response{header: make(http.Header), decision: decision{
			allowed: err == nil, user: user.GetValue(), code: status.Code(err),
			challenges: strings.Join(trailer.Get("WWW-Authenticate"), ", "),
			retryAfter: strings.Join(trailer.Get("Retry-After"), ", "),
		}}
		for _, md := range []metadata.MD{header, trailer} {
			for name, values := range md {
				out.header[http.CanonicalHeaderKey(name)] = values
			}
		}
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok {
				out.reason = strings.ToLower(info.GetReason())
			}
		}
		if err != nil && out.code == codes.Unknown {
			t.Error(err)
		}
		return out
	}
}

// plantedStream is a server stream of gRPC whose context contains plantedUser. The guard must not
// treat plantedUser as the user of the request.
type plantedStream struct{ grpc.ServerStream }

func (s *plantedStream) Context() context.Context { return plant(s.ServerStream.Context()) }
