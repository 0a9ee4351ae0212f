package identityserver

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Client is an application that was registered at the server. Client implements [op.Client].
type Client struct {
	ID, Secret string
	Name       string // the name of the application, which the consent page shows
	// after the consent, the server redirects the user only to this URL
	RedirectURI string
	LoggedOut   string // the URL to which the server redirects the user after a logout
}

// Register registers an application, and returns it with its new client id and secret.
func (s *Server) Register(name, redirectURI, loggedOut string) Client {
	var id [16]byte
	_, _ = rand.Read(id[:]) // rand.Read never returns an error
	c := Client{
		ID:     fmt.Sprintf("%x-%x-%x-%x-%x.xena.biz", id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		Secret: rand.Text(), Name: name, RedirectURI: redirectURI, LoggedOut: loggedOut,
	}
	s.store.clients.Put(c.ID, c)
	return c
}

// maxScopes are the scopes that an application may request from the server.
var maxScopes = []string{"openid", "profile", "email", "testapi", "offline_access"}

func loginURL(id string) string { return "/login?id=" + url.QueryEscape(id) }

// GetID and the methods below it implement the interface [op.Client].
func (c Client) GetID() string                       { return c.ID }
func (c Client) RedirectURIs() []string              { return []string{c.RedirectURI} }
func (c Client) PostLogoutRedirectURIs() []string    { return []string{c.LoggedOut} }
func (c Client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c Client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c Client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c Client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}
func (c Client) LoginURL(id string) string           { return loginURL(id) }
func (c Client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (c Client) IDTokenLifetime() time.Duration      { return 5 * time.Minute }

// DevMode returns true, which means that the redirect URI may begin with http.
func (c Client) DevMode() bool                        { return true }
func (c Client) IsScopeAllowed(scope string) bool     { return slices.Contains(maxScopes, scope) }
func (c Client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c Client) ClockSkew() time.Duration             { return 0 }

//lint:ignore ST1003 the interface has this name
func (c Client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
func (c Client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
