// Package identityserver is an OAuth server in memory: zitadel/oidc with the tokens, the paths and
// the consent page of Xena's Identity server. It has one user. It is for the walkthrough only.
package identityserver

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Audience is the name of the API in tokens, and the name with which the API introspects tokens.
const Audience = "testapi"

// Server is a running server.
type Server struct {
	store    *store
	provider *op.Provider
	pages    Pages
	words    map[string]string
	client   *http.Client
	http     *http.Server
	url      string
	down     atomic.Bool
	notify   atomic.Pointer[string]
}

// Start starts a server on a free loopback port. pages writes the pages for the user, and static
// serves the files that they load. words says in words what each scope allows.
func Start(pages Pages, words map[string]string, static http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		url: "http://" + l.Addr().String(), pages: pages, words: words,
		client: &http.Client{Timeout: 5 * time.Second},
	}
	s.store = newStore(s.url)
	if err := s.store.rotate(); err != nil {
		return nil, err
	}
	s.store.endNow = func(ctx context.Context, session string) {
		if err := s.EndSession(ctx, session); err != nil {
			slog.Warn("identity server: the logout token was not delivered", "err", err)
		}
	}
	s.provider, err = op.NewProvider(&op.Config{
		CodeMethodS256: true, GrantTypeRefreshToken: true, SupportedScopes: maxScopes,
		DefaultLogoutRedirectURI: "/loggedout", BackChannelLogoutSupported: true,
		BackChannelLogoutSessionSupported: true,
	}, s.store, op.StaticIssuer(s.url),
		op.WithAllowInsecure(), // http, which is for loopback only
		op.WithCrypto(s.store),
		op.WithCustomEndpoints(
			op.NewEndpoint("connect/authorize"), op.NewEndpoint("connect/token"),
			op.NewEndpoint("connect/userinfo"), op.NewEndpoint("connect/revocation"),
			op.NewEndpoint("connect/endsession"),
			op.NewEndpoint(".well-known/openid-configuration/jwks"),
		),
		op.WithCustomIntrospectionEndpoint(op.NewEndpoint("connect/introspect")))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.handlePages(mux)
	mux.Handle("GET /static/", static)
	mux.Handle("/", s.provider)
	s.http = &http.Server{
		Handler: s.whileUp(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	go s.http.Serve(l) //nolint:errcheck // ends with Close
	return s, nil
}

// URL returns the issuer: the base URL of the server.
func (s *Server) URL() string { return s.url }

// APISecret returns the secret with which the API introspects tokens.
func (s *Server) APISecret() string { return s.store.apiSecret }

// Close stops the server.
func (s *Server) Close() error { return s.http.Close() }

// SetDown makes the server break off every request, until SetDown(false).
func (s *Server) SetDown(down bool) { s.down.Store(down) }

// Rotate makes a new key sign tokens. The last key stays published.
func (s *Server) Rotate() error { return s.store.rotate() }

// whileUp breaks off requests while the server is down, and limits their bodies.
func (s *Server) whileUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			panic(http.ErrAbortHandler)
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}
