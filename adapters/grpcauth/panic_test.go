package grpcauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// captureLog replaces the default logger until the test ends, and returns what is logged.
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
	s := start(t, 1)
	token := s.bearer()
	for kind, do := range calls {
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
	if user, _, err := calls["unary"](s, call(t, token), "/t.T/Any"); user != "ann" {
		t.Errorf("afterwards: user %q, %v", user, err)
	}
}

// TestPanicOfHook has a hook that panics in every check. Interceptors around the guard recover and
// return no error. gRPC would then tell the client that the call succeeded, so the guard must
// return an error itself.
func TestPanicOfHook(t *testing.T) {
	captureLog(t)
	auth := xenaauth.NewMiddleware(&counter{}, &xenaauth.Options{
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

// TestPanicOfHandler requires that the guard does not recover from the panic of a handler. The
// interceptors of the service handle it.
func TestPanicOfHandler(t *testing.T) {
	auth := xenaauth.NewMiddleware(&counter{}, nil)
	guard := grpcauth.New(auth, table(t, routes.Rule{Pattern: "/t.T/Open", Access: routes.Public()}).Find)
	if !panics(func() {
		_, _ = guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/t.T/Open"},
			func(context.Context, any) (any, error) { panic("a handler") })
	}) {
		t.Error("the guard hides the panic")
	}
}
