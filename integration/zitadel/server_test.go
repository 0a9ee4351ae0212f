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

// TestMain turns logging off: the example server logs each request, and xenaauth logs the outages
// that the tests cause.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	m.Run()
}

// The example server has two front ends: two implementations of its endpoints, which read requests
// and write errors in different ways. These constants stand for the front ends.
const (
	provider  = false // the type op.Provider implements the endpoints
	webServer = true  // the function op.RegisterLegacyServer makes the endpoints
)

var frontEnds = map[string]bool{"provider": provider, "webServer": webServer}

// These constants are the paths of the server's endpoints. The tests count the requests to them.
// The configuration of xenaauth does not contain the paths.
const (
	metadataPath      = "/.well-known/openid-configuration"
	keysPath          = "/keys"
	introspectionPath = "/oauth/introspect"
)

// server is the example server of the module github.com/zitadel/oidc. It listens on the loopback
// interface and counts the requests to each path.
type server struct {
	*httptest.Server
	store *store

	mu    sync.Mutex
	calls map[string]int
}

// startServer starts the example server with a storage for tests: see the type store.
func startServer(t *testing.T, frontEnd bool, opts ...op.Option) *server {
	t.Helper()
	s := &server{}
	s.run(t, func(issuer string) http.Handler {
		s.store = newStore(issuer)
		return exampleop.SetupServer(issuer, s.store, nil, frontEnd, opts...)
	})
	return s
}

// startStockServer starts the example server with its own storage, which contains one web client.
func startStockServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.run(t, func(issuer string) http.Handler {
		clients := map[string]*storage.Client{opaqueClient: storage.WebClient(opaqueClient, clientSecret)}
		own := storage.NewStorageWithClients(storage.NewUserStore(issuer), clients)
		return exampleop.SetupServer(issuer, own, nil, provider)
	})
	return s
}

// server.run starts the server. It opens the listener before it makes the handler, because the
// handler needs the URL of the listener as the issuer name.
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

// server.countCalls returns how many requests to a path the server has got.
func (s *server) countCalls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[path]
}

// server.config returns the configuration of an API that accepts JWTs of the server. It contains no
// endpoint, because xenaauth reads the endpoints from the metadata.
func (s *server) config() xenaauth.Config {
	return xenaauth.Config{Issuer: s.URL, Audiences: []string{audience}, HTTPClient: s.Client()}
}

// server.introspectionConfig returns the configuration of an API that also accepts opaque tokens of
// the server. The introspection responses have exp, but neither nbf nor iat, so xenaauth cannot
// know the lifetime of a token: see [TestLifetimeIsUnknown].
func (s *server) introspectionConfig() xenaauth.Config {
	cfg := s.config()
	cfg.Introspection = &xenaauth.Introspection{ClientID: audience, ClientSecret: apiSecret}
	cfg.AllowAnyLifetime = true
	return cfg
}
