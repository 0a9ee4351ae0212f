// Package identityserver is an OAuth server in memory. It is the server of zitadel/oidc, with the
// tokens, the paths and the consent page of Xena's Identity server. It has one user. Use this
// package for the walkthrough only.
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

// Audience is the name of the API in the claim aud of the tokens. It is also the client id with
// which the API introspects tokens.
const Audience = "testapi"

// Server is a running identity server.
type Server struct {
	store      *memoryStore
	provider   *op.Provider
	pages      Pages
	scopeTexts map[string]string
	client     *http.Client
	http       *http.Server
	url        string
	isDown     atomic.Bool
	logoutURL  atomic.Pointer[string]
}

// Start starts an identity server on a free loopback port. The server calls writePage to write an
// HTML page for the user. The handler staticFiles serves the files that these pages load.
// scopeTexts contains a description of each scope.
func Start(writePage Pages, scopeTexts map[string]string, staticFiles http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		url: "http://" + l.Addr().String(), pages: writePage, scopeTexts: scopeTexts,
		client: &http.Client{Timeout: 5 * time.Second},
	}
	s.store = newStore(s.url)
	if err := s.store.addKey(); err != nil {
		return nil, err
	}
	s.store.endSession = func(ctx context.Context, session string) {
		if err := s.EndSession(ctx, session); err != nil {
			slog.Warn("identity server: the logout token was not delivered", "err", err)
		}
	}
	s.provider, err = op.NewProvider(&op.Config{
		CodeMethodS256: true, GrantTypeRefreshToken: true, SupportedScopes: maxScopes,
		DefaultLogoutRedirectURI: "/loggedout", BackChannelLogoutSupported: true,
		BackChannelLogoutSessionSupported: true,
	}, s.store, op.StaticIssuer(s.url),
		// this option allows URLs with http, because the server listens on the loopback interface
		// only
		op.WithAllowInsecure(),
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
	mux.Handle("GET /static/", staticFiles)
	mux.Handle("/", s.provider)
	s.http = &http.Server{
		Handler: s.addOutage(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	go s.http.Serve(l) //nolint:errcheck // Serve returns an error when Close is called
	return s, nil
}

// URL returns the base URL of the server. It is also the issuer name in the tokens.
func (s *Server) URL() string { return s.url }

// APISecret returns the secret with which the API introspects tokens.
func (s *Server) APISecret() string { return s.store.apiSecret }

// Close stops the server.
func (s *Server) Close() error { return s.http.Close() }

// SetDown begins or ends an outage of the server. While down is true, the server sends no response:
// it closes the connection of every request.
func (s *Server) SetDown(down bool) { s.isDown.Store(down) }

// Rotate adds a new signing key, which signs tokens from then on. The previous key stays published.
func (s *Server) Rotate() error { return s.store.addKey() }

// Server.addOutage returns a handler that calls next, except during an outage: it then closes the
// connection of each request (see SetDown). The handler also limits the length of the request's
// body.
func (s *Server) addOutage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isDown.Load() {
			panic(http.ErrAbortHandler)
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		next.ServeHTTP(w, r)
	})
}
