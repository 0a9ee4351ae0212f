package grpcauth_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/grpcauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// TestRefusalsAreLogged requires that the log names the rule of a refused call, or its method if no
// rule matches.
func TestRefusalsAreLogged(t *testing.T) {
	v, err := xenaauth.NewValidator(xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"}).Config())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := xenaauth.NewMiddleware(v, &xenaauth.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	guard := grpcauth.New(m, table(t, routes.Rule{Pattern: "/t.T/", Access: routes.Require(xenaauth.AnyUser())}).Find)
	for method, want := range map[string]string{
		"/t.T/Get": "reason=missing_token status=401 method=POST route=/t.T/ why=\"the Authorization field is missing\" realm=xena\n",
		"/u.U/Get": `reason=no_rule status=403 method=POST path=/u.U/Get why="no rule matches \"/u.U/Get\": `,
	} {
		log.Reset()
		if _, err := guard.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, nil); err == nil {
			t.Errorf("%s is allowed", method)
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log is %s", method, &log)
		}
	}
}
