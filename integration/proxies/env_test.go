package proxies

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/forwardauth"
	"github.com/xenaauth/xenaauth/gateway/identity"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// routeRules contains the rules of the table of routes that xenagate uses in the tests.
var routeRules = []routes.Rule{
	{Pattern: "/api/", Access: routes.Require(xenaauth.AllScopes("testapi"))},
	{Pattern: "/admin", Access: routes.Require(xenaauth.AllScopes("admin"))},
	{Pattern: "/admin/", Access: routes.Require(xenaauth.AllScopes("admin"))},
	{Pattern: "GET /read/", Access: routes.Require(xenaauth.AllScopes("testapi"))},
	{Pattern: "/open/", Access: routes.Public()},
	{Pattern: "/maybe", Access: routes.Optional()},
	{Pattern: "/api/closed", Access: routes.Deny()},
	{Pattern: "secret.example/", Access: routes.Require(xenaauth.AllScopes("admin"))},
}

// env is the environment of a test: a proxy, an issuer, xenagate, and the service behind the proxy.
type env struct {
	*proxy
	addr    string // the address of the proxy
	issuer  *xenaauthtest.Issuer
	gate    *restartableServer
	asked   *subrequestCounter
	service *service
	auth    *xenaauth.Middleware
	routes  *routes.Table
}

// newEnv returns an environment for the proxy p, which newEnv does not start, with an issuer,
// xenagate and a service, which run. The parameter proofs contains the kinds of proofs of
// possession that xenagate checks.
func newEnv(t *testing.T, p *proxy, proofs ...xenaauth.Proof) *env {
	t.Helper()
	e := &env{proxy: p, addr: freeAddr(t), issuer: xenaauthtest.NewIssuer(nil), asked: new(subrequestCounter)}
	t.Cleanup(e.issuer.Close)
	v, err := xenaauth.NewValidator(e.issuer.HybridConfig())
	if err != nil {
		t.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: proofs})
	table, err := routes.New(routeRules, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := forwardauth.New(forwardauth.Config{
		Middleware: auth, Find: table.Find, Dialect: p.dialect, PathPrefix: p.prefix,
		TrustedPeers: forwardauth.Loopback(), Identity: id,
	})
	if err != nil {
		t.Fatal(err)
	}
	e.gate = &restartableServer{handler: e.asked.before(handler)}
	e.gate.start(t)
	e.service = newService(t, p, table, id)
	e.auth, e.routes = auth, table
	return e
}

// subrequestCounter counts the subrequests with which the proxy asks xenagate about requests of
// clients.
type subrequestCounter struct {
	n      atomic.Int64
	bodies atomic.Int64 // the number of subrequests with a body; it must stay 0
}

func (a *subrequestCounter) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.n.Add(1)
		if n, _ := io.Copy(io.Discard, r.Body); n > 0 {
			a.bodies.Add(1)
		}
		next.ServeHTTP(w, r)
	})
}

// restartableServer is an HTTP server in the test process, for example xenagate. A test can stop it
// and start it again on the same port.
type restartableServer struct {
	handler http.Handler
	addr    string
	mu      sync.Mutex
	http    *http.Server
}

func (s *restartableServer) start(t *testing.T) {
	t.Helper()
	if s.addr == "" {
		s.addr = "127.0.0.1:0"
		t.Cleanup(s.stop)
	}
	var l net.Listener
	waitUntil(t, "the port is free", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", s.addr)
		return err == nil
	})
	h := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 1 << 20}
	s.mu.Lock()
	s.addr, s.http = l.Addr().String(), h
	s.mu.Unlock()
	go func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
}

// restartableServer.stop closes the listener and all connections of the server, including
// connections on which a request is still running.
func (s *restartableServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		_ = s.http.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.http.Shutdown(ctx)
	}
}
