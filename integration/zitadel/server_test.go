package zitadel_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/xenaauth/xenaauth"
)

// TestMain silences the example server, which logs each request, and xenaauth, of which outages are asked for here.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	m.Run()
}

// The server's two front ends. They share all of its logic but the reading of requests and the writing of errors.
const (
	provider  = false // op.Provider
	webServer = true  // op.RegisterLegacyServer
)

var frontEnds = map[string]bool{"provider": provider, "webServer": webServer}

// The server's default endpoints, to count calls by. xenaauth is told none of them.
const (
	metadataPath      = "/.well-known/openid-configuration"
	keysPath          = "/keys"
	introspectionPath = "/oauth/introspect"
)

// server is an identity server on loopback.
type server struct {
	*httptest.Server
	store *store

	mu    sync.Mutex
	calls map[string]int
}

// start runs the example server over our store, until the test ends.
func start(t *testing.T, frontEnd bool, opts ...op.Option) *server {
	t.Helper()
	s := &server{}
	s.run(t, func(issuer string) http.Handler {
		s.store = newStore(issuer)
		return exampleop.SetupServer(issuer, s.store, nil, frontEnd, opts...)
	})
	return s
}

// startStock runs the example server exactly as it comes, for one of its web clients.
func startStock(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.run(t, func(issuer string) http.Handler {
		clients := map[string]*storage.Client{opaqueClient: storage.WebClient(opaqueClient, clientSecret)}
		own := storage.NewStorageWithClients(storage.NewUserStore(issuer), clients)
		return exampleop.SetupServer(issuer, own, nil, provider)
	})
	return s
}

// run listens before it makes the handler, which must know its own URL: it is the issuer.
func (s *server) run(t *testing.T, handler func(issuer string) http.Handler) {
	t.Helper()
	s.calls = make(map[string]int)
	s.Server = httptest.NewUnstartedServer(nil)
	next := handler("http://" + s.Listener.Addr().String())
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[r.URL.Path]++
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
	s.Start()
	t.Cleanup(s.Close)
}

// called reports how often a path was asked for.
func (s *server) called(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// config is all that a resource server of this server has to say for JWTs. No endpoint is in it.
func (s *server) config() xenaauth.Config {
	return xenaauth.Config{Issuer: s.URL, Audiences: []string{audience}, HTTPClient: s.Client()}
}

// introspecting is config with what opaque tokens need. The server's responses have exp, but neither nbf nor iat, so
// their lifetime is unknown: see [TestLifetimeIsUnknown].
func (s *server) introspecting() xenaauth.Config {
	cfg := s.config()
	cfg.Introspection = &xenaauth.Introspection{ClientID: audience, ClientSecret: apiSecret}
	cfg.AllowAnyLifetime = true
	return cfg
}
