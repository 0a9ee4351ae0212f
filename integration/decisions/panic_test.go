package decisions

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// In TestPanic, a policy of the API or the function Options.Event panics. No protocol may respond
// with a success after the panic, even if a handler that calls the guard recovers from the panic
// and writes no response.
func TestPanic(t *testing.T) {
	before := slog.Default()
	// with two of the protocols, the server logs the stack of a panic, so the log is discarded
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(before) })
	table := []routes.Rule{
		{Pattern: "/t.T/Policy", Access: routes.Require(xenaauth.Where("panic", func(context.Context, *xenaauth.User) error {
			panic("a secret")
		}))},
		{Pattern: "/t.T/Public", Access: routes.Public()},
		{Pattern: "/t.T/Optional", Access: routes.Optional()},
	}
	for name, protocol := range protocols {
		for _, c := range []struct {
			path  string
			event func(context.Context, xenaauth.Event)
		}{
			{"/t.T/Policy", nil},
			{"/t.T/Public", func(context.Context, xenaauth.Event) { panic("a secret") }},
			{"/t.T/Optional", func(context.Context, xenaauth.Event) { panic("a secret") }},
			{"/t.T/Unknown", func(context.Context, xenaauth.Event) { panic("a secret") }},
		} {
			s := newSite(t, table, xenaauth.Options{Event: c.event})
			got := protocol(t, s)(t, request{path: c.path, header: http.Header{"Authorization": {"Bearer " + s.token()}}})
			if got.allowed || got.code != codes.Unavailable || got.status != 0 && got.status != 503 ||
				got.retryAfter == "" || got.challenges != "" {
				t.Errorf("%s %s: status %d, %+v", name, c.path, got.status, got.decision)
			}
			for field, values := range got.header {
				if strings.Contains(strings.Join(values, ""), "secret") {
					t.Errorf("%s %s: the field %s is %q", name, c.path, field, values)
				}
			}
		}
	}
}
