package decisions

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/xenaauth/xenaauth/adapters/connectauth"
)

// newConnectSender returns a sender for the protocol Connect. Its requests go to a Connect server
// that implements every procedure.
func newConnectSender(t *testing.T, s *site) sender {
	type value = wrapperspb.StringValue
	handler := connect.NewUnaryHandler("/", func(
		ctx context.Context, _ *connect.Request[value],
	) (*connect.Response[value], error) {
		return connect.NewResponse(wrapperspb.String(userSubject(ctx))), nil
	})
	guarded := connectauth.New(s.auth, s.table.Find).Handler(handler)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A handler that calls the guard may recover from a panic, as this code does, and then
		// write no response.
		defer func() { _ = recover() }()
		r.Host = "api.example"
		guarded.ServeHTTP(w, r.WithContext(plant(r.Context())))
	}))
	server.TLS = serverTLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	return func(t *testing.T, in request) response {
		transport := &http.Transport{TLSClientConfig: in.clientTLS()}
		defer transport.CloseIdleConnections()
		client := connect.NewClient[value, value](&http.Client{Transport: transport}, server.URL+in.path)
		r := connect.NewRequest(wrapperspb.String("x"))
		for name, values := range in.header {
			r.Header()[name] = values
		}
		answer, err := client.CallUnary(t.Context(), r)
		if err == nil {
			return response{header: answer.Header(), decision: decision{allowed: true, user: answer.Msg.GetValue()}}
		}
		told, ok := errors.AsType[*connect.Error](err)
		if !ok {
			t.Fatal(err)
		}
		out := response{header: told.Meta(), decision: decision{
			code:       codes.Code(told.Code()),
			challenges: strings.Join(told.Meta().Values("WWW-Authenticate"), ", "),
			retryAfter: told.Meta().Get("Retry-After"),
		}}
		for _, detail := range told.Details() {
			message, err := detail.Value()
			fatal(t, err)
			if info, ok := message.(*errdetails.ErrorInfo); ok {
				out.reason = strings.ToLower(info.GetReason())
			}
		}
		return out
	}
}
