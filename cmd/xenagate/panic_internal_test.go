package main

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// In this test, the gateway has no table of routes because of a bug, so the check of each request
// panics. No request passes, and the access log has the same reason at each listener: panic.
func TestReasonOfPanic(t *testing.T) {
	before := slog.Default()
	// adapters/extauthz logs the panic to the default logger of slog; the test discards this record
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(before) })
	file := filepath.Join(t.TempDir(), "gate.yaml")
	if err := os.WriteFile(file, []byte(`listen: 127.0.0.1:0
tokens: {audiences: [a]}
upstreams: [{name: a, url: "http://127.0.0.1:1"}]
forward_auth:
  listen: 127.0.0.1:0
  endpoints: [{path: /verify, dialect: nginx, trusted_peers: [192.0.2.0/24]}]
ext_authz: {listen: "127.0.0.1:0"}
routes: {rules: []}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(logSink)
	output := newLogBuffer(log)
	s, _, err := loadServers(file, output)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway.tables.current.Store(nil)
	for _, h := range s.http {
		r := httptest.NewRequest("GET", "/verify", nil) // its peer is 192.0.2.1
		r.Header.Set("X-Original-Method", "GET")
		r.Header.Set("X-Original-Uri", "/a")
		r.Header.Set("X-Original-Host", "a")
		func() {
			// In the gateway, net/http recovers from the panic of a handler. The test calls the
			// handler without net/http, so it must recover itself.
			defer func() { _ = recover() }()
			h.Handler.ServeHTTP(httptest.NewRecorder(), r)
		}()
	}
	askOnce(t, s.grpc.Server)
	output.close(time.Minute)
	want := map[string]int{"proxy": 500, "forward_auth": 503, "ext_authz": 503}
	for line := range strings.Lines(log.text.String()) {
		var l struct {
			Msg, Door, Reason, Outcome string
			Status                     int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg != "request" {
			continue
		}
		if l.Status != want[l.Door] || l.Reason != reasonPanic || l.Outcome != "failed" {
			t.Errorf("%s: status %d, %s, reason %q", l.Door, l.Status, l.Outcome, l.Reason)
		}
		delete(want, l.Door)
	}
	if len(want) > 0 {
		t.Errorf("no line for %v in\n%s", want, log.text.String())
	}
}

// askOnce sends one request of Envoy to a gRPC server, and requires that the client's request is
// refused with 503.
func askOnce(t *testing.T, server *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	defer wg.Wait()
	defer server.Stop()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := &authv3.AttributeContext_HttpRequest{Method: "GET", Host: "a", Path: "/a", Scheme: "http"}
	res, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: request}},
	})
	if err != nil || res.GetDeniedResponse().GetStatus().GetCode() != http.StatusServiceUnavailable {
		t.Errorf("%v, %v", res, err)
	}
}

// Another proxy, for example nginx, asks the gateway whether a client's request may pass. If the
// gateway's handler for this question recovers from its own panic, it responds with 503, and
// nothing tells the access log why. Then the access log has the reason panic. But if the proxy that
// asks is not a trusted peer, the access log has the reason peer.
func TestReasonOfRecoveredPanic(t *testing.T) {
	for peer, want := range map[string]string{"192.0.2.1:1": reasonPanic, "198.51.100.1:1": reasonPeer} {
		p := askingProxy{
			trusted: config.Prefixes([]string{"192.0.2.0/24"}),
			handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }),
		}
		rec := &record{peer: peer}
		w := &response{ResponseWriter: httptest.NewRecorder(), rec: rec, draining: new(atomic.Bool)}
		p.serve(w, httptest.NewRequest("GET", "/verify", nil), rec)
		if rec.reason != want {
			t.Errorf("%s: reason %q, want %q", peer, rec.reason, want)
		}
	}
}
