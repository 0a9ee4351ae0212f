package grpcauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// captureLog replaces the default logger of slog until the test ends. It returns the buffer to
// which the new logger writes.
func captureLog(t *testing.T) *lockedBuffer {
	log, before := new(lockedBuffer), slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return log
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// TestPanic calls a method whose policy panics. The handler does not run, the client does not learn
// the value of the panic, and the server continues to work.
func TestPanic(t *testing.T) {
	log := captureLog(t)
	s := startServer(t, 1)
	token := s.bearer()
	for kind, do := range callKinds {
		_, trailer, err := do(s, call(t, token), "/t.T/Panic")
		info, retry := details(status.Convert(err))
		if status.Code(err) != codes.Unavailable || info.GetReason() != "UNAVAILABLE" || retry == nil ||
			len(trailer.Get("retry-after")) != 1 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, trailer %v", kind, err, trailer)
		}
		if s.handled.Load() != 0 {
			t.Fatalf("%s: the handler ran", kind)
		}
	}
	if text := log.String(); strings.Count(text, "panicked") != 2 || !strings.Contains(text, "stack") ||
		!strings.Contains(text, "/t.T/Panic") || strings.Contains(text, "secret") || strings.Contains(text, token) {
		t.Errorf("the log is %s", text)
	}
	if user, _, err := callKinds["unary"](s, call(t, token), "/t.T/Any"); user != "ann" {
		t.Errorf("afterwards: user %q, %v", user, err)
	}
}

// In TestPanicOfHook, a hook panics in every check. Interceptors around the guard recover and
// return no error. gRPC would then tell the client that the call succeeded, so the guard must
// return an error itself.
func TestPanicOfHook(t *testing.T) {
	captureLog(t)
	auth := xenaauth.NewMiddleware(&countingValidator{}, &xenaauth.Options{
		Event: func(context.Context, xenaauth.Event) { panic("the secret list") },
	})
	guard := grpcauth.New(auth, table(t,
		routes.Rule{Pattern: "/t.T/Any", Access: routes.Require(xenaauth.AnyUser())},
		routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()},
	).Find)
	for _, method := range []string{"/t.T/Any", "/t.T/Open", "/t.T/Unlisted"} {
		err := func() (err error) {
			defer func() { _ = recover() }()
			_, err = guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, nil)
			return err
		}()
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// panickingProof is a proof of possession that panics when it sets the header of a response.
type panickingProof struct{ confirm error }

func (panickingProof) Scheme() string                                { return "Key" }
func (panickingProof) Member() string                                { return "key" }
func (panickingProof) Params() map[string]string                     { return nil }
func (p panickingProof) Confirm(*http.Request, string, string) error { return p.confirm }
func (panickingProof) Respond(http.Header, *http.Request, error)     { panic("the secret list") }

// In TestPanicOfProof, a proof panics when it sets the fields of a response. The guard must recover
// from the panic, because the panic would end the server.
func TestPanicOfProof(t *testing.T) {
	captureLog(t)
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		t.Fatal(err)
	}
	bound := "Key " + issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": map[string]any{"key": "k"}}})
	refused := &xenaauth.Error{Reason: xenaauth.ReasonConfirmation}
	for _, c := range []struct {
		name, authorization string
		confirm             error
		want                codes.Code
	}{
		{"no token", "", nil, codes.Unauthenticated},
		{"a bad token", "Bearer nonsense", nil, codes.Unauthenticated},
		{"no proof", bound, refused, codes.Unauthenticated},
		{"a proof", bound, nil, codes.Unavailable},
	} {
		auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{panickingProof{c.confirm}}})
		guard := grpcauth.New(auth, table(t, routes.Rule{Pattern: "/t.T/", Access: routes.Require(xenaauth.AnyUser())}).Find)
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs())
		if c.authorization != "" {
			ctx = metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", c.authorization))
		}
		_, err := guard.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: "/t.T/Any"},
			func(context.Context, any) (any, error) { return nil, nil })
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestPanicOfHandler requires that the guard does not recover from the panic of a handler. The
// interceptors of the service handle it.
func TestPanicOfHandler(t *testing.T) {
	auth := xenaauth.NewMiddleware(&countingValidator{}, nil)
	guard := grpcauth.New(auth, table(t, routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()}).Find)
	if !panics(func() {
		_, _ = guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/t.T/Open"},
			func(context.Context, any) (any, error) { panic("a handler") })
	}) {
		t.Error("the guard hides the panic")
	}
}
